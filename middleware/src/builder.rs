//! Putting a guard together.

mod around;
mod fault;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::around::Around;
pub use self::fault::BuildError;
use crate::binding::{Bindings, ClientCertificates, Dpop};
use crate::clock::Clock;
use crate::csrf::Csrf;
use crate::decision_id::DecisionIds;
use crate::disk::Folder;
use crate::edge::{Caps, SecurityHeaders};
use crate::guard::{Announced, Authority, Browsers, Core, Credentials, Guard};
use crate::input::InputPolicy;
use crate::introspection::Introspection;
use crate::jwks::{Issuer, LazyFetcher, Trusts};
use crate::limit::Limits;
#[cfg(feature = "login")]
use crate::login::Login;
use crate::login_ground::LoginGround;
use crate::policy::{Policy, PolicyState, Surroundings};
use crate::resource::ProtectedResource;
use crate::routes::{Announcer, check_version};
use crate::token::{CookieTokens, TokenPolicy, Verifier};
#[cfg(not(feature = "login"))]
use crate::unlogged::Login;

/// How long a start waits for keys and policy. Without them the guard answers 503 and goes on trying.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// The longest body of a request to a service that says nothing of it.
const MAX_BODY: u64 = 1024 * 1024;

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
    around: Around,
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

/// How tokens may come, what they may be bound to, and whether others than JWTs are taken.
#[derive(Debug, Default)]
struct Accepted {
    dpop: Option<Dpop>,
    certificates: Option<ClientCertificates>,
    /// Boxed, since few guards have it and whatever builds one carries it along.
    opaque: Option<Box<Introspection>>,
    cookie: Option<CookieTokens>,
    csrf: Option<Csrf>,
    /// Boxed for the same reason.
    login: Option<Box<Login>>,
}

/// What a guard does beside requests.
#[derive(Debug, Default)]
struct Upkeep {
    is_manual: bool,
    hides_routes: bool,
    cache_dir: Option<PathBuf>,
}

impl Guard {
    /// A guard that accepts tokens of one issuer for one audience, and has no policy. Around it are the headers of an
    /// [API](SecurityHeaders::api) and a [cap](Caps::body) of 1 MiB on bodies: what has pages, or takes more, is
    /// [put together](Self::builder). Both are there as far as a router, a table or [`Guard::edge`] brings them.
    pub async fn oidc(issuer: impl Into<String>, audience: impl Into<String>) -> Result<Self, BuildError> {
        let builder = Self::builder().issuer(Issuer::oidc(issuer)).audience(audience);
        builder.headers(SecurityHeaders::api()).caps(Caps::new().body(MAX_BODY)).build().await
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

    /// Describes this service to clients by metadata (RFC 9728): challenges say where it is, and each
    /// [`GuardedRouter`](crate::GuardedRouter) serves it beside its routes; other services do by [`Guard::metadata`]. Unless set, a challenge says nothing of where to get a token.
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
        self.accepted.opaque = Some(Box::new(introspection));
        self
    }

    /// Takes tokens from a cookie, where no header has one: see [`CookieTokens`]. Unless set, from headers only. It needs
    /// [`csrf`](Self::csrf).
    pub fn cookie_tokens(mut self, cookie: CookieTokens) -> Self {
        self.accepted.cookie = Some(cookie);
        self
    }

    /// Refuses what pages of others have a browser do: see [`Csrf`].
    pub fn csrf(mut self, csrf: Csrf) -> Self {
        self.accepted.csrf = Some(csrf);
        self
    }

