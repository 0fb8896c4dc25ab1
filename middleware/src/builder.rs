//! Putting a guard together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_policy::RoutesFault;

use crate::binding::{Bindings, ClientCertificates, Dpop, DpopError};
use crate::client_address::Proxies;
use crate::clock::Clock;
use crate::decision::DecisionIds;
use crate::disk::{CacheDirError, Folder};
use crate::guard::{Authority, Core, Guard, Told};
use crate::input::{InputError, InputPolicy};
use crate::introspection::{Around, Introspection, IntrospectionError};
use crate::jwks::{Issuer, IssuerError, LazyFetcher, Trusts};
use crate::limit::{LimitError, Limits};
use crate::policy::{Policy, PolicyError, PolicyState, Surroundings};
use crate::resource::{NotAResource, ProtectedResource};
use crate::routes::{Announcer, check_version};
use crate::token::{TokenPolicy, Verifier};

/// How long a start waits for keys and policy. Without them the guard answers 503 and goes on trying.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// Puts a [`Guard`] together: an issuer and an audience it has to have, the rest has safe defaults.
#[derive(Debug, Default)]
#[must_use = "a builder guards nothing until it is built"]
pub struct GuardBuilder {
    issuers: Vec<Issuer>,
    service: Service,
    tokens: TokenPolicy,
    accepted: Accepted,
    policy: Option<Policy>,
    limits: Limits,
    proxies: Proxies,
    input: InputPolicy,
    clock: Clock,
    upkeep: Upkeep,
}

/// What is guarded.
#[derive(Debug, Default)]
struct Service {
    audience: Option<String>,
    version: Option<String>,
    resource: Option<ProtectedResource>,
}

/// What is accepted beside a JWT that is bound to nothing.
#[derive(Debug, Default)]
struct Accepted {
    dpop: Option<Dpop>,
    certificates: Option<ClientCertificates>,
    opaque: Option<Introspection>,
}

/// What a guard does beside requests.
#[derive(Debug, Default)]
struct Upkeep {
    is_manual: bool,
    hides_routes: bool,
    cache_dir: Option<PathBuf>,
}

