//! How often people change what they say of themselves, and the like: each of it is written down for good.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::domain::clock::Clock;
use crate::domain::ids::UserId;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one};

/// Changes of one person in a minute.
const CHANGES: NonZeroU32 = at_least_one(20);
/// How often one person does in an hour what is much work, or undoes much.
const RARE: NonZeroU32 = at_least_one(5);
const BITS: u32 = 13;

/// Counts per person.
#[derive(Clone)]
pub(crate) struct ChangeLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    people: Buckets,
}

impl ChangeLimits {
    pub(crate) fn new(clock: &Clock, entropy: &Entropy) -> Self {
        Self::of(Quota::per_minute(CHANGES), clock, entropy)
    }

    /// For what people do now and then.
    pub(crate) fn rare(clock: &Clock, entropy: &Entropy) -> Self {
        Self::of(Quota::per_hour(RARE), clock, entropy)
    }

    fn of(quota: Quota, clock: &Clock, entropy: &Entropy) -> Self {
        let people = Buckets::new(quota, BITS, clock);
        Self(Arc::new(Inner { seed: entropy.bytes(), people }))
    }

    /// Counts one, or says how long to wait.
    pub(crate) fn admit(&self, user: &UserId) -> Result<(), Duration> {
        let Inner { seed, people } = &*self.0;
        people.take(Key::new(seed, b'u', &[user.as_str().as_bytes()]), NonZeroU32::MIN)
    }
}
