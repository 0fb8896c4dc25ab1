//! What an application says about its sign-in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::cookies::CookieNames;
use super::memory::MemorySessions;
use super::provider::{Client, Provider};
use super::return_path::ReturnPath;
use super::signed::Signatures;
use super::store::SessionStore;
use super::{Lifetimes, OwnPlaces, RequestRules, Rules, Sessions, Underway};
use crate::credentials::ServiceCredentials;
use crate::fetch::FetchError;
use crate::jwks::{MetadataPlace, NotAnIssuer};
use crate::login_ground::LoginGround;
use crate::origin::{NotAnOrigin, origin};
use crate::policy::Surroundings;
use crate::token::{CookieTokens, NotAHostCookie};

/// How long a sign-in may take.
const ATTEMPT: Duration = Duration::from_mins(10);

/// What every authorization request has: nobody else may set it.
const OWN_PARAMETERS: [&str; 15] = [
    "acr_values",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "max_age",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "client_secret",
];

/// Signs people in at an issuer, and keeps them signed in: given to [`GuardBuilder::login`](crate::GuardBuilder::login).
///
/// The service is a client of the issuer (authorization code with PKCE, OpenID Connect). Tokens stay with the service. The browser
/// gets a `__Host-` cookie that holds an id of 256 random bits and nothing else. The access token of a session is the token of each
/// request that comes with the cookie, so requirements, policy, limits and revocation hold as for any other; before it ends, a new
/// one is fetched by the refresh token.
///
/// ```no_run
/// use axum::Router;
/// use axum::routing::get;
/// use portcullis_guard::{
///     Csrf, Guard, GuardExt, GuardedRouter, Issuer, Login, OptionalPrincipal, Principal, authenticated, optional,
/// };
///
/// async fn orders(who: Principal) -> String {
///     format!("orders of {}", who.subject())
/// }
///
/// async fn start(OptionalPrincipal(who): OptionalPrincipal) -> &'static str {
///     if who.is_some() { "welcome back" } else { "sign in at /auth/login" }
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = Guard::builder()
///     .issuer(Issuer::oidc("https://id.example.com"))
///     .audience("https://shop.example.com")
///     .login(Login::new("https://id.example.com", "shop", "https://shop.example.com").secret(std::env::var("SHOP_SECRET")?))
///     .csrf(Csrf::origins(["https://shop.example.com"]))
///     .build()
///     .await?;
/// let app: Router = GuardedRouter::new()
///     .route("/", get(start).guard(optional()))
///     .route("/orders", get(orders).guard(authenticated()))
///     .merge(guard.login_routes())
///     .guarded_by(&guard);
/// # Ok(())
/// # }
/// ```
///
/// # Routes
///
/// [`Guard::login_routes`](crate::Guard::login_routes) has them, below `/auth` unless [set](Self::prefix):
///
/// | route | |
/// |---|---|
/// | `GET login` | to the issuer, and back to `return_to`, a path of this service |
/// | `GET callback` | where the issuer sends people back: to be registered there as redirect URI |
/// | `POST logout` | ends the session here, then at the issuer; a script that asks for JSON is told where to go |
/// | `POST backchannel-logout` | where the issuer says that somebody signed out (OpenID Connect Back-Channel Logout) |
/// | `GET session` | who is signed in, as JSON, for scripts |
///
/// Who opens a page that needs a sign-in is sent to sign in and comes back to it; so is who has to [sign in again](crate::Requirement::acr).
/// Scripts are answered 401 as ever. To have form posts answered by a redirect to the issuer, a page with a form that signs out
/// allows that in its policy: `SecurityHeaders::html().directive("form-action", ["'self'", "https://id.example.com"])`.
///
/// # What has to fit
///
/// - The issuer is one that the guard [trusts](crate::GuardBuilder::issuer): its keys verify ID tokens and logout tokens, too.
/// - Its access tokens are for this service, JWTs or [asked about](crate::Introspection). The guard's audience is sent as
///   `resource` (RFC 8707), unless [left out](Self::without_resource).
/// - The page is reached by the origin that is given here, which [`Csrf`](crate::Csrf) names as well. `Host` counts for nothing.
/// - A token that is bound to a key by DPoP or a certificate is none for a session.
///
/// A stream that began under a session ends with it where the session was ended, and at other replicas with its access token, which
/// the issuer is asked to take back.
///
/// # While something is away
///
/// An issuer that cannot be reached signs nobody out: sessions go on until their access token ends, then requests are answered
/// 503. A refresh token that the issuer refuses ends its session. A [store](Self::store) that is away is 503.
#[must_use = "it signs nobody in before it is given to a builder"]
pub struct Login {
    issuer: String,
    client_id: String,
    secret: Option<String>,
    origin: String,
    prefix: String,
    cookie: String,
    asked: Asked,
    lifetimes: Lifetimes,
    store: Option<Arc<dyn SessionStore>>,
    after: After,
}

