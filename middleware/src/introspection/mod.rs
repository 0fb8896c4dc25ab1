//! Asking the issuer about tokens that cannot be read here (RFC 7662), with signed answers (RFC 9701).

mod answer;
mod circuit;
mod endpoint;
mod flights;
mod introspector;
mod lasting;
mod memory;
mod queue;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "test-util")]
pub(crate) use self::answer::SIGNED;
pub(crate) use self::introspector::{Introspector, LookedUp, Question};
pub(crate) use self::lasting::{Inquiry, Lapse};
pub(crate) use self::verdict::{Unanswered, Verdict};

use self::answer::{Reader, Tolerated};
use self::endpoint::{Endpoint, Location};
use self::memory::Memory;
use crate::credentials::ServiceCredentials;
use crate::fetch::{FetchError, UrlRefused};
use crate::jwks::{MetadataPlace, NotAnIssuer};
use crate::policy::Surroundings;
use crate::revocation::Revoked;
use crate::token::TokenPolicy;

/// Asks the issuer about tokens that cannot be verified here: opaque ones, by RFC 7662.
///
/// A token in the form of a JWT is verified here as before, unless [`every_token`](Self::every_token) is set. Whatever else
/// comes is sent to the issuer, and what it says makes the same [`Principal`](crate::Principal): scopes, roles, `acr`,
/// `auth_time` and custom claims are read from the answer, a token that is bound to a key or a certificate (`cnf`) needs the
/// same proof, and what was revoked is refused.
///
/// ```no_run
/// # async fn run() -> Result<(), portcullis_guard::BuildError> {
/// use portcullis_guard::{Guard, Introspection, Issuer};
///
/// let guard = Guard::builder()
///     .issuer(Issuer::oidc("https://id.example.com"))
///     .audience("https://api.example.com")
///     .introspection(Introspection::discovered("orders", "client-secret"))
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # What an answer is held to
///
/// The rules of a token: `sub`, `client_id`, `exp` and `iat` are there, `exp`, `iat`, `nbf` and the lifetime are as
/// [`TokenPolicy`] wants them, `aud` names this service, and `iss`, if it is there, the issuer. RFC 7662 requires none of
/// these, so three things differ:
///
/// - An answer without `iss` is that of the issuer that was asked.
/// - An answer without `jti` gives the token a [name](crate::Principal::token_id) made from its digest.
/// - An answer without `aud` is refused. "Active" alone says that a token is good somewhere: a token for any other service of
///   the issuer would pass. Where the issuer calls a token active only to the service that it is for, it may be
///   [accepted](Self::danger_accept_missing_audience).
///
/// A refresh token may be active, too, and is no access token. What tells them apart is `token_type`, which access tokens have
/// (RFC 6749 §5.1): it has to be `Bearer` or `DPoP`, and where an issuer adds `typ` or `token_use`, they must not say
/// otherwise. An issuer that describes access tokens without it needs
/// [`danger_accept_untyped`](Self::danger_accept_untyped).
///
/// # Signed answers
///
/// The issuer is asked for an answer that it signs (RFC 9701): by one of its keys, for this very client, just now. An answer
/// in plain JSON is believed because it came over `https`, unless [`signed_only`](Self::signed_only) is set.
///
/// # What is remembered
///
/// What the issuer said holds for [half a minute](Self::remember_for), and never beyond `exp`: so long may a token that was
/// taken back be used, unless a server [tells](crate::PolicyEndpoint) of revocations, which end what is remembered at once.
/// That a token is not active is remembered for [two seconds](Self::remember_refused_for). Tokens are remembered by their
/// digest, and what is remembered is [bounded](Self::memory_bytes).
///
/// # While the issuer is away
///
/// Whoever comes with a token that it would have to be asked about is answered 503; what is remembered is good until it ends.
/// A route that [serves stale](crate::Requirement::serve_stale) goes by what the issuer said last up to its own bound, but
/// not beyond `exp`. After three failures in a row the issuer is asked by one request now and then, and no other waits for it.
///
/// # Streams
///
/// A [stream](crate::Permit) lasts while its token does: when what the issuer said has had its time, it is asked again, at most
/// every five seconds, and the stream goes on meanwhile for five seconds more. Where a question comes to nothing, the next ones
/// come sooner at first, so that one that is lost ends no stream. Questions about streams wait for one another where there are
/// many, and take no place from requests: as many of them as of those are open at a time.
///
/// # Tokens that are made up
///
/// A stranger can invent tokens, and each has to be asked about. A token that is too long or has characters that no token has
/// is not sent. Requests that come at the same time with the same token are one question, no more than
/// [32](Self::max_requests) questions of requests are open at a time, and whoever comes beyond that is answered 503. Set
/// [`Limits::by_address`](crate::Limits::by_address), so that one address cannot take all of them: each request counts there
/// before its token is looked at, and one whose token turns out to be inactive costs what a
/// [guess](crate::Limits::guess_cost) does. That is for tokens about which the issuer decides alone: one that it signed, and that it is
/// asked about [while revocations are not heard](crate::Requirement::introspect_when_stale), is no guess, and costs none.
#[derive(Clone, Debug)]
#[must_use = "nobody is asked before it is given to a builder"]
pub struct Introspection {
    url: Option<String>,
    credentials: ServiceCredentials,
    issuer: Option<String>,
    every_token: bool,
    tolerated: Tolerated,
    remembered: Remembered,
    max_requests: usize,
    plain_http: bool,
}

