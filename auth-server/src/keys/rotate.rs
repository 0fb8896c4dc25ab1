//! When a key takes over from another: arithmetic on times, nothing else.
//!
//! A key is published, then signs, then is published a while longer. It stops signing when its successor starts, so a key's row
//! never has to be changed: everything follows from the times at which the keys of one algorithm begin to sign.
//!
//! ```text
//! key 1   ====signs====|--published--|
//! key 2       --published--|====signs====|--published--|
//!             ^ made       ^ takes over
//! ```

use std::time::Duration;

use crate::domain::clock::Timestamp;

/// How long before its first signature a key is published when an operator asks for a rotation. Guards and clients ask for the
/// key set again after at most an hour.
const NOTICE: Duration = Duration::from_hours(1);
/// The same in an emergency: time for each replica to load the key. Verifiers look again when they meet an unknown key id.
const SHORT_NOTICE: Duration = Duration::from_mins(1);
/// Clocks of verifiers may be behind ours.
const SKEW: Duration = Duration::from_hours(1);

/// The rhythm in which keys follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// For how long a key signs.
    pub(crate) rotate_after: Duration,
    /// For how long it is published before and after; at least as long as the longest token lives.
    pub(crate) overlap: Duration,
}

/// How an operator wants a key replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// With time for every verifier to learn of the new key.
    Orderly,
    /// As fast as replicas can follow.
    Urgent,
}

impl Schedule {
    /// Whether the last key of an algorithm needs a successor now, and from when that one signs.
    pub(crate) fn successor_due(&self, last_signs_from: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let planned = last_signs_from.plus(self.rotate_after);
        // A server that was off for long is late: its new key still is published before it signs.
        (planned.minus(self.overlap) <= now).then(|| planned.max(now.plus(NOTICE)))
    }

    /// From when the successor signs when an operator asks for one now.
    pub(crate) fn successor_asked(now: Timestamp, urgency: Urgency) -> Timestamp {
        now.plus(match urgency {
            Urgency::Orderly => NOTICE,
            Urgency::Urgent => SHORT_NOTICE,
        })
    }

    /// Until when a key is published whose successor signs from then on.
    pub(crate) fn published_until(&self, successor_signs_from: Timestamp) -> Timestamp {
        successor_signs_from.plus(self.overlap).plus(SKEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const SCHEDULE: Schedule =
        Schedule { rotate_after: Duration::from_hours(90 * 24), overlap: Duration::from_hours(7 * 24) };

    fn start() -> Timestamp {
        Timestamp::from_secs(1_000_000)
    }

    #[test]
    fn a_successor_is_made_one_overlap_before_it_takes_over() {
        let takes_over = start().plus(90 * DAY);
        assert_eq!(
            SCHEDULE.successor_due(start(), start().plus(83 * DAY).minus(Duration::from_secs(1))),
            None
        );
        assert_eq!(SCHEDULE.successor_due(start(), start().plus(83 * DAY)), Some(takes_over));
    }

    #[test]
    fn a_server_that_was_off_still_announces_its_key_before_it_signs() {
        let now = start().plus(400 * DAY);
        assert_eq!(SCHEDULE.successor_due(start(), now), Some(now.plus(NOTICE)));
    }

    #[test]
    fn an_asked_for_key_is_announced_before_it_signs() {
        for urgency in [Urgency::Orderly, Urgency::Urgent] {
            assert!(Schedule::successor_asked(start(), urgency) > start());
        }
    }

    #[test]
    fn a_retired_key_outlives_the_tokens_it_signed() {
        assert!(SCHEDULE.published_until(start()) >= start().plus(7 * DAY));
    }
}
