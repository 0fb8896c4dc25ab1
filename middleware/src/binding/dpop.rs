//! Proofs of possession, one for each request (RFC 9449).

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use http::request::Parts;

use super::nonce::Nonces;
use super::proof::Proof;
use super::replay::{Name, Replays, Seen};
use super::rules::{DpopError, Place, Rules};
#[cfg(feature = "redis")]
use super::shared::RedisProofs;
use super::window::Window;
use super::{BindingFault, Claim, Instant, Shared};
use crate::clock::Clock;
use crate::jwks::Algorithm;
use crate::token::TokenPolicy;

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
        let replays = Replays::new(window.whole(), self.max_proofs);
        let is_required = self.is_required;
        let origins =
            if self.origins.is_empty() { vec![Place::of_audience(audience)?] } else { self.places()? };
        let rules = Rules {
            origins,
            algorithms: tokens.listed().to_vec(),
            window,
            nonces: self.nonce_secret.as_ref().map(Nonces::new),
        };
        Ok(Proofs { rules, replays, shared, is_required })
    }

    /// What proofs of requests for tokens are held to, by clocks that are apart by no more than this.
    pub(super) fn rules(&self, leeway: Duration) -> Result<Rules, DpopError> {
        Ok(Rules {
            origins: self.places()?,
            algorithms: Algorithm::ALL.to_vec(),
            window: Window { max_age: self.max_age, leeway },
            nonces: self.nonce_secret.as_ref().map(Nonces::new),
        })
    }

    fn places(&self) -> Result<Vec<Place>, DpopError> {
        self.origins.iter().cloned().map(Place::of).collect()
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

/// Checks proofs.
pub(crate) struct Proofs {
    rules: Rules,
    replays: Replays,
    shared: Option<Shared>,
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
        self.rules.algorithm_names()
    }

    /// Checks that a request has a proof, made for it and for the token, by the key of this thumbprint (§4.3). Whether it was
    /// used before is for [`note`](Self::note) to say.
    pub(super) fn check(
        &self,
        parts: &Parts,
        (token, thumbprint): (&str, &str),
        now: Instant,
    ) -> Result<Name, BindingFault> {
        let proof = self.rules.check(parts, (Some(token), Some(thumbprint)), now.unix_secs)?;
        Ok(name_of(&proof))
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
}

/// The name of a proof among all proofs: two keys may use one `jti`.
fn name_of(proof: &Proof) -> Name {
    let half = |parts: &[&[u8]]| -> [u8; 16] {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().first_chunk::<16>().copied().unwrap_or_default()
    };
    let (key, name) = (proof.thumbprint.as_bytes(), proof.claims.jti.as_bytes());
    Name { proof: half(&[key, b"\0", name]), key: half(&[key]), made: proof.claims.iat.0 }
}