/// What is asked of the issuer.
struct Asked {
    scopes: Vec<String>,
    with_resource: bool,
    more: Vec<(String, String)>,
}

#[derive(Default)]
struct After {
    logout: Option<String>,
    plain_http: bool,
}

/// A sign-in that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The cookie cannot hold a session.
    #[error(transparent)]
    Cookie(#[from] NotAHostCookie),
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Http(#[from] FetchError),
    /// Sessions that last for no time.
    #[error("a session that lasts for less than a minute, or longer unused than used, is none")]
    Lifetime,
    /// The issuer cannot be discovered.
    #[error(transparent)]
    NotAnIssuer(#[from] NotAnIssuer),
    /// The origin of the service is none.
    #[error(transparent)]
    NotAnOrigin(#[from] NotAnOrigin),
    /// Forms of the service would be refused.
    #[error("`csrf` has to name {0}, the origin of the service: it could sign nobody out otherwise")]
    OriginNotNamed(String),
    /// A parameter that the login sets itself.
    #[error("the parameter `{0}` is not one that can be set")]
    Parameter(String),
    /// A path that is none.
    #[error(
        "`{0}` is not a path that begins with a slash, ends without one and has letters, digits, `-`, `_`, `.` or `~` between"
    )]
    Path(String),
    /// A scope that is none.
    #[error("`{0}` is not a scope")]
    Scope(String),
    /// No session could open anything.
    #[error("the guard wants a proof of a key with every token, and those of sessions are bound to none")]
    Unbound,
    /// The client has no name, or a secret that is empty.
    #[error("a client has an id, and its secret is not empty")]
    Unnamed,
    /// Nobody could verify ID tokens.
    #[error("the guard does not trust {0}: name it by `issuer` as well")]
    UnknownIssuer(String),
}

impl Login {
    /// Signs people in at an issuer, as a client of it, for a service whose pages are at this origin, such as
    /// `https://shop.example.com`. Unless it has a [secret](Self::secret), it is a public client.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>, origin: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            secret: None,
            origin: origin.into(),
            prefix: "/auth".to_owned(),
            cookie: "__Host-session".to_owned(),
            asked: Asked { scopes: Vec::new(), with_resource: true, more: Vec::new() },
            lifetimes: Lifetimes {
                idle: Duration::from_hours(8),
                absolute: Duration::from_hours(24),
                attempt: ATTEMPT,
                spare: Duration::from_secs(5),
            },
            store: None,
            after: After::default(),
        }
    }

    /// The secret of the client, sent by `client_secret_basic` (RFC 6749 §2.3.1).
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Where the routes are: below `/auth` unless set. The redirect URI to register is the origin, this and `/callback`, so a router or
    /// a proxy around them must not add to the path.
    pub fn prefix(mut self, path: impl Into<String>) -> Self {
        self.prefix = path.into();
        self
    }

    /// The name of the cookie of sessions: `__Host-session` unless set. It begins with `__Host-`.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = name.into();
        self
    }

    /// What is asked for beside `openid`, such as `profile`, the scopes of this service and, where the issuer gives refresh
    /// tokens for it alone, `offline_access`.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.asked.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Sends no `resource`, for issuers that refuse one.
    pub const fn without_resource(mut self) -> Self {
        self.asked.with_resource = false;
        self
    }

    /// One more parameter of authorization requests, such as an `audience` that some issuers want.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.asked.more.push((name.into(), value.into()));
        self
    }

    /// How long a session may go unused: 8 hours unless set.
    pub const fn idle(mut self, lifetime: Duration) -> Self {
        self.lifetimes.idle = lifetime;
        self
    }

    /// How long a session lasts at most: 24 hours unless set. Then people sign in again.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetimes.absolute = lifetime;
        self
    }

    /// How long the access token of a request is good for at least, as far as the issuer gives one that is: 5 seconds unless set. More
    /// is for handlers that take their time before they [hand it on](crate::SignedIn::access_token).
    pub const fn renew_early(mut self, by: Duration) -> Self {
        self.lifetimes.spare = by;
        self
    }

    /// Where sessions are kept: in the [memory](MemorySessions) of this process unless set.
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// The path where people end who signed out. The issuer has to know it, after the origin, as a post-logout redirect URI. Unless
    /// set, they stay at the issuer, or, where that has no place to sign out, at `/`.
    pub fn after_logout(mut self, path: impl Into<String>) -> Self {
        self.after.logout = Some(path.into());
        self
    }

    /// Asks an issuer over plain `http` that is not on this machine. Whoever sits between can sign in as anybody.
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.after.plain_http = true;
        self
    }
}

