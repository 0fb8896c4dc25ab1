//! Putting a guard together.

use std::sync::Arc;
use std::time::Duration;

use crate::client_address::Proxies;
use crate::clock::Clock;
use crate::decision::DecisionIds;
use crate::guard::{Core, Guard};
use crate::input::{InputPolicy, NotAPointer};
use crate::jwks::{Issuer, IssuerError, LazyFetcher, Trusts};
use crate::limit::{EmptyQuota, Limits};
use crate::policy::{Policy, PolicyError, PolicyState, Surroundings};
use crate::token::{TokenPolicy, Verifier};

/// How long a start waits for keys and policy. Without them the guard answers 503 and goes on trying.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// Puts a [`Guard`] together: an issuer and an audience it has to have, the rest has safe defaults.
#[derive(Debug, Default)]
#[must_use = "a builder guards nothing until it is built"]
pub struct GuardBuilder {
    issuers: Vec<Issuer>,
    audience: Option<String>,
    tokens: TokenPolicy,
    policy: Option<Policy>,
    limits: Limits,
    proxies: Proxies,
    input: InputPolicy,
    clock: Clock,
    manual_refresh: bool,
}

/// Why a guard could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit lets nothing through.
    #[error(transparent)]
    EmptyQuota(#[from] EmptyQuota),
    /// An issuer cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// No audience is set. Without one, a token for any service of the issuer would pass.
    #[error("a guard needs an audience: the name that tokens for this service carry")]
    NoAudience,
    /// No issuer is set.
    #[error("a guard needs an issuer")]
    NoIssuer,
    /// A field of the input policy is not a JSON Pointer.
    #[error(transparent)]
    NotAPointer(#[from] NotAPointer),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Guard {
    /// A guard that accepts tokens of one issuer for one audience, and has no policy.
    pub async fn oidc(issuer: impl Into<String>, audience: impl Into<String>) -> Result<Self, BuildError> {
        Self::builder().issuer(Issuer::oidc(issuer)).audience(audience).build().await
    }

    /// Starts to put a guard together.
    pub fn builder() -> GuardBuilder {
        GuardBuilder::default()
    }
}

impl GuardBuilder {
    /// Trusts an issuer. Called again, one more.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// The name of this service in the `aud` of tokens.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// What tokens are held to.
    pub fn tokens(mut self, tokens: TokenPolicy) -> Self {
        self.tokens = tokens;
        self
    }

    /// The policy that [`rbac`](crate::rbac) asks. With one, a route that states no requirement is answered
    /// 403; without one, a good token is enough for it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Rate limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The proxies in front of this service.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// What request bodies may be.
    pub fn input(mut self, input: InputPolicy) -> Self {
        self.input = input;
        self
    }

    /// The clock, for tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts no background tasks: keys and policy are fetched by [`build`](Self::build) and by
    /// [`Guard::refresh`], and keys when a request needs one that is not known.
    pub fn manual_refresh(mut self) -> Self {
        self.manual_refresh = true;
        self
    }

    /// Builds the guard, and fetches keys and policy for the first time.
    ///
    /// An issuer that is down is no error: the guard starts, answers 503, and recovers by itself.
    pub async fn build(self) -> Result<Guard, BuildError> {
        let manual_refresh = self.manual_refresh;
        let guard = self.assemble()?;
        // What is slower than this arrives later.
        let _ = tokio::time::timeout(FIRST_FETCH, guard.refresh_remote()).await;
        if !manual_refresh {
            guard.spawn_refresh();
        }
        if guard.policy_revision().is_none() && !guard.has_policy() {
            tracing::warn!(
                "no policy is configured: a good token is enough for routes that state no requirement"
            );
        }
        Ok(guard)
    }

    fn assemble(self) -> Result<Guard, BuildError> {
        let audience = self.audience.filter(|audience| !audience.is_empty()).ok_or(BuildError::NoAudience)?;
        if self.issuers.is_empty() {
            return Err(BuildError::NoIssuer);
        }
        let clock = self.clock;
        let mut fetcher = LazyFetcher::default();
        let trusts = Arc::new(Trusts::build(self.issuers, &mut fetcher, &clock)?);
        let mut surroundings =
            Surroundings { trusts: &trusts, audience: &audience, fetcher: &mut fetcher, clock: &clock };
        let policy: Option<PolicyState> =
            self.policy.map(|policy| policy.build(&mut surroundings)).transpose()?;
        Ok(Guard::new(Core {
            verifier: Verifier::new(Arc::clone(&trusts), audience, self.tokens, clock.clone())
                .hearing_of(policy.as_ref().and_then(PolicyState::revoked).cloned()),
            trusts,
            policy,
            limiters: self.limits.build(&clock)?,
            proxies: self.proxies,
            input: Arc::new(self.input.build()?),
            decisions: DecisionIds::new(),
            clock,
        }))
    }
}
