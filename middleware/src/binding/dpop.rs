//! Proofs of possession, one for each request (RFC 9449).

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use url::Url;

use super::nonce::Nonces;
use super::proof::{Proof, ProofClaims, ProofFault};
use super::replay::{Name, Replays, Seen};
#[cfg(feature = "redis")]
use super::shared::RedisProofs;
use super::window::Window;
use super::{BindingFault, Claim, Instant, Shared};
use crate::client_origin::ClientOrigin;
use crate::clock::Clock;
use crate::fetch::is_secure;
use crate::header::exactly_one;
use crate::jwks::Algorithm;
use crate::path::target;
use crate::token::{NumericDate, TokenFault, TokenPolicy};

pub(super) const HEADER: &str = "dpop";

/// How many proofs are remembered unless set, in each of two halves.
const DEFAULT_MAX_PROOFS: usize = 1_000_000;

/// Accepts tokens that are bound to a key of the client by DPoP (RFC 9449): each request proves that the caller has the key,
/// so a token that is stolen is worth nothing.
///
/// Unbound tokens are accepted as bearer tokens beside them, unless [`required`](Self::required) is set here or
/// [`Requirement::dpop`](crate::Requirement::dpop) on a route. Without this, a bound token is refused: taking it for a
/// bearer token would undo the binding.
///
/// ```no_run
/// # async fn run() -> Result<(), portcullis_guard::BuildError> {
/// use portcullis_guard::{Dpop, Guard, Issuer};
///
/// let guard = Guard::builder()
///     .issuer(Issuer::oidc("https://id.example.com"))
///     .audience("https://api.example.com")
///     .dpop(Dpop::new())
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Several replicas
///
/// By itself, a guard accepts a proof once, and replicas do not tell each other: until it is too [old](Self::max_age), whoever
/// sees it could use it once at each of the others, for the very same request. The same holds after a restart. With the feature
/// `redis`, `Dpop::shared` has all replicas accept it once together, across restarts, too.
///
/// Replicas that are given the same secret for [`nonces`](Self::nonces) know each other's, with or without that.
#[derive(Clone)]
#[must_use = "it accepts nothing before it is given to a builder"]
pub struct Dpop {
    origins: Vec<String>,
    max_age: Duration,
    max_proofs: usize,
    nonce_secret: Option<[u8; 32]>,
    is_required: bool,
    #[cfg(feature = "redis")]
    redis: Option<Box<RedisProofs>>,
}

/// Why proofs cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// It is not known by which URLs clients reach the service.
    #[error("`{0}` is not the origin of a service: an https URL (http only for this machine)")]
    NotAnOrigin(String),
    /// Where used proofs are shared cannot be found.
    #[error("the address of the shared proofs cannot be used: {0}")]
    Url(String),
}

impl Dpop {
    /// Proofs that are a minute old at most, and no nonces.
    pub const fn new() -> Self {
        Self {
            origins: Vec::new(),
            max_age: Duration::from_mins(1),
            max_proofs: DEFAULT_MAX_PROOFS,
            nonce_secret: None,
            is_required: false,
            #[cfg(feature = "redis")]
            redis: None,
        }
    }

    /// Where clients reach this service, such as `https://api.example.com`: what they write into proofs, whatever proxies make
    /// of it. Called again, one more. A path in it is one that proxies take off before the request arrives here. Unless set, it is
    /// the origin of the audience.
    pub fn origin(mut self, url: impl Into<String>) -> Self {
        self.origins.push(url.into());
        self
    }

    /// How old a proof may be, beside the leeway between clocks: a minute unless set.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many proofs are remembered while they could be used again: a million unless set, at about 35 bytes each and twice. One
    /// key may take a tenth of them. Beyond that, requests with a proof are answered 503: by default with more than some 8,000
    /// of them a second, or 800 by one key.
    pub const fn max_proofs(mut self, proofs: usize) -> Self {
        self.max_proofs = proofs;
        self
    }

