//! Proofs that were used, so that none is used twice.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::Instant;

/// A name of a proof that nobody else's has: half of a SHA-256 digest; and the same of its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Name {
    pub(super) proof: [u8; 16],
    pub(super) key: [u8; 16],
    /// When it was made, as it says.
    pub(super) made: u64,
}

/// One key may take this part of the room.
const SHARE: usize = 10;

/// The proofs of the last while, in two halves: the older one goes when the younger one is as old as a proof can be good for.
pub(super) struct Replays {
    halves: Mutex<Halves>,
    good_for: Duration,
    most: usize,
}

#[derive(Default)]
struct Halves {
    younger: Half,
    older: Half,
    since: Duration,
    /// When the youngest proof that is forgotten was made, by itself.
    forgotten: u64,
}

#[derive(Default)]
struct Half {
    proofs: HashSet<[u8; 16], RandomState>,
    by_key: HashMap<[u8; 16], usize, RandomState>,
    /// When the youngest of them was made, by itself.
    youngest: u64,
}

/// What is known of a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Before,
    Never,
    /// There is no room to remember it, or none that this key may take.
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
            let is_recent = age < self.good_for.saturating_mul(2);
            let (kept, gone) = if is_recent { (younger, 0) } else { (Half::default(), younger.youngest) };
            let older = mem::replace(&mut halves.older, kept);
            halves.forgotten = halves.forgotten.max(older.youngest).max(gone);
            halves.since = now.steady;
        }
        // Such a one is too old, but by a clock that was put back. Nobody knows any more whether it was used.
        if name.made <= halves.forgotten {
            return Seen::Before;
        }
        if halves.younger.proofs.contains(&name.proof) || halves.older.proofs.contains(&name.proof) {
            return Seen::Before;
        }
        let (most, share) = (self.most, (self.most / SHARE).max(1));
        let half = &mut halves.younger;
        let of_key = half.by_key.get(&name.key).copied().unwrap_or_default();
        if half.proofs.len() >= most || of_key >= share {
            return Seen::Full;
        }
        half.proofs.insert(name.proof);
        half.by_key.insert(name.key, of_key + 1);
        half.youngest = half.youngest.max(name.made);
        Seen::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant { unix_secs: 0, steady: Duration::from_secs(secs) }
    }

    fn name(proof: u8, key: u8) -> Name {
        Name { proof: [proof; 16], key: [key; 16], made: 1_000 }
    }

    #[test]
    fn a_proof_is_known_for_as_long_as_it_could_be_good_and_not_for_ever() {
        let replays = Replays::new(Duration::from_secs(100), 100);
        for (proof, secs, made, seen) in [
            (1, 0, 1_000, Seen::Never),
            (1, 0, 1_000, Seen::Before),
            (1, 99, 1_000, Seen::Before),
            (2, 99, 1_099, Seen::Never),
            (1, 100, 1_000, Seen::Before),
            (2, 198, 1_099, Seen::Before),
            (3, 200, 1_200, Seen::Never),
            (2, 299, 1_250, Seen::Never),
            (3, 900, 1_900, Seen::Never),
        ] {
            assert_eq!(replays.note(Name { made, ..name(proof, 0) }, at(secs)), seen, "{proof} at {secs}");
        }
    }

    #[test]
    fn what_is_as_old_as_something_forgotten_is_not_taken_for_new() {
        let replays = Replays::new(Duration::from_secs(100), 100);
        let note = |proof, secs, made| replays.note(Name { made, ..name(proof, 0) }, at(secs));
        assert_eq!([note(1, 0, 1_000), note(2, 100, 1_100), note(3, 200, 1_200)], [Seen::Never; 3]);
        assert_eq!(
            [note(1, 200, 1_000), note(4, 200, 1_000), note(5, 200, 1_001)],
            [Seen::Before, Seen::Before, Seen::Never]
        );
        assert_eq!(note(6, 1_000, 2_000), Seen::Never);
        assert_eq!(note(3, 1_000, 1_200), Seen::Before, "after a long rest, too");
    }

    #[test]
    fn when_no_more_can_be_remembered_none_is_taken_for_new_and_no_key_takes_all_the_room() {
        let replays = Replays::new(Duration::from_secs(100), 20);
        let note = |proof, key, secs| replays.note(name(proof, key), at(secs));
        assert_eq!([note(0, 0, 0), note(1, 0, 0), note(2, 0, 0)], [Seen::Never, Seen::Never, Seen::Full]);
        for key in 1..10 {
            assert_eq!([note(key * 10, key, 0), note(key * 10 + 1, key, 0)], [Seen::Never; 2], "{key}");
        }
        assert_eq!(note(200, 200, 50), Seen::Full);
        assert_eq!(note(91, 9, 50), Seen::Before);
        assert_eq!(note(200, 200, 100), Seen::Never, "there is room again");
    }
}
