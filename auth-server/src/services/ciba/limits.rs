//! How often a client may ask people, and how often it may ask for somebody who does not exist.
//!
//! Names that nobody has cost a client many times what others cost, so that it may ask for the people that it knows and not find out
//! whom else there is. Once it has used up what it may ask, it is told so of every name.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::{ClientId, UserId};
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one};

/// Cells of a table: half a megabyte in all.
const BITS: u32 = 15;
/// Requests of one client to one person, at once and in a minute.
const TO_ONE_PERSON: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
/// What a name costs that nobody has, beside what each costs.
const UNKNOWN_COST: NonZeroU32 = NonZeroU32::new(99).expect("ninety-nine is not zero");
/// What it costs in all.
const WHOLE_COST: NonZeroU32 = NonZeroU32::new(100).expect("a hundred is not zero");

/// The limits and their counters.
#[derive(Clone)]
pub(crate) struct PeopleLimits(Arc<Inner>);

/// Places for clients that are out of names. Two that share one wait for each other, for a moment.
const PLACES: usize = 1 << 10;

struct Inner {
    seed: [u8; 32],
    clock: Clock,
    names: Buckets,
    people: Buckets,
    /// Until when a client that could not pay for an unknown name may give none, in microseconds.
    shut_until: Box<[AtomicI64]>,
    /// In what time it could have paid for it.
    each: Duration,
}

impl PeopleLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        let unknown = at_least_one(limits.login_per_address_per_minute);
        Self(Arc::new(Inner {
            seed: entropy.bytes(),
            clock: clock.clone(),
            shut_until: (0..PLACES).map(|_| AtomicI64::new(0)).collect(),
            each: Duration::from_mins(1) / unknown.get(),
            names: Buckets::new(Quota::per_minute(unknown.saturating_mul(WHOLE_COST)), BITS, clock),
            people: Buckets::new(Quota::per_minute(TO_ONE_PERSON), BITS, clock),
        }))
    }

    /// Counts that a client names somebody, or says how long to wait.
    pub(super) fn may_name(&self, client: &ClientId) -> Result<(), Duration> {
        let (key, now) = (self.name(client), self.0.clock.now());
        let shut_until = self.place(key).map_or(0, |place| place.load(Ordering::Acquire));
        match Timestamp::from_micros(shut_until).since(now) {
            Duration::ZERO => self.0.names.take(key, NonZeroU32::MIN),
            wait => Err(wait),
        }
    }

    /// Counts that nobody has the name. Who cannot pay for it gives no other until it could have: each of them would tell as much.
    pub(super) fn was_unknown(&self, client: &ClientId) {
        let key = self.name(client);
        if self.0.names.take(key, UNKNOWN_COST).is_err() {
            let until = self.0.clock.now().plus(self.0.each).as_micros();
            self.place(key).map(|place| place.fetch_max(until, Ordering::AcqRel));
        }
    }

    fn place(&self, key: Key) -> Option<&AtomicI64> {
        self.0.shut_until.get(key.place(PLACES))
    }

    /// Counts a request to a person, or says how long to wait.
    pub(super) fn may_ask(&self, client: &ClientId, user: &UserId) -> Result<(), Duration> {
        let parts = [client.as_str().as_bytes(), b" ", user.as_str().as_bytes()];
        self.0.people.take(Key::new(&self.0.seed, b'p', &parts), NonZeroU32::MIN)
    }

    fn name(&self, client: &ClientId) -> Key {
        Key::new(&self.0.seed, b'n', &[client.as_str().as_bytes()])
    }
}