    /// Asks for a nonce of ours in each proof (§9), so that none can be made in advance. Clients get a new one every five
    /// minutes, by an answer that tells them to try again. Nonces are made from 32 random bytes; guards that are given the same
    /// ones know each other's.
    pub const fn nonces(mut self, secret: [u8; 32]) -> Self {
        self.nonce_secret = Some(secret);
        self
    }

    /// Refuses bearer tokens.
    pub const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Has all replicas together accept a proof once: see [`RedisProofs`].
    #[cfg(feature = "redis")]
    pub fn shared(mut self, through: RedisProofs) -> Self {
        self.redis = Some(Box::new(through));
        self
    }

    pub(crate) fn build(
        self,
        audience: &str,
        tokens: &TokenPolicy,
        clock: &Clock,
    ) -> Result<Proofs, DpopError> {
        let window = Window { max_age: self.max_age, leeway: tokens.leeway_between_clocks() };
        let shared = self.open(audience, window, clock)?;
        let origins = if self.origins.is_empty() {
            vec![Place { prefix: String::new(), ..Place::of(audience.to_owned())? }]
        } else {
            self.origins.into_iter().map(Place::of).collect::<Result<_, _>>()?
        };
        Ok(Proofs {
            origins,
            algorithms: tokens.listed().to_vec(),
            window,
            replays: Replays::new(window.whole(), self.max_proofs),
            shared,
            nonces: self.nonce_secret.as_ref().map(Nonces::new),
            is_required: self.is_required,
        })
    }

    #[cfg(feature = "redis")]
    fn open(&self, audience: &str, window: Window, clock: &Clock) -> Result<Option<Shared>, DpopError> {
        let opened = self.redis.as_ref().map(|redis| redis.open(audience, window, clock));
        opened.transpose().map_err(|error| DpopError::Url(error.to_string()))
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature is that of the feature")]
    fn open(&self, _: &str, _: Window, _: &Clock) -> Result<Option<Shared>, DpopError> {
        Ok(None)
    }
}

impl Default for Dpop {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Dpop {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Dpop")
            .field("origins", &self.origins)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Where clients reach the service.
struct Place {
    origin: String,
    /// What of the path does not arrive here.
    prefix: String,
}

impl Place {
    fn of(text: String) -> Result<Self, DpopError> {
        match Url::parse(&text) {
            Ok(url) if is_secure(&url) => Ok(Self {
                origin: url.origin().ascii_serialization(),
                prefix: url.path().trim_end_matches('/').to_owned(),
            }),
            _ => Err(DpopError::NotAnOrigin(text)),
        }
    }
}

/// Checks proofs.
pub(crate) struct Proofs {
    origins: Vec<Place>,
    algorithms: Vec<Algorithm>,
    window: Window,
    replays: Replays,
    shared: Option<Shared>,
    nonces: Option<Nonces>,
    is_required: bool,
}

impl Proofs {
    pub(crate) const fn are_required(&self) -> bool {
        self.is_required
    }

    /// Where used proofs are shared, if they are to be.
    pub(super) const fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// The names of the algorithms that proofs may be signed by, for challenges.
    pub(crate) fn algorithms(&self) -> String {
        self.algorithm_names().join(" ")
    }

    pub(crate) fn algorithm_names(&self) -> Vec<&'static str> {
        self.algorithms.iter().map(|algorithm| algorithm.name()).collect()
    }

    /// Checks that a request has a proof, made for it and for the token, by the key of this thumbprint (§4.3). Whether it was
    /// used before is for [`note`](Self::note) to say.
    pub(super) fn check(
        &self,
        parts: &Parts,
        (token, thumbprint): (&str, &str),
        now: Instant,
    ) -> Result<Name, BindingFault> {
        let header = exactly_one(&parts.headers, HEADER);
        let header = header.ok_or(BindingFault::Proof("there is not exactly one"))?;
        let text = header.to_str().map_err(|_| BindingFault::Proof("it is not a compact JWS"))?;
        let proof = Proof::verify(text, thumbprint, &self.algorithms).map_err(|fault| match fault {
            ProofFault::Malformed(what) => BindingFault::Proof(what),
            ProofFault::OtherKey => BindingFault::Token(TokenFault::SenderConstrained),
        })?;
        self.check_claims(&proof.claims, parts, token, now).map_err(BindingFault::Proof)?;
        self.check_nonce(proof.claims.nonce.as_deref(), now)?;
        Ok(name_of(&proof, thumbprint))
    }

