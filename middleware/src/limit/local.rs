//! Counting in the memory of this process.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;

use super::quota::{Calendar, Period, Quota, Window};
use super::store::BoundedStore;
use crate::clock::Clock;

/// What is left of a quota, and after how long all of it is there again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Left {
    pub(super) remaining: u32,
    pub(super) reset: Duration,
}

/// A quota does not suffice now: it will after so long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Short(pub(super) Duration);

/// What came of a request, and the quota that it was held to.
pub(super) struct Settled {
    pub(super) outcome: Result<Left, Short>,
    pub(super) quota: Quota,
}

/// What counts: a bucket that refills, or a window of the calendar.
pub(super) enum Local {
    Bucket(Box<Bucket>),
    Tally(Tally),
}

/// Of which limit it counts, and how many keys.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) name: &'static str,
    pub(super) max_keys: usize,
    pub(super) clock: &'a Clock,
}

impl Local {
    /// `None` if nothing would pass.
    pub(super) fn new(quota: Quota, scope: Scope<'_>) -> Option<Self> {
        match quota.period() {
            Period::Calendar(calendar) => {
                (!quota.is_empty()).then(|| Self::Tally(Tally::new(quota, calendar, scope)))
            }
            Period::Rolling(_) => Bucket::new(quota, scope).map(Box::new).map(Self::Bucket),
        }
    }

    pub(super) fn spend(&self, key: u128, cost: NonZeroU32) -> Result<Left, Short> {
        match self {
            Self::Bucket(bucket) => bucket.spend(key, cost),
            Self::Tally(tally) => tally.spend(key, cost.get()),
        }
    }

    /// Takes what is there, `most` at most. Nothing is owed beyond that.
    pub(super) fn drain(&self, key: u128, mut most: u32) -> Option<Left> {
        let mut left = None;
        let mut part = most;
        while let Some(cost) = NonZeroU32::new(part) {
            if let Ok(spent) = self.spend(key, cost) {
                left = Some(spent);
                most -= part;
                part = part.min(most);
            } else {
                part /= 2;
            }
        }
        left
    }
}

/// The generic cell rate algorithm.
pub(super) struct Bucket {
    governor: RateLimiter<u128, BoundedStore<Nanos>, Steady, StateInformationMiddleware>,
    interval: Duration,
    burst: u32,
    clock: Steady,
}

impl Bucket {
    fn new(quota: Quota, scope: Scope<'_>) -> Option<Self> {
        let burst = NonZeroU32::new(quota.capacity())?;
        let interval = quota.interval()?;
        let rate = governor::Quota::with_period(interval)?.allow_burst(burst);
        let clock = Steady(scope.clock.clone());
        let store = BoundedStore::new(scope.max_keys, scope.name, quota.memory(), scope.clock);
        let governor = RateLimiter::new(rate, store, clock.clone());
        Some(Self { governor, interval, burst: burst.get(), clock })
    }

    fn spend(&self, key: u128, cost: NonZeroU32) -> Result<Left, Short> {
        // A cost above the burst was cut down to it before. Here it would be multiplied first, and might not fit.
        let is_affordable = cost.get() <= self.burst;
        let checked = match cost {
            NonZeroU32::MIN => self.governor.check_key(&key),
            _ if !is_affordable => return Err(Short(self.interval)),
            _ => self.governor.check_key_n(&key, cost).map_err(|_| Short(self.interval))?,
        };
        match checked {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Ok(Left {
                    remaining,
                    reset: self.interval.saturating_mul(self.burst.saturating_sub(remaining)),
                })
            }
            Err(until) => Err(Short(until.wait_time_from(self.clock.now()))),
        }
    }
}

/// The steady hand of the guard's clock, as the limiter wants to see it.
#[derive(Clone)]
struct Steady(Clock);

impl governor::clock::Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.steady()
    }
}

/// A count for each key, in a window of the calendar.
pub(super) struct Tally {
    calendar: Calendar,
    amount: u32,
    counts: BoundedStore<Count>,
    clock: Clock,
}

#[derive(Clone, Copy)]
struct Count {
    window: u32,
    used: u32,
}

impl Tally {
    fn new(quota: Quota, calendar: Calendar, scope: Scope<'_>) -> Self {
        let counts = BoundedStore::new(scope.max_keys, scope.name, quota.memory(), scope.clock);
        Self { calendar, amount: quota.amount(), counts, clock: scope.clock.clone() }
    }

