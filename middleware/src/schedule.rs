//! When to ask again, at a steady pace while things go well and with back-off while they do not; and how old what was
//! heard last may become.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::status::Source;

/// A pace and a back-off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Between two rounds that went well.
    pub(crate) every: Duration,
    /// After the first failure; doubled for each further one.
    pub(crate) first_retry: Duration,
    pub(crate) last_retry: Duration,
}

impl Schedule {
    /// The pause after so many failures in a row, moved by up to a tenth so that replicas spread out.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return jittered(self.every, spread()) };
        let retry = self.first_retry.saturating_mul(1_u32 << doublings.min(16));
        jittered(retry.min(self.last_retry), spread())
    }
}

/// A moment of the steady clock, and how old knowledge may be then beyond the limits that hold for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Duration,
    pub(crate) tolerance: Duration,
}

impl Moment {
    /// A moment at which the limits hold as they are.
    pub(crate) const fn strict(now: Duration) -> Self {
        Self { now, tolerance: Duration::ZERO }
    }

    /// A moment at which nothing is too old.
    pub(crate) const fn lenient(now: Duration) -> Self {
        Self { now, tolerance: Duration::MAX }
    }
}

/// When something was last confirmed, by the steady clock; negative when that was before the clock began.
#[derive(Debug)]
pub(crate) struct Confirmed {
    at: AtomicI64,
    by_disk: AtomicBool,
}

/// No age limit is longer ago than this.
const NEVER: i64 = i64::MIN;

impl Confirmed {
    /// Whoever knows has just said that it holds.
    pub(crate) fn mark(&self, now: Duration) {
        self.at.store(millis(now), Ordering::Release);
        self.by_disk.store(false, Ordering::Release);
    }

    /// It was found on the disk, and had been confirmed `age` ago.
    pub(crate) fn recall(&self, age: Duration, now: Duration) {
        self.at.store(millis(now).saturating_sub(millis(age)), Ordering::Release);
        self.by_disk.store(true, Ordering::Release);
    }

    pub(crate) fn is_by_disk(&self) -> bool {
        self.by_disk.load(Ordering::Acquire)
    }

    pub(crate) fn source(&self) -> Source {
        if self.is_by_disk() { Source::Disk } else { Source::Network }
    }

    pub(crate) fn is_older_than(&self, limit: Duration, moment: Moment) -> bool {
        let age = millis(moment.now).saturating_sub(self.at.load(Ordering::Acquire));
        age > millis(limit.max(moment.tolerance))
    }

    /// How long it is from now on not older than `limit`; nothing if it is, or was never confirmed.
    pub(crate) fn left(&self, limit: Duration, now: Duration) -> Option<Duration> {
        limit.checked_sub(self.age(now)?)
    }

    /// How long ago, if ever.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        let at = self.at.load(Ordering::Acquire);
        let age = millis(now).saturating_sub(at);
        (at != NEVER).then(|| Duration::from_millis(u64::try_from(age).unwrap_or_default()))
    }
}

impl Default for Confirmed {
    fn default() -> Self {
        Self { at: AtomicI64::new(NEVER), by_disk: AtomicBool::new(false) }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Nine tenths to eleven tenths of a pause, by where `spread` lies in 0 to 65,535.
fn jittered(pause: Duration, spread: u16) -> Duration {
    pause.mul_f64(0.9 + 0.2 * f64::from(spread) / f64::from(u16::MAX))
}

/// A number that differs between processes and calls. Nothing secret depends on it.
fn spread() -> u16 {
    let [low, high, ..] = RandomState::new().hash_one(()).to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        every: Duration::from_mins(1),
        first_retry: Duration::from_secs(1),
        last_retry: Duration::from_secs(5),
    };

    #[test]
    fn pauses_double_up_to_the_last() {
        for (failures, secs) in [(0, 60.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (u32::MAX, 5.0)] {
            let pause = SCHEDULE.pause(failures).as_secs_f64();
            assert!((0.9 * secs..=1.1 * secs).contains(&pause), "{failures}: {pause}");
        }
    }

    #[test]
    fn an_age_counts_from_the_last_confirmation_and_may_lie_before_the_clock_began() {
        let secs = Duration::from_secs;
        let (confirmed, limit) = (Confirmed::default(), secs(60));
        assert!(confirmed.is_older_than(limit, Moment::strict(secs(1))), "what was never confirmed is old");
        assert_eq!((confirmed.age(secs(1)), confirmed.left(limit, secs(1))), (None, None));
        confirmed.recall(secs(59), secs(1));
        assert!(confirmed.is_by_disk() && !confirmed.is_older_than(limit, Moment::strict(secs(2))));
        assert_eq!(confirmed.age(secs(2)), Some(secs(60)));
        assert_eq!((confirmed.left(limit, secs(1)), confirmed.left(limit, secs(3))), (Some(secs(1)), None));
        assert!(confirmed.is_older_than(limit, Moment::strict(secs(3))));
        confirmed.mark(secs(3));
        assert!(!confirmed.is_by_disk() && !confirmed.is_older_than(limit, Moment::strict(secs(63))));
        assert!(confirmed.is_older_than(limit, Moment::strict(secs(64))));
    }

    #[test]
    fn a_tolerance_makes_a_limit_longer_and_never_shorter() {
        let secs = Duration::from_secs;
        let confirmed = Confirmed::default();
        confirmed.mark(secs(0));
        let is_old = |limit, tolerance| {
            confirmed.is_older_than(secs(limit), Moment { now: secs(100), tolerance: secs(tolerance) })
        };
        assert!(is_old(99, 0) && is_old(99, 99) && is_old(0, 99));
        assert!(!is_old(99, 100) && !is_old(100, 1));
        assert!(!confirmed.is_older_than(secs(0), Moment::lenient(secs(100))));
    }

    #[test]
    fn jitter_spans_a_tenth_to_either_side() {
        let secs = |spread| jittered(Duration::from_secs(10), spread).as_secs_f64();
        assert!((secs(0) - 9.0).abs() < 1e-6 && (secs(u16::MAX) - 11.0).abs() < 1e-6);
    }
}
