//! Sessions that have ended of late, for what goes on under them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;

use super::Sessions;
use super::seal::Handle;
use super::session::Visit;
use super::store::{StoreFault, StoreKey};

/// How many are remembered before the old ones are forgotten, and how long each is at least: longer than streams go on under one
/// access token.
const MANY: usize = 10_000;
const REMEMBERED: Duration = Duration::from_hours(24);

/// When sessions ended, by the steady clock, their keys and the names by which the issuer ends them.
#[derive(Default)]
pub(super) struct Ends(Mutex<List>);

#[derive(Default)]
struct List {
    ends: HashMap<StoreKey, Duration, RandomState>,
    /// How many there were after the old ones were forgotten last.
    kept: usize,
}

impl Ends {
    pub(super) fn note(&self, key: StoreKey, now: Duration) {
        let mut list = self.list();
        // After as many again at least, so that it is not gone through for each one where most of them are new.
        if list.ends.len() >= list.kept.saturating_mul(2).max(MANY) {
            list.ends.retain(|_, then| then.saturating_add(REMEMBERED) > now);
            list.kept = list.ends.len();
        }
        list.ends.insert(key, now);
    }

    fn has_any(&self, keys: impl IntoIterator<Item = StoreKey>, entered: Duration) -> bool {
        let ends = &self.list().ends;
        keys.into_iter().any(|key| ends.get(&key).is_some_and(|then| *then >= entered))
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Ends a session in the store, and what goes on under it here.
    pub(super) async fn end(&self, handle: Handle) -> Result<(), StoreFault> {
        let rules = self.rules();
        rules.store.end(handle.key()).await?;
        rules.underway.ends.note(handle.key(), rules.clock.steady());
        Ok(())
    }

    /// Whether a session has ended here since a request came with it.
    pub(crate) fn have_ended(&self, visit: &Arc<Visit>) -> bool {
        let keys = self.names_of(&visit.session.who).chain([visit.handle.key()]);
        self.rules().underway.ends.has_any(keys, visit.entered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> StoreKey {
        StoreKey::of("test", &[&number.to_be_bytes()])
    }

    #[test]
    fn the_old_ones_are_forgotten_when_there_are_many() {
        let ends = Ends::default();
        (0..MANY).for_each(|number| ends.note(key(number), Duration::ZERO));
        assert!(ends.has_any([key(7)], Duration::ZERO) && !ends.has_any([key(7)], Duration::from_nanos(1)));
        ends.note(key(MANY), REMEMBERED);
        assert_eq!(ends.list().ends.len(), 1);
    }

    #[test]
    fn many_that_are_new_are_gone_through_now_and_then_and_not_for_each_one() {
        let ends = Ends::default();
        let mut passes = Vec::new();
        for number in 0..5 * MANY {
            ends.note(key(number), Duration::ZERO);
            let kept = ends.list().kept;
            if passes.last() != Some(&kept) {
                passes.push(kept);
            }
        }
        assert_eq!(passes, [0, MANY, 2 * MANY, 4 * MANY]);
        assert!(ends.has_any([key(0)], Duration::ZERO), "none is forgotten early");
    }
}
