//! Tokens that have been verified, so that the next request with one costs no signature.

use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::principal::Verified;

/// What an entry takes beside its strings, roughly.
const ENTRY_BYTES: usize = 512;

/// A cache of verified tokens, bounded in bytes.
///
/// The key is the whole token, compared by equality, so nothing that was not verified can be found; the
/// hash is seeded, so nobody can aim for one bucket. An entry proves that the signature was good under one
/// generation of the issuer's keys: expiry and generation are checked again at every use.
pub(crate) struct TokenCache(Option<Tokens>);

type Tokens = Cache<Box<str>, Arc<Verified>, ByBytes, RandomState>;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Verified>> for ByBytes {
    fn weight(&self, token: &Box<str>, verified: &Arc<Verified>) -> u64 {
        (token.len() + verified.payload_len() + ENTRY_BYTES) as u64
    }
}

impl TokenCache {
    /// A cache of at most `bytes`; none at all for 0.
    pub(crate) fn new(bytes: usize) -> Self {
        let typical = ENTRY_BYTES * 3;
        Self((bytes > 0).then(|| {
            let (items, weight) = ((bytes / typical).max(1), bytes as u64);
            Cache::with(items, weight, ByBytes, RandomState::default(), DefaultLifecycle::default())
        }))
    }

    pub(crate) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.0.as_ref()?.get(token)
    }

    pub(crate) fn insert(&self, token: &str, verified: &Arc<Verified>) {
        if let Some(cache) = &self.0 {
            cache.insert(token.into(), Arc::clone(verified));
        }
    }

    pub(crate) fn remove(&self, token: &str) {
        if let Some(cache) = &self.0 {
            cache.remove(token);
        }
    }
}
