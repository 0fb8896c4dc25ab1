//! When to ask again: at a steady pace while things go well, with back-off while they do not.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// When something was last confirmed, by the steady clock.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(AtomicU64);

impl Confirmed {
    pub(crate) fn mark(&self, now: Duration) {
        self.0.store(millis(now), Ordering::Release);
    }

    pub(crate) fn is_older_than(&self, age: Duration, now: Duration) -> bool {
        millis(now).saturating_sub(self.0.load(Ordering::Acquire)) > millis(age)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    fn jitter_spans_a_tenth_to_either_side() {
        let secs = |spread| jittered(Duration::from_secs(10), spread).as_secs_f64();
        assert!((secs(0) - 9.0).abs() < 1e-6 && (secs(u16::MAX) - 11.0).abs() < 1e-6);
    }
}
