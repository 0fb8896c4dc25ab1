//! Telling clients what they are to be told until they take it: how long somebody tries, and how soon again.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;

use crate::domain::clock::Timestamp;
use crate::domain::secret::{Digest32, Entropy};
use crate::storage::StoreError;
use crate::storage::leases::Lease;

/// How long a notice is whose it is: longer than a request may take, so that nobody sends it a second time meanwhile.
const LEASE: Duration = Duration::from_mins(1);
/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Why a client did not take a notice.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// It will not take it, ever.
    ForGood(String),
    /// It may take it later.
    ForNow(String),
}

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 200;

impl Undelivered {
    /// The same with what is kept of the reason.
    pub(crate) fn shortened(self) -> Self {
        match self {
            Self::ForGood(reason) => Self::ForGood(shortened(&reason)),
            Self::ForNow(reason) => Self::ForNow(shortened(&reason)),
        }
    }
}

/// What is kept of a reason in whose text the other side has a part.
pub(crate) fn shortened(reason: &str) -> String {
    reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect()
}

/// What is on its way.
pub(crate) struct Flights(Vec<JoinHandle<()>>);

impl Flights {
    pub(crate) fn of(begun: impl Iterator<Item = JoinHandle<()>>) -> Self {
        Self(begun.collect())
    }

    pub(crate) async fn join_all(self) {
        for flight in self.0 {
            _ = flight.await;
        }
    }
}

/// So many places for what is on its way. What takes its time keeps one place, and holds up nothing else.
struct Places {
    most: u32,
    flights: FuturesUnordered<JoinHandle<()>>,
}

impl Places {
    fn new(most: u32) -> Self {
        Self { most, flights: FuturesUnordered::new() }
    }

    /// How many are free.
    fn room(&self) -> u32 {
        self.most.saturating_sub(u32::try_from(self.flights.len()).unwrap_or(self.most))
    }

    /// Takes some.
    fn fill(&mut self, begun: Flights) {
        self.flights.extend(begun.0);
    }

    /// Waits until one is free again; `false` when all of them are.
    async fn one_is_done(&mut self) -> bool {
        self.flights.next().await.is_some()
    }
}

/// Begins what is due, so many at one time, until nothing is and all of it has ended. `begin` takes as much as there is room for.
pub(crate) async fn send_due<Begun>(most: u32, begin: impl Fn(u32) -> Begun) -> Result<(), StoreError>
where
    Begun: Future<Output = Result<Option<Flights>, StoreError>>,
{
    let mut places = Places::new(most);
    loop {
        let taken = match places.room() {
            0 => None,
            room => begin(room).await?,
        };
        match taken {
            Some(flights) => places.fill(flights),
            None if !places.one_is_done().await => return Ok(()),
            None => {}
        }
    }
}

/// Makes what is taken now whose it is.
pub(crate) fn new_lease(entropy: &Entropy, now: Timestamp) -> Lease {
    lease_for(LEASE, entropy, now)
}

/// The same for so long.
pub(crate) fn lease_for(time: Duration, entropy: &Entropy, now: Timestamp) -> Lease {
    Lease { token: Digest32::of(&entropy.bytes::<16>()).hex(), until: now.plus(time) }
}

/// Doubling waits, each shortened at random by up to a half, so that clients that were away are not met by everything at once.
pub(crate) fn wait_after(attempts: u32, longest: Duration, entropy: &Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = FIRST_WAIT.saturating_mul(1 << doublings).min(longest);
    let [part] = entropy.bytes::<1>();
    whole.mul_f64(1.0 - f64::from(part) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_differ() {
        let entropy = Entropy::seeded(1);
        for (attempts, whole) in [(1, 5), (2, 10), (5, 80), (11, 3_600), (u32::MAX, 3_600)] {
            let whole = Duration::from_secs(whole);
            for _ in 0..100 {
                let wait = wait_after(attempts, Duration::from_hours(1), &entropy);
                assert!(whole / 2 < wait && wait <= whole, "{attempts}: {wait:?}");
            }
        }
        assert!(wait_after(9, Duration::from_mins(1), &entropy) <= Duration::from_mins(1));
        let waits: Vec<_> = (0..10).map(|_| wait_after(5, Duration::from_hours(1), &entropy)).collect();
        assert!(waits.iter().any(|wait| wait != &waits[0]), "{waits:?}");
    }
}