/// Why a guard could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The cache folder is not safe.
    #[error(transparent)]
    CacheDir(#[from] CacheDirError),
    /// Proofs cannot be checked.
    #[error(transparent)]
    Dpop(#[from] DpopError),
    /// The input policy cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Nobody can be asked about tokens.
    #[error(transparent)]
    Introspection(#[from] IntrospectionError),
    /// An issuer cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A limit cannot be kept.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No audience is set. Without one, a token for any service of the issuer would pass.
    #[error("a guard needs an audience: the name that tokens for this service carry")]
    NoAudience,
    /// No issuer is set.
    #[error("a guard needs an issuer")]
    NoIssuer,
    /// Certificates come in a header, and no proxy is trusted to send it.
    #[error(
        "certificates of clients come in a header, which counts from trusted proxies only, and none is trusted"
    )]
    NoProxies,
    /// The service cannot be described.
    #[error(transparent)]
    NotAResource(#[from] NotAResource),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The version of the service is none that a server could keep.
    #[error("the version of the service {}", .0.message)]
    ServiceVersion(RoutesFault),
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
        self.service.audience = Some(audience.into());
        self
    }

    /// Describes this service to clients by metadata (RFC 9728): challenges say where it is, and
    /// [`Guard::metadata_router`] serves it. Unless set, a challenge says nothing of where to get a token.
    pub fn protected_resource(mut self, resource: ProtectedResource) -> Self {
        self.service.resource = Some(resource);
        self
    }

    /// What tokens are held to.
    pub fn tokens(mut self, tokens: TokenPolicy) -> Self {
        self.tokens = tokens;
        self
    }

    /// Accepts tokens that are bound to a key by DPoP. Unless set, they are refused.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.accepted.dpop = Some(dpop);
        self
    }

    /// Accepts tokens that are bound to a certificate. Unless set, they are refused.
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.accepted.certificates = Some(certificates);
        self
    }

    /// Accepts tokens that are no JWTs: the issuer is asked about them. Unless set, they are refused.
    pub fn introspection(mut self, introspection: Introspection) -> Self {
        self.accepted.opaque = Some(introspection);
        self
    }

    /// The policy that [`rbac`](crate::rbac) asks. With one, a route that states no requirement is answered
    /// 403; without one, a good token is enough for it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Rate limits: none unless set.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The proxies in front of this service.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// What requests may hold, on routes that have no [input policy of their own](crate::GuardedRoute::input).
    pub fn input(mut self, input: InputPolicy) -> Self {
        self.input = input;
        self
    }

    /// Keeps the last good keys, the last good policy and what was revoked in a folder, so that the guard can start, and
    /// answer, while the issuer is away. Unless set, nothing is kept.
    ///
    /// The folder is made if it is not there, open to this user alone. Several guards may share one: each issuer has a
    /// file for its keys, and each API and client one for its policy and one for revocations, of 40 MiB at most. A folder that others may write
    /// to is an error here. Whatever goes wrong with it later is said to the log, and nothing else depends on it. A file
    /// that is damaged, of another owner or of another version of the guard is not used.
    ///
    /// # What is believed
    ///
    /// The policy is signed and is checked as if it had just arrived: by whom, for whom, until when (a day after it was
    /// made). Keys are not signed. They came from the issuer over `https`; on the disk, they are as trustworthy as the
    /// folder. Whoever can write there can have tokens and a policy of their own believed by a guard that starts while
    /// the issuer is away, until it answers again or an age limit closes the door. Such a person can often change the
    /// program, too; if not, keep nothing.
    ///
    /// Ages go on across a restart: what was confirmed fifty minutes before is fifty minutes old, or up to a minute
    /// more. A policy of a lower revision than the disk holds is refused; after the server was restored from a backup,
    /// remove the folder's files and start the guards again. What was revoked before the issuer went away stays revoked; of
    /// what happened since, nobody knows, as in a guard that went on running:
    /// [`revocations_max_stale`](crate::PolicyEndpoint::revocations_max_stale) says for how long that is accepted.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), portcullis_guard::BuildError> {
    /// use portcullis_guard::{Guard, Issuer};
    ///
    /// let guard = Guard::builder()
    ///     .issuer(Issuer::oidc("https://id.example.com"))
    ///     .audience("https://api.example.com")
    ///     .cache_dir("/var/lib/orders/guard")
    ///     .build()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.upkeep.cache_dir = Some(folder.into());
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
        self.upkeep.is_manual = true;
        self
    }

    /// The version of this service: 1 to 64 letters, digits, `.`, `_`, `+` and `-`. The server keeps the routes of each
    /// version apart.
    pub fn service_version(mut self, version: impl Into<String>) -> Self {
        self.service.version = Some(version.into());
        self
    }

    /// Tells the server nothing of the routes of this service.
    ///
    /// Unless this is set, a guard whose policy comes from a server tells it once, in the background, of the routes of each
    /// [`GuardedRouter`](crate::GuardedRouter): their paths and methods, and what each requires. So the server can list the
    /// routes that no rule opens and the rules that no route asks for. No request waits for it, and nothing depends on it.
    pub fn hide_routes(mut self) -> Self {
        self.upkeep.hides_routes = true;
        self
    }

    /// Builds the guard, and fetches keys and policy for the first time.
    ///
    /// An issuer that is down is no error: the guard starts, answers 503, and recovers by itself.
    pub async fn build(self) -> Result<Guard, BuildError> {
        let is_manual = self.upkeep.is_manual;
        let guard = self.assemble()?;
        // What is slower than this arrives later.
        let _ = tokio::time::timeout(FIRST_FETCH, guard.recall()).await;
        let _ = tokio::time::timeout(FIRST_FETCH, guard.refresh_remote()).await;
        if !is_manual {
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
        let Service { audience, version, resource } = self.service;
        let audience = audience.filter(|audience| !audience.is_empty()).ok_or(BuildError::NoAudience)?;
        if self.issuers.is_empty() {
            return Err(BuildError::NoIssuer);
        }
        let clock = self.clock;
        let folder = match self.upkeep.cache_dir {
            Some(path) => Folder::open(&path, clock.unix_secs())?,
            None => None,
        };
        let folder = folder.as_ref();
        let mut fetcher = LazyFetcher::default();
        let trusts = Arc::new(Trusts::build(self.issuers, &mut fetcher, &clock, folder)?);
        let mut surroundings = Surroundings {
            trusts: &trusts,
            audience: &audience,
            fetcher: &mut fetcher,
            clock: &clock,
            folder,
        };
        if let Some(version) = &version {
            check_version(version).map_err(BuildError::ServiceVersion)?;
        }
        let announcer = match self.policy.as_ref().and_then(Policy::endpoint) {
            Some(endpoint) if !self.upkeep.hides_routes => {
                Some(Announcer::new(endpoint, version, &mut surroundings)?)
            }
            _ => None,
        };
        let policy: Option<PolicyState> =
            self.policy.map(|policy| policy.build(&mut surroundings)).transpose()?;
        let Accepted { dpop, certificates, opaque } = self.accepted;
        let dpop = dpop.map(|dpop| dpop.build(&audience, &self.tokens)).transpose()?;
        let bindings = Bindings { dpop, certificates };
        let reads_header = bindings.certificates.as_ref().is_some_and(ClientCertificates::needs_proxies);
        if reads_header && self.proxies.are_none() {
            return Err(BuildError::NoProxies);
        }
        let describe = |resource: ProtectedResource| resource.describe(&audience, trusts.names(), &bindings);
        let resource = resource.map(describe).transpose()?.map(Arc::new);
        let around = Around { trusts: &trusts, audience: &audience, tokens: &self.tokens, clock: &clock };
        let introspector = opaque.map(|opaque| opaque.build(&around, &mut fetcher)).transpose()?;
        let verifier = Verifier::new(Arc::clone(&trusts), audience, self.tokens, clock.clone());
        let revoked = policy.as_ref().and_then(PolicyState::revoked);
        Ok(Guard::new(Core {
            authority: Authority::new(verifier, introspector, revoked),
            trusts,
            policy,
            limiters: self.limits.build(&clock)?,
            proxies: self.proxies,
            input: self.input.build()?.into_rules(),
            decisions: DecisionIds::new(),
            clock,
            bindings,
            told: Told { announcer, resource },
        }))
    }
}
