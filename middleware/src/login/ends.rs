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

type List = HashMap<StoreKey, Duration, RandomState>;

impl Ends {
    pub(super) fn note(&self, key: StoreKey, now: Duration) {
        let mut ends = self.list();
        if ends.len() >= MANY {
            ends.retain(|_, then| then.saturating_add(REMEMBERED) > now);
        }
        ends.insert(key, now);
    }

    fn has_any(&self, keys: impl IntoIterator<Item = StoreKey>, entered: Duration) -> bool {
        let ends = self.list();
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
        let who = &visit.session.who;
        let names = who.sid.iter().map(|sid| self.named("sid", sid)).chain([self.named("sub", &who.sub)]);
        let keys = names.chain([visit.handle.key()]);
        self.rules().underway.ends.has_any(keys, visit.entered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_ones_are_forgotten_when_there_are_many() {
        let ends = Ends::default();
        let key = |number: usize| StoreKey::of("test", &[&number.to_be_bytes()]);
        (0..MANY).for_each(|number| ends.note(key(number), Duration::ZERO));
        assert!(ends.has_any([key(7)], Duration::ZERO) && !ends.has_any([key(7)], Duration::from_nanos(1)));
        ends.note(key(MANY), REMEMBERED);
        assert_eq!(ends.list().len(), 1);
    }
}
