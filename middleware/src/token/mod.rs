//! Verifying access tokens (RFC 9068, RFC 8725): from a string in a header to a [`Principal`].

mod astray;
mod bearer;
mod cache;
mod claims;
mod cookie;
mod details;
mod fault;
mod generic;
mod jws;
mod placed;
mod principal;

use std::sync::Arc;
use std::time::Duration;

use astray::Astray;
pub(crate) use bearer::{BearerFault, Credential, Scheme, credential};
use cache::TokenCache;
pub(crate) use claims::{AccessClaims, Audience, Implied, NumericDate, Rules, is_current, part};
pub use cookie::{CookieTokens, NotAHostCookie};
pub(crate) use cookie::{Sharing, TokenCookie};
pub(crate) use fault::TokenFault;
use jws::LastHeader;
pub(crate) use jws::{Jws, object, present};
pub use principal::Principal;
pub(crate) use principal::Verified;
#[cfg(test)]
pub(crate) use principal::tests;
#[cfg(test)]
mod vectors;

use crate::clock::Clock;
use crate::jwks::{Algorithm, Lookup, Trust, Trusts};
use crate::revocation::Revoked;
use crate::schedule::Moment;

/// What access tokens are held to.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    max_lifetime: Duration,
    max_bytes: usize,
    cache_bytes: usize,
}

impl TokenPolicy {
    /// The rules of RFC 9068: type `at+jwt`, and `iss`, `aud`, `exp`, `iat`, `sub`, `client_id` and `jti`
    /// present; 30 seconds of leeway, 24 hours of life and 8 KiB at most. An issuer whose tokens are others is trusted with
    /// its own [`TokenForm`](crate::TokenForm).
    pub fn rfc9068() -> Self {
        Self {
            algorithms: Algorithm::ALL.to_vec(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_hours(24),
            max_bytes: 8 * 1024,
            cache_bytes: 8 * 1024 * 1024,
        }
    }

    /// Accepts these signature algorithms only. A key is still bound to the one that it is made for.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far this machine's clock and the issuer's may be apart.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The longest time that may lie between `iat` and `exp`.
    #[must_use]
    pub const fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// The longest token that is looked at, in bytes.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How much memory the cache of verified tokens may take: 8 MiB unless set; 0 turns it off.
    #[must_use]
    pub const fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }
}

impl TokenPolicy {
    pub(crate) fn listed(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// What the claims of a token are held to at a second of the Unix epoch.
    pub(crate) const fn rules<'a>(&self, audience: &'a str, now: u64) -> Rules<'a> {
        Rules { audience, leeway: self.leeway, max_lifetime: self.max_lifetime, now }
    }

    pub(crate) const fn longest(&self) -> usize {
        self.max_bytes
    }

    pub(crate) const fn leeway_between_clocks(&self) -> Duration {
        self.leeway
    }
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self::rfc9068()
    }
}

/// What came of a token.
pub(crate) enum Verification {
    Refused(TokenFault),
    /// The keys that would decide are not to be had: not the caller's fault.
    Unavailable,
    Verified(Principal),
    /// New keys may decide: wait for them, then verify once more.
    Waiting(Arc<Trust>),
}

/// Whether a verification may still ask for new keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    First,
    Last,
}

/// Both hands of the clock.
#[derive(Clone, Copy)]
struct Now {
    unix_secs: u64,
    moment: Moment,
}

/// Verifies access tokens for one audience.
pub(crate) struct Verifier {
    trusts: Arc<Trusts>,
    audience: String,
    policy: TokenPolicy,
    cache: TokenCache,
    last_header: LastHeader,
    clock: Clock,
    /// What was revoked, when somebody tells.
    revoked: Option<Arc<Revoked>>,
    astray: Astray,
}

impl Verifier {
    pub(crate) fn new(
        trusts: Arc<Trusts>,
        audience: String,
        policy: TokenPolicy,
        clock: Clock,
        revoked: Option<Arc<Revoked>>,
    ) -> Self {
        let cache = TokenCache::new(policy.cache_bytes);
        let (last_header, astray) = (LastHeader::default(), Astray::default());
        Self { trusts, audience, policy, cache, last_header, clock, revoked, astray }
    }

    /// What tokens have to be for.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// The longest token that is looked at, in bytes.
    pub(crate) const fn longest(&self) -> usize {
        self.policy.max_bytes
    }

    /// How far the clocks may be apart.
    pub(crate) const fn leeway(&self) -> Duration {
        self.policy.leeway
    }

    /// Verifies a token by keys that may be older by `tolerance` than their limit.
    pub(crate) fn verify(&self, token: &str, tolerance: Duration, attempt: Attempt) -> Verification {
        if token.len() > self.policy.max_bytes {
            return Verification::Refused(TokenFault::TooLong);
        }
        let now = self.now(tolerance);
        match self.remembered(token, now) {
            Some(Ok(principal)) => Verification::Verified(principal),
            Some(Err(fault)) => Verification::Refused(fault),
            None => self.verify_afresh(token, now, attempt).unwrap_or_else(Verification::Refused),
        }
    }

