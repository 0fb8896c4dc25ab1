//! Where the limiter remembers its keys: in bounded memory.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use governor::nanos::Nanos;
use governor::state::StateStore;

const SHARDS: usize = 16;

/// A state store that holds at most about `2 * max_keys` keys, however many are tried.
///
/// Each shard keeps two generations. A key that is asked for moves to the young one; when that is full it
/// becomes the old one, and the old one is forgotten. What is forgotten was not asked for during a whole
/// generation: a caller who keeps calling, an abuser above all, is never dropped for others to come in.
pub(crate) struct BoundedStore {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    keys_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    young: HashMap<u128, Nanos, RandomState>,
    old: HashMap<u128, Nanos, RandomState>,
}

impl BoundedStore {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            keys_per_shard: (max_keys / SHARDS).max(1),
        }
    }

    fn shard(&self, key: u128) -> Option<&Mutex<Shard>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
        self.shards.get(hash % SHARDS)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.map(|shard| shard.young.len() + shard.old.len()).sum()
    }
}

impl StateStore for BoundedStore {
    type Key = u128;

    fn measure_and_replace<T, F, E>(&self, key: &u128, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(shard) = self.shard(*key) else {
            // There is a shard for every hash. Were there none, this key would start afresh.
            return measure(None).map(|(outcome, _)| outcome);
        };
        // The maps are whole after any panic: each is changed by one call at a time.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shard.young.get(key).or_else(|| shard.old.get(key)).copied();
        match measure(known) {
            Ok((outcome, state)) => {
                shard.remember(*key, state, self.keys_per_shard);
                Ok(outcome)
            }
            Err(refusal) => {
                if let Some(state) = known {
                    shard.remember(*key, state, self.keys_per_shard);
                }
                Err(refusal)
            }
        }
    }
}

impl Shard {
    fn remember(&mut self, key: u128, state: Nanos, capacity: usize) {
        if let Some(known) = self.young.get_mut(&key) {
            *known = state;
            return;
        }
        if self.young.len() >= capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(store: &BoundedStore, key: u128) -> u64 {
        let next = |state: Option<Nanos>| {
            let seen = state.map_or(0, Nanos::as_u64);
            Ok::<_, ()>((seen, Nanos::new(seen + 1)))
        };
        store.measure_and_replace(&key, next).unwrap()
    }

    #[test]
    fn a_million_keys_stay_within_the_bound() {
        let store = BoundedStore::new(1_024);
        for key in 0..1_000_000 {
            spend(&store, key);
        }
        assert!(store.len() <= 2 * 1_024, "{}", store.len());
    }

    #[test]
    fn a_caller_who_keeps_calling_is_not_forgotten() {
        let store = BoundedStore::new(1_024);
        for key in 0..100_000_u128 {
            spend(&store, key + 10);
            if key % 100 == 0 {
                assert_eq!(u128::from(spend(&store, 1)), key / 100);
            }
        }
    }

    #[test]
    fn a_refused_caller_is_not_forgotten_either() {
        let store = BoundedStore::new(1_024);
        spend(&store, 1);
        for key in 0..100_000_u128 {
            spend(&store, key + 10);
            if key % 100 == 0 {
                let refused = store.measure_and_replace(&1, |state| Err::<((), Nanos), _>(state.is_some()));
                assert_eq!(refused, Err(true));
            }
        }
    }
}
