//! How long a proof is taken.

use std::time::Duration;

/// How old a proof may be, by clocks that differ.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) max_age: Duration,
    /// How far two clocks may be apart.
    pub(super) leeway: Duration,
}

impl Window {
    /// Whether one that was made then is taken now.
    pub(super) fn is_open(self, made: u64, now: u64) -> bool {
        let leeway = self.leeway.as_secs();
        let oldest = now.saturating_sub(self.max_age.as_secs()).saturating_sub(leeway);
        (oldest..=now.saturating_add(leeway)).contains(&made)
    }

    /// From the first second in which one is taken, by the fastest clock, to the end of the last one by the slowest.
    pub(super) const fn whole(self) -> Duration {
        let Self { max_age, leeway } = self;
        leeway.saturating_mul(2).saturating_add(max_age).saturating_add(Duration::from_secs(1))
    }

    /// How long one may still be taken somewhere: also by the clock of a replica that is as late as may be.
    #[cfg(feature = "redis")]
    pub(super) fn left(self, made: u64, now: u64) -> Duration {
        let end = self.whole().saturating_add(Duration::from_secs(made));
        end.saturating_sub(Duration::from_secs(now))
    }
}

#[cfg(test)]
#[cfg(feature = "redis")]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_outlives_a_proof_by_every_clock_that_is_as_late_as_may_be() {
        let secs = Duration::from_secs;
        let window = Window { max_age: secs(60), leeway: secs(30) };
        let made = 1_000;
        let taken: Vec<u64> = (800..1_200).filter(|now| window.is_open(made, *now)).collect();
        assert_eq!((taken.first(), taken.last()), (Some(&970), Some(&1_090)));
        for now in taken {
            let kept = window.left(made, now).as_secs();
            for behind in 0..=30 {
                assert!(!window.is_open(made, now - behind + kept), "{now} {behind}");
            }
            assert!(window.is_open(made, now - 30 + kept - 1), "and not for longer: {now}");
        }
        assert_eq!(window.left(made, 5_000), Duration::ZERO);
        assert_eq!(window.left(u64::MAX, 0).as_secs(), u64::MAX, "a time that nobody lives to see");
    }
}