    fn spend(&self, key: u128, cost: u32) -> Result<Left, Short> {
        let now = self.clock.unix_secs();
        let current = self.calendar.window(now);
        let until = |window: Window| Duration::from_secs(window.ends.saturating_sub(now));
        self.counts.update(key, |known| {
            let (window, used) = match known {
                Some(Count { window, used }) if window == current.number => (current, used),
                // A clock that was set back opens no window again. One that was set far back was wrong before.
                Some(Count { window, used }) if window == current.number.saturating_add(1) => {
                    (self.calendar.window(current.ends), used)
                }
                Some(_) | None => (current, 0),
            };
            let used = used
                .checked_add(cost)
                .filter(|used| *used <= self.amount)
                .ok_or_else(|| Short(until(window)))?;
            let left = Left { remaining: self.amount - used, reset: until(window) };
            Ok((left, Count { window: window.number, used }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Saturday, 31 January 2026, 23:00 UTC.
    const EVENING: u64 = 1_769_900_400;

    fn dial(secs: u64) -> (Clock, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(secs));
        let read = Arc::clone(&hand);
        (Clock::from_fn(move || Duration::from_secs(read.load(Ordering::Relaxed))), hand)
    }

    fn local(quota: Quota, clock: &Clock) -> Local {
        Local::new(quota, Scope { name: "test", max_keys: 1_024, clock }).unwrap()
    }

    fn spend(local: &Local, key: u128, cost: u32) -> Result<u32, u64> {
        let cost = NonZeroU32::new(cost).unwrap();
        local.spend(key, cost).map(|left| left.remaining).map_err(|short| short.0.as_secs())
    }

    #[test]
    fn a_day_is_full_again_at_midnight_in_utc() {
        let (clock, hand) = dial(EVENING);
        let day = local(Quota::per_day(3), &clock);
        assert_eq!([2, 1, 0].map(Ok), [(); 3].map(|()| spend(&day, 1, 1)));
        assert_eq!(spend(&day, 1, 1), Err(3_600));
        assert_eq!(spend(&day, 2, 1), Ok(2), "another key has a count of its own");
        hand.store(EVENING + 3_599, Ordering::Relaxed);
        assert_eq!(spend(&day, 1, 1), Err(1));
        hand.store(EVENING + 3_600, Ordering::Relaxed);
        assert_eq!(spend(&day, 1, 1), Ok(2));
    }

    #[test]
    fn a_month_ends_with_its_last_day() {
        let (clock, hand) = dial(EVENING);
        let month = local(Quota::per_month(1), &clock);
        assert_eq!(spend(&month, 1, 1), Ok(0));
        assert_eq!(spend(&month, 1, 1), Err(3_600));
        hand.store(EVENING + 3_600, Ordering::Relaxed);
        assert_eq!(spend(&month, 1, 1), Ok(0));
        assert_eq!(spend(&month, 1, 1), Err(28 * 86_400), "February");
    }

    #[test]
    fn a_clock_that_is_set_back_opens_no_window_again_and_closes_none_for_long() {
        let (clock, hand) = dial(EVENING + 3_600);
        let day = local(Quota::per_day(1), &clock);
        assert_eq!(spend(&day, 1, 1), Ok(0));
        hand.store(EVENING, Ordering::Relaxed);
        assert_eq!(spend(&day, 1, 1), Err(90_000), "the window that was begun goes on");
        assert_eq!(spend(&day, 2, 1), Ok(0));
        hand.store(EVENING - 86_400 * 365, Ordering::Relaxed);
        assert_eq!(spend(&day, 1, 1), Ok(0), "a year ahead was an error");
    }

    #[test]
    fn what_costs_more_than_is_left_takes_nothing() {
        let (clock, _) = dial(EVENING);
        for quota in [Quota::per_day(10), Quota::per_hour(10)] {
            let local = local(quota, &clock);
            assert_eq!(spend(&local, 1, 7), Ok(3), "{quota:?}");
            assert!(spend(&local, 1, 4).is_err(), "{quota:?}");
            assert_eq!(spend(&local, 1, 3), Ok(0), "{quota:?}");
        }
    }

    #[test]
    fn draining_takes_what_is_there_and_leaves_no_debt() {
        let (clock, hand) = dial(EVENING);
        let bucket = local(Quota::per_minute(60).burst(3), &clock);
        assert_eq!(bucket.drain(1, 2).map(|left| left.remaining), Some(1));
        assert_eq!(bucket.drain(1, u32::MAX).map(|left| left.remaining), Some(0));
        assert_eq!(bucket.drain(1, u32::MAX), None);
        hand.fetch_add(1, Ordering::Relaxed);
        assert_eq!(spend(&bucket, 1, 1), Ok(0));
    }

    #[test]
    fn a_quota_of_any_size_is_counted_without_an_overflow() {
        let (clock, _) = dial(u64::MAX / 1_000_000_000 / 1_000);
        for quota in [
            Quota::per_hour(1).burst(u32::MAX),
            Quota::per_minute(7).burst(u32::MAX),
            Quota::per_second(u32::MAX),
            Quota::per_day(u32::MAX),
            Quota::per_month(u32::MAX),
        ] {
            let most = quota.capacity();
            let local = local(quota, &clock);
            assert_eq!(spend(&local, 1, most), Ok(0), "{quota:?}");
            assert!(spend(&local, 1, u32::MAX).is_err(), "{quota:?}");
            assert!(local.drain(2, u32::MAX).is_some_and(|left| left.remaining == 0), "{quota:?}");
        }
        assert_eq!(Quota::per_hour(1).burst(u32::MAX).capacity(), 876_600, "a century");
    }

    #[test]
    fn threads_that_spend_at_once_spend_what_there_is_and_no_more() {
        let (clock, _) = dial(EVENING);
        for quota in [Quota::per_hour(1_000), Quota::per_day(1_000)] {
            let local = local(quota, &clock);
            let served = |cost| (0..400).filter(|_| spend(&local, 1, cost).is_ok()).count();
            let spent: usize = std::thread::scope(|scope| {
                let threads = [1, 2, 1, 2].map(|cost| scope.spawn(move || served(cost) * cost as usize));
                threads.map(|thread| thread.join().unwrap()).iter().sum()
            });
            assert_eq!(spent, 1_000, "{quota:?}");
        }
    }

    #[test]
    fn an_empty_quota_counts_nothing() {
        let (clock, _) = dial(EVENING);
        for quota in
            [Quota::per_second(0), Quota::per_second(1).burst(0), Quota::per_day(0), Quota::per_month(0)]
        {
            assert!(
                Local::new(quota, Scope { name: "test", max_keys: 16, clock: &clock }).is_none(),
                "{quota:?}"
            );
        }
    }
}