    /// Whether a token that was verified before, for this caller, is still good. Gives the caller anew where the keys have changed
    /// since.
    pub(crate) fn verify_again(
        &self,
        caller: &Principal,
        token: &str,
        tolerance: Duration,
    ) -> Result<Option<Principal>, Verification> {
        let now = self.now(tolerance);
        match self.judge_again(caller.verified(), now) {
            Some(Ok(())) => Ok(None),
            Some(Err(fault)) => Err(Verification::Refused(fault)),
            None => match self.verify_afresh(token, now, Attempt::Last) {
                Ok(Verification::Verified(caller)) => Ok(Some(caller)),
                Ok(other) => Err(other),
                Err(fault) => Err(Verification::Refused(fault)),
            },
        }
    }

    fn now(&self, tolerance: Duration) -> Now {
        Now { unix_secs: self.clock.unix_secs(), moment: Moment { now: self.clock.steady(), tolerance } }
    }

    /// A token that was verified before, under the keys that hold now.
    fn remembered(&self, token: &str, now: Now) -> Option<Result<Principal, TokenFault>> {
        let verified = self.cache.get(token)?;
        let Some(outcome) = self.judge_again(&verified, now) else {
            // Keys that are too old here may do for another route, so then the token stays.
            if self.generation(&verified, now).is_some() {
                self.cache.remove(token);
            }
            return None;
        };
        if outcome.is_err() {
            self.cache.remove(token);
        }
        Some(outcome.map(|()| Principal::from(verified)))
    }

    /// What has become of a token that was good. Nothing is known of it under other keys.
    fn judge_again(&self, verified: &Verified, now: Now) -> Option<Result<(), TokenFault>> {
        if self.generation(verified, now)? != verified.generation {
            return None;
        }
        if !is_current(verified.claims.dates.exp, self.policy.leeway.as_secs(), now.unix_secs) {
            return Some(Err(TokenFault::Expired));
        }
        Some(if verified.is_revoked(self.revoked.as_deref()) { Err(TokenFault::Revoked) } else { Ok(()) })
    }

    /// Which keys of its issuer hold now.
    fn generation(&self, verified: &Verified, now: Now) -> Option<u64> {
        self.trusts.get(verified.trust)?.generation(now.moment)
    }

    fn verify_afresh(&self, token: &str, now: Now, attempt: Attempt) -> Result<Verification, TokenFault> {
        let max_bytes = self.policy.max_bytes;
        let (jws, iss) = Jws::parse_after(token, max_bytes, &self.last_header)?;
        let Some((index, trust)) = self.trusts.of(&iss) else {
            self.astray.issued(now.moment.now, &iss, || self.trusts.names().join(" "));
            return Err(TokenFault::UnknownIssuer);
        };
        let form = trust.token_form();
        jws.check_form(form)?;
        let (key, generation) = match trust.lookup(jws.key_name(), now.moment) {
            Lookup::Found { key, generation } => (key, generation),
            missing => return missing_key(&missing, trust, attempt),
        };
        if !self.policy.algorithms.contains(&key.algorithm()) {
            return Err(TokenFault::Algorithm);
        }
        jws.verify(&key)?;
        self.last_header.remember(&jws);
        let claims = if form.is_rfc9068() {
            AccessClaims::parse(&jws.payload)?
        } else {
            generic::claims(&jws, form, &self.audience)?
        };
        self.check(&claims, now)?;
        let token: Arc<str> = token.into();
        let verified = Verified::new(claims, jws.payload, index, generation).by(Arc::clone(&token));
        if verified.is_revoked(self.revoked.as_deref()) {
            return Err(TokenFault::Revoked);
        }
        let verified = Arc::new(verified);
        self.cache.insert(&token, &verified);
        Ok(Verification::Verified(Principal::from(verified)))
    }

    fn check(&self, claims: &AccessClaims, now: Now) -> Result<(), TokenFault> {
        let checked = claims.check(&self.policy.rules(&self.audience, now.unix_secs));
        if checked == Err(TokenFault::Audience) {
            self.astray.addressed(now.moment.now, &claims.addressees(), &self.audience);
        }
        checked
    }
}

/// What to do when the issuer's keys, as they are known here, do not decide.
fn missing_key(lookup: &Lookup, trust: &Arc<Trust>, attempt: Attempt) -> Result<Verification, TokenFault> {
    if attempt == Attempt::First && trust.may_refresh() {
        return Ok(Verification::Waiting(Arc::clone(trust)));
    }
    match lookup {
        // While the issuer has not answered, a key that is new to us may well be good: no false 401.
        Lookup::NoSuchKey if !trust.is_unsettled() => Err(TokenFault::UnknownKey),
        Lookup::Found { .. } | Lookup::NoKeys | Lookup::NoSuchKey => Ok(Verification::Unavailable),
    }
}
