//! How often whoever makes an account may try.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::domain::clock::Clock;
use crate::domain::secret::{Digest32, Entropy};
use crate::services::buckets::{Buckets, Key, at_least_one};
use crate::services::letter_limits::LetterLimits;
use crate::services::visit::Visit;

/// User names that may be tried with one link, and again that many in an hour: whoever has one learns which names there are.
const NAMES: NonZeroU32 = at_least_one(10);
const BITS: u32 = 13;

/// Counts per network together with other letters, and per link.
#[derive(Clone)]
pub(crate) struct SignUpLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    letters: LetterLimits,
    names: Buckets,
}

impl SignUpLimits {
    pub(crate) fn new(letters: LetterLimits, clock: &Clock, entropy: &Entropy) -> Self {
        let names = Buckets::new(Quota::per_hour(NAMES), BITS, clock);
        Self(Arc::new(Inner { seed: entropy.bytes(), letters, names }))
    }

    /// Counts one of a network, or says how long to wait.
    pub(super) fn admit(&self, visit: &Visit) -> Result<(), Duration> {
        self.0.letters.admit(visit.address)
    }

    /// Counts a user name that is tried with a link, or says how long to wait.
    pub(super) fn admit_name(&self, link: &Digest32) -> Result<(), Duration> {
        let Inner { seed, names, .. } = &*self.0;
        names.take(Key::new(seed, b'l', &[link.as_bytes()]), NonZeroU32::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::domain::clock::Timestamp;

    #[test]
    fn a_link_tries_a_few_names_and_another_link_its_own() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let entropy = Entropy::seeded(1);
        let letters = LetterLimits::new(&Limits::default(), &clock, &entropy);
        let limits = SignUpLimits::new(letters, &clock, &entropy);
        let tried = |link: &[u8]| (0..100).filter(|_| limits.admit_name(&Digest32::of(link)).is_ok()).count();
        assert_eq!((tried(b"one"), tried(b"other")), (10, 10));
        clock.advance(Duration::from_mins(6));
        assert_eq!(tried(b"one"), 1);
    }
}