    /// Notes that a proof is used, unless it was before: here first, so that one that is known costs no round trip. Gives what is
    /// still to be asked for elsewhere.
    pub(super) fn note(&self, name: Name, now: Instant) -> Result<Option<Claim>, BindingFault> {
        match self.replays.note(name, now) {
            Seen::Never => self.shared.as_ref().map_or(Ok(None), |shared| shared.claim(name, now)),
            Seen::Before => Err(BindingFault::USED),
            Seen::Full => Err(BindingFault::Full),
        }
    }

    fn check_claims(
        &self,
        claims: &ProofClaims,
        parts: &Parts,
        token: &str,
        now: Instant,
    ) -> Result<(), &'static str> {
        if claims.htm != parts.method.as_str() {
            return Err("it is for another method");
        }
        if !self.is_for(&claims.htu, parts) {
            return Err("it is for another URL");
        }
        let NumericDate(made) = claims.iat;
        if !self.window.is_open(made, now.unix_secs) {
            return Err("it was not made just now");
        }
        let of_token = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        let own = claims.ath.as_deref().unwrap_or_default();
        verify_slices_are_equal(own.as_bytes(), of_token.as_bytes()).map_err(|_| "it is for another token")
    }

    /// Whether a URL is the one of a request, but for query and fragment. Both are read by one parser.
    fn is_for(&self, htu: &str, parts: &Parts) -> bool {
        let Ok(url) = Url::parse(htu) else { return false };
        let (origin, path) = (url.origin().ascii_serialization(), target(parts).path());
        let is_ours = |own: &Place| {
            let whole = Url::parse(&format!("{origin}{}{path}", own.prefix));
            own.origin == origin && whole.is_ok_and(|own| normal(own.path()) == normal(url.path()))
        };
        let reached = parts.extensions.get::<ClientOrigin>();
        url.username().is_empty()
            && url.password().is_none()
            && reached.is_none_or(|reached| reached.as_str() == origin)
            && self.origins.iter().any(is_ours)
    }

    fn check_nonce(&self, nonce: Option<&str>, now: Instant) -> Result<(), BindingFault> {
        let Some(nonces) = &self.nonces else { return Ok(()) };
        if nonce.is_some_and(|nonce| nonces.is_fresh(nonce, now.unix_secs)) {
            return Ok(());
        }
        let new: HeaderValue = nonces.current(now.unix_secs);
        Err(BindingFault::Nonce(new))
    }
}

/// A path with each percent-encoding in one form (RFC 3986 §6.2.2): letters of it large, and none that is not needed.
fn normal(path: &str) -> Vec<u8> {
    const NEEDED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let mut parts = path.split('%');
    let mut normal = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        match u8::from_str_radix(code, 16) {
            Ok(byte) => normal.extend(percent_encode(&[byte], NEEDED).flat_map(str::bytes)),
            Err(_) => normal.extend([b"%", code.as_bytes()].concat()),
        }
        normal.extend(rest.as_bytes());
    }
    normal
}

/// The name of a proof among all proofs: two keys may use one `jti`.
fn name_of(proof: &Proof, thumbprint: &str) -> Name {
    let half = |parts: &[&[u8]]| -> [u8; 16] {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().first_chunk::<16>().copied().unwrap_or_default()
    };
    let (key, name) = (thumbprint.as_bytes(), proof.claims.jti.as_bytes());
    Name { proof: half(&[key, b"\0", name]), key: half(&[key]), made: proof.claims.iat.0 }
}