/// The secret is in no text.
impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, client_id, origin, .. } = self;
        let mut shown = out.debug_struct("Login");
        shown.field("issuer", issuer).field("client_id", client_id).field("origin", origin);
        shown.finish_non_exhaustive()
    }
}

impl Login {
    pub(crate) fn build(
        self,
        known: &mut Surroundings<'_>,
        ground: &LoginGround<'_>,
    ) -> Result<Sessions, LoginError> {
        let Self { issuer, client_id, secret, origin: own, prefix, cookie, asked, lifetimes, store, after } =
            self;
        let named = origin(&own)?;
        if !ground.csrf.names(&named) {
            return Err(LoginError::OriginNotNamed(own));
        }
        if ground.bound.are_required() {
            return Err(LoginError::Unbound);
        }
        if known.trusts.of(&issuer).is_none() {
            return Err(LoginError::UnknownIssuer(issuer));
        }
        if client_id.is_empty() || secret.as_ref().is_some_and(String::is_empty) {
            return Err(LoginError::Unnamed);
        }
        if lifetimes.idle < Duration::from_mins(1) || lifetimes.idle > lifetimes.absolute {
            return Err(LoginError::Lifetime);
        }
        let after_logout = after.logout;
        if let Some(path) = after_logout.as_ref().filter(|path| ReturnPath::parse(path).is_none()) {
            return Err(LoginError::Path(path.clone()));
        }
        let prefix = checked_prefix(prefix)?;
        let client = match secret {
            Some(secret) => Client::Confidential(ServiceCredentials::new(client_id, secret)),
            None => Client::Public(client_id),
        };
        let place = MetadataPlace::new(&issuer, after.plain_http)?;
        let redirect_uri = format!("{own}{prefix}/callback");
        let clock = known.clock.clone();
        let provider = Provider::new(client, redirect_uri, place, (known.fetcher.get()?, clock.clone()));
        let signatures = Signatures {
            trusts: Arc::clone(known.trusts),
            issuer,
            policy: ground.tokens.clone(),
            clock: clock.clone(),
        };
        Ok(Sessions(Arc::new(Rules {
            provider,
            signatures,
            request: asked.build(known.audience)?,
            cookies: CookieNames::new(CookieTokens::named(cookie).build()?.into_name()),
            store: store.unwrap_or_else(|| Arc::new(MemorySessions::new())),
            lifetimes,
            places: OwnPlaces { origin: own, prefix, after_logout },
            underway: Underway::default(),
            clock,
            entropy: ground.entropy.clone(),
        })))
    }
}

impl Asked {
    fn build(self, audience: &str) -> Result<RequestRules, LoginError> {
        let Self { scopes, with_resource, more } = self;
        // RFC 6749 §3.3.
        let is_scope = |scope: &String| {
            let is_part = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            !scope.is_empty() && scope.bytes().all(is_part)
        };
        if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(LoginError::Scope(scope.clone()));
        }
        if let Some((name, _)) = more.iter().find(|(name, _)| OWN_PARAMETERS.contains(&name.as_str())) {
            return Err(LoginError::Parameter(name.clone()));
        }
        let mut asked = vec!["openid".to_owned()];
        for scope in scopes {
            if !asked.contains(&scope) {
                asked.push(scope);
            }
        }
        // RFC 8707 §2: an absolute URI. An audience that is none is one that issuers know by other means.
        let resource = (with_resource && Url::parse(audience).is_ok()).then(|| audience.to_owned());
        Ok(RequestRules { scope: asked.join(" "), resource, more })
    }
}

fn checked_prefix(prefix: String) -> Result<String, LoginError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut steps = prefix.split('/');
    let starts = steps.next() == Some("");
    let is_step = |step: &str| !matches!(step, "" | "." | "..") && step.bytes().all(is_plain);
    let mut count = 0;
    let are_steps = steps.inspect(|_| count += 1).all(is_step);
    if starts && are_steps && count > 0 { Ok(prefix) } else { Err(LoginError::Path(prefix)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_text() {
        let login = Login::new("https://id.test", "shop", "https://shop.test").secret("s3cret");
        assert!(!format!("{login:?}").contains("s3cret"));
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for good in ["/auth", "/a/b", "/a.b-c_d~"] {
            assert!(checked_prefix(good.to_owned()).is_ok(), "{good}");
        }
        for bad in
            ["", "/", "auth", "/auth/", "//auth", "/a//b", "/a b", "/{id}", "/a/../b", "/a?b", "https://a"]
        {
            assert!(checked_prefix(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
