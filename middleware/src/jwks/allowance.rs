//! How often requests may have keys fetched.

use std::time::Duration;

/// A stranger can invent key ids, and each may be that of a new key: so many fetches in a row are for requests, beside those of the
/// background. That is more than one, so that whoever invents an id now and then takes no new key's from it.
const MOST: u32 = 4;

/// In what time one more may be made: as often as that, and no more often, a flood of them has the issuer asked.
const EACH: Duration = Duration::from_secs(30);

/// The fetches that requests may have made: a bucket, by when it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    full_at: Duration,
}

impl Allowance {
    pub(super) fn is_left(self, now: Duration) -> bool {
        self.full_at.saturating_sub(now) <= EACH * (MOST - 1)
    }

    /// One fewer, down to none: what requests fetch while there are no keys at all is no debt of those that come after.
    pub(super) fn spent(self, now: Duration) -> Self {
        let empty = now.saturating_add(EACH * MOST);
        Self { full_at: self.full_at.max(now).saturating_add(EACH).min(empty) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many fetches are made by when something wants one every so many seconds, of an hour.
    fn made(every: usize) -> usize {
        let mut allowance = Allowance::default();
        let wanted = (0..3_600).step_by(every).map(Duration::from_secs);
        wanted
            .filter(|now| {
                let is_left = allowance.is_left(*now);
                if is_left {
                    allowance = allowance.spent(*now);
                }
                is_left
            })
            .count()
    }

    #[test]
    fn a_flood_has_a_few_made_and_then_one_in_thirty_seconds() {
        let mut allowance = Allowance::default();
        for _ in 0..MOST {
            assert!(allowance.is_left(Duration::ZERO));
            allowance = allowance.spent(Duration::ZERO);
        }
        assert!(!allowance.is_left(EACH.saturating_sub(Duration::from_nanos(1))));
        assert!(allowance.is_left(EACH) && !allowance.spent(EACH).is_left(EACH));
        assert_eq!(made(1), 120 + 3);
    }

    #[test]
    fn an_outage_leaves_no_debt() {
        let mut allowance = Allowance::default();
        let mut now = Duration::ZERO;
        for _ in 0..600 {
            now += Duration::from_secs(1);
            allowance = allowance.spent(now);
        }
        assert!(!allowance.is_left(now) && allowance.is_left(now + EACH));
    }

    #[test]
    fn one_every_thirty_seconds_leaves_others_for_whoever_needs_one() {
        let mut allowance = Allowance::default();
        for round in 1..1_000 {
            let now = EACH * round;
            allowance = allowance.spent(now);
            assert!(allowance.is_left(now) && allowance.spent(now).is_left(now), "{round}");
        }
    }
}
