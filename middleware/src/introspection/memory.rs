//! What the issuer said of tokens, by their digests.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{UnitWeighter, Weighter};

use crate::schedule::Moment;
use crate::token::{TokenFault, Verified};

/// What an entry takes beside its strings, roughly.
const ENTRY_BYTES: usize = 768;

/// Of how many tokens it is remembered that they are not good. They have a place of their own, so that made-up tokens push out no
/// good one.
const MAX_REFUSED: usize = 4_096;

/// SHA-256 of a token: what stands for it wherever it is remembered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(token: &str) -> Self {
        let mut own = [0; 32];
        own.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
        Self(own)
    }

    /// A name for a token that has none.
    pub(super) fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// A token that is good, as the issuer said.
#[derive(Clone)]
pub(super) struct Good {
    pub(super) verified: Arc<Verified>,
    /// The generation of the keys that the answer was signed under, if it was.
    pub(super) generation: Option<u64>,
}

impl Good {
    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.verified.asked.unwrap_or_default())
    }
}

#[derive(Clone, Copy)]
struct Refused {
    fault: TokenFault,
    until: Duration,
}

/// What is remembered.
pub(super) struct Memory {
    good: Option<Cache<Digest, Good, ByBytes, RandomState>>,
    refused: Cache<Digest, Refused, UnitWeighter, RandomState>,
    good_for: Duration,
    refused_for: Duration,
}

#[derive(Clone)]
struct ByBytes {
    /// What an entry counts as at least, so that there are only so many.
    least: u64,
}

impl Weighter<Digest, Good> for ByBytes {
    fn weight(&self, _: &Digest, good: &Good) -> u64 {
        ((good.verified.payload_len() * 2 + ENTRY_BYTES) as u64).max(self.least)
    }
}

impl Memory {
    /// A memory of at most `bytes` and `tokens`; none for 0 of either, or no time.
    pub(super) fn new((good_for, refused_for): (Duration, Duration), bytes: usize, tokens: usize) -> Self {
        let is_any = bytes > 0 && tokens > 0 && !good_for.is_zero();
        let good = is_any.then(|| {
            let least = bytes.div_ceil(tokens) as u64;
            let items = tokens.min(bytes / ENTRY_BYTES).max(1);
            let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
            Cache::with(items, bytes as u64, ByBytes { least }, hasher, lifecycle)
        });
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        let refused = Cache::with(MAX_REFUSED, MAX_REFUSED as u64, UnitWeighter, hasher, lifecycle);
        Self { good, refused, good_for, refused_for }
    }

    /// A token that is good. How long ago that was said is for [`is_fresh`](Self::is_fresh) and [`is_near`](Self::is_near).
    pub(super) fn good(&self, digest: &Digest) -> Option<Good> {
        self.good.as_ref()?.get(digest)
    }

    pub(super) fn is_fresh(&self, good: &Good, now: Duration) -> bool {
        good.age(now) < self.good_for
    }

    pub(super) const fn good_for(&self) -> Duration {
        self.good_for
    }

    /// Whether it was said recently enough for a route that serves stale.
    pub(super) fn is_near(&self, good: &Good, moment: Moment) -> bool {
        let age = good.age(moment.now);
        age < self.good_for || age <= moment.tolerance
    }

    /// Why a token is not good.
    pub(super) fn refused(&self, digest: &Digest, now: Duration) -> Option<TokenFault> {
        let Refused { fault, until } = self.refused.get(digest)?;
        (now < until).then_some(fault)
    }

    pub(super) fn keep(&self, digest: Digest, good: Good) {
        self.refused.remove(&digest);
        if let Some(cache) = &self.good {
            cache.insert(digest, good);
        }
    }

    /// Takes it back that a token was good.
    pub(super) fn refuse(&self, digest: Digest, fault: TokenFault, now: Duration) {
        self.forget(&digest);
        if !self.refused_for.is_zero() {
            self.refused.insert(digest, Refused { fault, until: now.saturating_add(self.refused_for) });
        }
    }

    pub(super) fn forget(&self, digest: &Digest) {
        if let Some(cache) = &self.good {
            cache.remove(digest);
        }
    }

    /// Of how many tokens it is remembered that they are good.
    pub(super) fn len(&self) -> usize {
        self.good.as_ref().map_or(0, Cache::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::AccessClaims;

    const NEVER_ENDING: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(1));

    fn good(padding: usize) -> Good {
        let payload = format!(
            r#"{{"iss":"i","aud":"a","sub":"u","client_id":"c","jti":"j","exp":9,"iat":1,"pad":"{}"}}"#,
            "x".repeat(padding)
        );
        let claims = AccessClaims::parse(payload.as_bytes()).unwrap();
        let verified = Arc::new(Verified::new(claims, payload.into_bytes(), 0, 0));
        Good { verified, generation: None }
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_in_bytes() {
        for (bytes, tokens, padding, most) in
            [(1 << 20, 10, 0, 10), (64 << 10, 10_000, 0, 85), (64 << 10, 10_000, 8_000, 4)]
        {
            let memory = Memory::new(NEVER_ENDING, bytes, tokens);
            (0..200).for_each(|number| memory.keep(Digest::of(&number.to_string()), good(padding)));
            assert!((1..=most).contains(&memory.len()), "{} of {most}", memory.len());
        }
        for nothing in [Memory::new(NEVER_ENDING, 0, 10), Memory::new(NEVER_ENDING, 1 << 20, 0)] {
            nothing.keep(Digest::of("a"), good(0));
            assert_eq!(nothing.len(), 0);
        }
    }

    #[test]
    fn made_up_tokens_push_out_no_good_one_and_are_bounded_themselves() {
        let memory = Memory::new(NEVER_ENDING, 1 << 20, 100);
        memory.keep(Digest::of("good"), good(0));
        for number in 0..20_000 {
            memory.refuse(Digest::of(&number.to_string()), TokenFault::Inactive, Duration::ZERO);
        }
        assert!(memory.good(&Digest::of("good")).is_some());
        assert!(memory.refused.len() <= MAX_REFUSED, "{}", memory.refused.len());
    }

    #[test]
    fn a_token_that_was_refused_since_is_no_longer_good_and_the_other_way_round() {
        let (memory, token) = (Memory::new(NEVER_ENDING, 1 << 20, 100), Digest::of("a"));
        memory.keep(token, good(0));
        memory.refuse(token, TokenFault::Inactive, Duration::ZERO);
        assert!(memory.good(&token).is_none());
        assert_eq!(memory.refused(&token, Duration::ZERO), Some(TokenFault::Inactive));
        memory.keep(token, good(0));
        assert!(memory.good(&token).is_some() && memory.refused(&token, Duration::ZERO).is_none());
    }
}