    /// Signs people in, and takes the tokens of their sessions: see [`Login`]. It needs [`csrf`](Self::csrf).
    #[cfg(feature = "login")]
    pub fn login(mut self, login: Login) -> Self {
        self.accepted.login = Some(Box::new(login));
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
                "no policy is configured: routes decide by what they require, and a good token is enough for one that requires nothing"
            );
        }
        Ok(guard)
    }

    /// Builds a guard that has nothing yet and keeps nothing: no network, no background tasks, and the cache folder is only
    /// looked at. It refuses what [`build`](Self::build) would, and a cache folder that a guard would have to do without: it
    /// checks a configuration, and leaves no trace.
    ///
    /// ```
    /// use portcullis_guard::{Guard, Issuer};
    ///
    /// let builder = Guard::builder().issuer(Issuer::oidc("http://id.example.com")).audience("https://api.example.com");
    /// assert!(builder.build_untouched().is_err(), "keys over plain http could be anybody's");
    /// ```
    pub fn build_untouched(mut self) -> Result<Guard, BuildError> {
        if let Some(path) = self.upkeep.cache_dir.take() {
            Folder::look(&path)?;
        }
        self.assemble()
    }

    fn assemble(self) -> Result<Guard, BuildError> {
        let Service { audience, version, resource } = self.service;
        let audience = audience.filter(|audience| !audience.is_empty()).ok_or(BuildError::NoAudience)?;
        if self.issuers.is_empty() {
            return Err(BuildError::NoIssuer);
        }
        let clock = self.clock;
        let folder = self.upkeep.cache_dir.map(|path| Folder::open(&path, clock.unix_secs()));
        let folder = folder.transpose()?.flatten();
        let mut fetcher = LazyFetcher::default();
        let trusts = Arc::new(Trusts::build(self.issuers, &mut fetcher, &clock, folder.as_ref())?);
        let mut surroundings = Surroundings {
            trusts: &trusts,
            audience: &audience,
            fetcher: &mut fetcher,
            clock: &clock,
            folder: folder.as_ref(),
            compiling: self.policy.as_ref().map(Policy::options).unwrap_or_default(),
            leeway: self.tokens.leeway_between_clocks(),
        };
        version.as_deref().map_or(Ok(()), check_version).map_err(BuildError::ServiceVersion)?;
        let told = self.policy.as_ref().and_then(Policy::endpoint).filter(|_| !self.upkeep.hides_routes);
        let tell = |endpoint| Announcer::new(endpoint, version, &mut surroundings);
        let announcer = told.map(tell).transpose()?;
        let policy = self.policy.map(|policy| policy.build(&mut surroundings)).transpose()?;
        let Accepted { dpop, certificates, opaque, cookie, csrf, login } = self.accepted;
        let dpop = dpop.map(|dpop| dpop.build(&audience, &self.tokens, &clock)).transpose()?;
        let bindings = Bindings::new(dpop, certificates);
        let reads_header = bindings.certificates.as_ref().is_some_and(ClientCertificates::needs_proxies);
        if reads_header && self.around.proxies.are_none() {
            return Err(BuildError::NoProxies);
        }
        let describe = |resource: ProtectedResource| resource.describe(&audience, trusts.names(), &bindings);
        let resource = resource.map(describe).transpose()?.map(Arc::new);
        let revoked = policy.as_ref().and_then(PolicyState::revoked);
        let asked = |opaque: Box<Introspection>| opaque.build(&mut surroundings, &self.tokens, revoked);
        let introspector = opaque.map(asked).transpose()?;
        let decisions = DecisionIds::new();
        let edge = Arc::new(self.around.build(decisions.guard())?);
        let mut browsers = Browsers::build(cookie, csrf)?;
        if let Some(login) = login {
            let csrf = browsers.csrf.as_ref().ok_or(BuildError::CookieWithoutCsrf)?;
            let ground = LoginGround { tokens: &self.tokens, entropy: &edge.entropy, csrf, bound: &bindings };
            browsers.sessions = Some(login.build(&mut surroundings, &ground)?);
        }
        let verifier =
            Verifier::new(Arc::clone(&trusts), audience, self.tokens, clock.clone(), revoked.cloned());
        Ok(Guard::new(Core {
            authority: Authority { verifier, introspector },
            trusts,
            policy,
            limiters: self.limits.build(&clock, &edge.entropy)?,
            edge,
            input: self.input.build()?.into_rules(),
            decisions,
            clock,
            credentials: Credentials { bindings, browsers },
            told: Announced { announcer, resource },
        }))
    }
}

impl Browsers {
    /// What comes from a browser by itself counts only where it is known whose page had it sent.
    fn build(cookie: Option<CookieTokens>, csrf: Option<Csrf>) -> Result<Self, BuildError> {
        if cookie.is_some() && csrf.is_none() {
            return Err(BuildError::CookieWithoutCsrf);
        }
        let cookie = cookie.map(CookieTokens::build).transpose()?;
        Ok(Self { cookie, csrf: csrf.map(Csrf::build).transpose()?, sessions: None })
    }
}
