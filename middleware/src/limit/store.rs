//! Where limits remember their keys: in bounded memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use foldhash::quality;
use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::clock::Clock;

const SHARDS: usize = 16;

/// How often it is said that memory is too small.
const REMINDER: Duration = Duration::from_hours(1);

/// A store of states by key that holds at most about `2 * max_keys` keys, however many are tried.
///
/// Each shard keeps two generations. A key that is asked for moves to the young one; when that is full it
/// becomes the old one, and the old one is forgotten. What is forgotten was not asked for during a whole
/// generation: a caller who keeps calling, an abuser above all, is never dropped for others to come in.
pub(super) struct BoundedStore<S> {
    shards: Box<[Mutex<Shard<S>>]>,
    /// Addresses are much alike, and each shard is to have its part of them: the fast one leaves some shards fuller than others.
    hasher: quality::RandomState,
    keys_per_shard: usize,
    watch: Watch,
}

struct Shard<S> {
    young: HashMap<u128, S, RandomState>,
    old: HashMap<u128, S, RandomState>,
    /// When the old generation became one.
    turned_at: Duration,
}

/// Says when something was forgotten that still counted.
struct Watch {
    name: &'static str,
    clock: Clock,
    /// After so long, a state says no more than that there is none.
    memory: Duration,
    /// When it was said last, in seconds, plus one; 0 if it never was.
    said: AtomicU64,
}

impl<S: Copy> BoundedStore<S> {
    /// A store for the limit `name`, whose states count for as long as `memory`.
    pub(super) fn new(max_keys: usize, name: &'static str, memory: Duration, clock: &Clock) -> Self {
        let shard = || {
            Mutex::new(Shard {
                young: HashMap::default(),
                old: HashMap::default(),
                turned_at: Duration::ZERO,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: quality::RandomState::default(),
            keys_per_shard: (max_keys / SHARDS).max(1),
            watch: Watch { name, clock: clock.clone(), memory, said: AtomicU64::new(0) },
        }
    }

    /// Gives `measure` the state of a key, and keeps the one that it gives back. An error changes no state.
    pub(super) fn update<T, E>(
        &self,
        key: u128,
        measure: impl FnOnce(Option<S>) -> Result<(T, S), E>,
    ) -> Result<T, E> {
        let Some(shard) = self.shard(key) else {
            // There is a shard for every hash. Were there none, this key would start afresh.
            return measure(None).map(|(outcome, _)| outcome);
        };
        // The maps are whole after any panic: each is changed by one call at a time.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // Nearly every key is young: it is looked up once.
        if let Some(state) = shard.young.get_mut(&key) {
            return measure(Some(*state)).map(|(outcome, next)| {
                *state = next;
                outcome
            });
        }
        let known = shard.old.get(&key).copied();
        match measure(known) {
            Ok((outcome, state)) => {
                self.remember(&mut shard, key, state);
                Ok(outcome)
            }
            Err(refusal) => {
                if let Some(state) = known {
                    self.remember(&mut shard, key, state);
                }
                Err(refusal)
            }
        }
    }

    /// Takes a key among the young ones.
    fn remember(&self, shard: &mut Shard<S>, key: u128, state: S) {
        if shard.young.len() >= self.keys_per_shard {
            let now = self.watch.clock.steady();
            if !shard.old.is_empty() && now.saturating_sub(shard.turned_at) < self.watch.memory {
                self.watch.say(now);
            }
            shard.old = std::mem::take(&mut shard.young);
            shard.turned_at = now;
        }
        shard.young.insert(key, state);
    }

    fn shard(&self, key: u128) -> Option<&Mutex<Shard<S>>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
        self.shards.get(hash % SHARDS)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.map(|shard| shard.young.len() + shard.old.len()).sum()
    }
}

impl StateStore for BoundedStore<Nanos> {
    type Key = u128;

    fn measure_and_replace<T, F, E>(&self, key: &u128, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.update(*key, measure)
    }
}

impl Watch {
    fn say(&self, now: Duration) {
        let said = self.said.load(Ordering::Relaxed);
        let is_due = said == 0 || now.as_secs() + 1 >= said + REMINDER.as_secs();
        let mark =
            |said| self.said.compare_exchange(said, now.as_secs() + 1, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && mark(said).is_ok() {
            tracing::warn!(
                limit = self.name,
                "more callers than the limit remembers: those who ask least often are counted anew; raise max_keys"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> BoundedStore<Nanos> {
        BoundedStore::new(1_024, "test", Duration::ZERO, &Clock::from_fn(|| Duration::ZERO))
    }

    fn spend(store: &BoundedStore<Nanos>, key: u128) -> u64 {
        let next = |state: Option<Nanos>| {
            let seen = state.map_or(0, Nanos::as_u64);
            Ok::<_, ()>((seen, Nanos::new(seen + 1)))
        };
        store.measure_and_replace(&key, next).unwrap()
    }

    // HT-04
    #[test]
    fn a_million_keys_stay_within_the_bound() {
        let store = store();
        for key in 0..1_000_000 {
            spend(&store, key);
        }
        assert!(store.len() <= 2 * 1_024, "{}", store.len());
    }

    #[test]
    fn a_caller_who_keeps_calling_is_not_forgotten() {
        let store = store();
        for key in 0..100_000_u128 {
            spend(&store, key + 10);
            if key % 100 == 0 {
                assert_eq!(u128::from(spend(&store, 1)), key / 100);
            }
        }
    }

    // HT-04: those who abuse it are kept.
    #[test]
    fn a_refused_caller_is_not_forgotten_either() {
        let store = store();
        spend(&store, 1);
        for key in 0..100_000_u128 {
            spend(&store, key + 10);
            if key % 100 == 0 {
                let refused = store.measure_and_replace(&1, |state| Err::<((), Nanos), _>(state.is_some()));
                assert_eq!(refused, Err(true));
            }
        }
    }

    #[test]
    fn it_is_said_once_an_hour_that_states_were_forgotten_that_still_counted() {
        let hand = std::sync::Arc::new(AtomicU64::new(0));
        let clock = {
            let hand = hand.clone();
            Clock::from_fn(move || Duration::from_secs(hand.load(Ordering::Relaxed)))
        };
        let store = BoundedStore::<Nanos>::new(1_024, "test", Duration::from_mins(1), &clock);
        let said = || store.watch.said.load(Ordering::Relaxed);
        let mut keys = 0..;
        let mut fill = |secs: u64| {
            hand.store(secs, Ordering::Relaxed);
            keys.by_ref().take(4_096).for_each(|key| {
                spend(&store, key);
            });
        };
        let calm = BoundedStore::<Nanos>::new(1_024, "test", Duration::ZERO, &clock);
        (0..10_000).for_each(|key| {
            spend(&calm, key);
        });
        assert_eq!(calm.watch.said.load(Ordering::Relaxed), 0, "what nobody misses is not spoken of");
        fill(100);
        assert_eq!(said(), 101);
        fill(3_000);
        assert_eq!(said(), 101);
        fill(3_700);
        assert_eq!(said(), 3_701);
    }
}