/// How long and how much is remembered.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    good: Duration,
    refused: Duration,
    bytes: usize,
    tokens: usize,
}

/// Why nobody can be asked about tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Http(#[from] FetchError),
    /// The issuer that is to be asked is not one that the guard trusts.
    #[error("tokens are to be introspected by {0}, which is no issuer of this guard")]
    NoSuchIssuer(String),
    /// The issuer is not a URL that can be discovered.
    #[error(transparent)]
    NotAnIssuer(#[from] NotAnIssuer),
    /// The endpoint is not at a URL that tokens may be sent to.
    #[error(transparent)]
    Url(#[from] UrlRefused),
    /// The guard trusts several issuers, and it is not said which one to ask.
    #[error("the guard has several issuers: which one is to introspect tokens?")]
    WhichIssuer,
}

impl Introspection {
    /// Asks at the endpoint that the metadata of the issuer names, as a client with a secret.
    pub fn discovered(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            url: None,
            credentials: ServiceCredentials::new(client_id, client_secret),
            issuer: None,
            every_token: false,
            tolerated: Tolerated::default(),
            remembered: Remembered {
                good: Duration::from_secs(30),
                refused: Duration::from_secs(2),
                bytes: 8 * 1024 * 1024,
                tokens: 10_000,
            },
            max_requests: 32,
            plain_http: false,
        }
    }

    /// Asks at this endpoint, as a client with a secret.
    pub fn at(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self { url: Some(url.into()), ..Self::discovered(client_id, client_secret) }
    }

    /// Which of the issuers of the guard is asked: needed where there are several. It answers for its own tokens only, so those of
    /// the others have to be JWTs.
    pub fn of_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Asks about every token, whatever form it has: for issuers whose JWTs are not those of RFC 9068, or that take tokens
    /// back and tell nobody. No token is verified here then, tokens of other issuers are refused, and without the issuer nobody is
    /// served.
    pub fn every_token(mut self) -> Self {
        self.every_token = true;
        self
    }

    /// Believes no answer that is not signed (RFC 9701), so that whoever stands between the issuer and this service, such as
    /// a proxy that ends TLS, cannot make one up. They could still swap two that were made at the same time: a signed answer
    /// does not name the token that it is about.
    pub fn signed_only(mut self) -> Self {
        self.tolerated.unsigned = false;
        self
    }

    /// Accepts a token of which the issuer does not say for which services it is. That is safe only where the issuer calls a
    /// token active to nobody but the service that it is for, as RFC 7662 §4 lets it. One that names another service is
    /// refused still.
    pub fn danger_accept_missing_audience(mut self) -> Self {
        self.tolerated.unaddressed = true;
        self
    }

    /// Accepts a token of which the issuer does not say that it is an access token, by `token_type`. Where it describes refresh
    /// tokens to this client like access tokens, those are accepted as well.
    pub fn danger_accept_untyped(mut self) -> Self {
        self.tolerated.untyped = true;
        self
    }

    /// How long it counts that a token is good: 30 seconds unless set, and never beyond its `exp`. 0 remembers nothing. The
    /// issuer is asked about a busy caller twice a minute then, and a token that was taken back outlives that by half a minute.
    pub const fn remember_for(mut self, time: Duration) -> Self {
        self.remembered.good = time;
        self
    }

    /// How long it counts that a token is not good: 2 seconds unless set. A new token may not be known yet at the replica of an
    /// issuer that is asked, so longer would refuse callers who are right; 0 asks each time.
    pub const fn remember_refused_for(mut self, time: Duration) -> Self {
        self.remembered.refused = time;
        self
    }

    /// How much memory what is remembered may take: 8 MiB unless set.
    pub const fn memory_bytes(mut self, bytes: usize) -> Self {
        self.remembered.bytes = bytes;
        self
    }

    /// Of how many tokens it is remembered that they are good: 10,000 at most unless set.
    pub const fn memory_tokens(mut self, tokens: usize) -> Self {
        self.remembered.tokens = tokens;
        self
    }

    /// How many questions of requests may be open at a time: 32 unless set, and at least one. Callers who come beyond that are
    /// answered 503. As many more may be open about streams, which wait for their turn: where thousands of them began together, it
    /// has to be so many that the issuer answers about all of them within five seconds.
    pub const fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// Sends tokens and the client secret over plain `http` to a host that is not this machine: only for networks that nobody
    /// else is on.
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    pub(crate) fn build(
        self,
        surroundings: &mut Surroundings<'_>,
        tokens: &TokenPolicy,
        revoked: Option<&Arc<Revoked>>,
    ) -> Result<Introspector, IntrospectionError> {
        let Surroundings { trusts, audience, fetcher, clock, .. } = surroundings;
        let issuer = match self.issuer {
            Some(issuer) => issuer,
            None => match <[String; 1]>::try_from(trusts.names()) {
                Ok([only]) => only,
                Err(_) => return Err(IntrospectionError::WhichIssuer),
            },
        };
        let Some((index, trust)) = trusts.of(&issuer) else {
            return Err(IntrospectionError::NoSuchIssuer(issuer));
        };
        let place = match self.url {
            Some(url) => Location::given(&url, self.plain_http)?,
            None => Location::discovered(MetadataPlace::new(&issuer, self.plain_http)?),
        };
        let Remembered { good, refused, bytes, tokens: max_tokens } = self.remembered;
        let accept = self.tolerated.accept();
        let reader = Reader {
            trust: Arc::clone(trust),
            index,
            audience: (*audience).to_owned(),
            client_id: self.credentials.client_id().to_owned(),
            policy: tokens.clone(),
            tolerated: self.tolerated,
            issuer,
        };
        let endpoint = Endpoint::new(place, self.credentials.authorization(), accept, fetcher.get()?);
        let memory = Memory::new((good, refused), bytes, max_tokens);
        let (most, clock, revoked) = (self.max_requests, clock.clone(), revoked.cloned());
        let introspector = Introspector::new((endpoint, reader), memory, most, clock, revoked);
        Ok(if self.every_token { introspector.asked_about_everything() } else { introspector })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let introspection = Introspection::discovered("orders", "s3cret");
        let shown = format!("{introspection:?}");
        assert!(shown.contains("orders") && !shown.contains("s3cret"), "{shown}");
    }
}
