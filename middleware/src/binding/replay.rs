//! Proofs that were used, so that none is used twice.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Instant;

/// A name of a proof that nobody else's has: half of a SHA-256 digest.
pub(super) type Name = [u8; 16];

type Names = std::collections::HashSet<Name, foldhash::fast::RandomState>;

/// The proofs of the last while, in two halves: the older one goes when the younger one is as old as a proof can be good for.
pub(super) struct Replays {
    halves: Mutex<Halves>,
    good_for: Duration,
    most: usize,
}

#[derive(Default)]
struct Halves {
    younger: Names,
    older: Names,
    since: Duration,
}

/// What is known of a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Before,
    Never,
    /// There is no room to remember it.
    Full,
}

impl Replays {
    /// Remembers proofs for as long as they can be good, `most` in each half.
    pub(super) fn new(good_for: Duration, most: usize) -> Self {
        Self { halves: Mutex::default(), good_for, most }
    }

    /// Notes that a proof is used.
    pub(super) fn note(&self, name: Name, now: Instant) -> Seen {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.steady.saturating_sub(halves.since);
        if age >= self.good_for {
            let younger = mem::take(&mut halves.younger);
            // After a long rest neither half has anything that could still be used.
            halves.older = if age < self.good_for * 2 { younger } else { Names::default() };
            halves.since = now.steady;
        }
        if halves.younger.contains(&name) || halves.older.contains(&name) {
            return Seen::Before;
        }
        if halves.younger.len() >= self.most {
            return Seen::Full;
        }
        halves.younger.insert(name);
        Seen::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant { unix_secs: 0, steady: Duration::from_secs(secs) }
    }

    #[test]
    fn a_proof_is_known_for_as_long_as_it_could_be_good_and_not_for_ever() {
        let replays = Replays::new(Duration::from_secs(100), 10);
        for (name, secs, seen) in [
            (1, 0, Seen::Never),
            (1, 0, Seen::Before),
            (1, 99, Seen::Before),
            (2, 99, Seen::Never),
            (1, 100, Seen::Before),
            (2, 198, Seen::Before),
            (3, 200, Seen::Never),
            (2, 299, Seen::Never),
            (3, 900, Seen::Never),
        ] {
            assert_eq!(replays.note([name; 16], at(secs)), seen, "{name} at {secs}");
        }
    }

    #[test]
    fn when_no_more_can_be_remembered_none_is_taken_for_new() {
        let replays = Replays::new(Duration::from_secs(100), 3);
        for name in 0..3 {
            assert_eq!(replays.note([name; 16], at(0)), Seen::Never);
        }
        assert_eq!(replays.note([3; 16], at(50)), Seen::Full);
        assert_eq!(replays.note([2; 16], at(50)), Seen::Before);
        assert_eq!(replays.note([3; 16], at(100)), Seen::Never, "there is room again");
    }
}
