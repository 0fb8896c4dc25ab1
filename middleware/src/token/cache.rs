//! Tokens that have been verified, so that the next request with one costs no signature.

use std::hash::{BuildHasher, Hasher};
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
/// hash is seeded, and of the signature, which the issuer alone can make: so nobody can aim for one bucket. An entry proves that the signature was good under one
/// generation of the issuer's keys: expiry and generation are checked again at every use.
pub(crate) struct TokenCache(Option<Tokens>);

type Tokens = Cache<Arc<str>, Arc<Verified>, ByBytes, ByEnd>;

/// Hashes the end of a token. What stands before it is signed there, and much of it is the same in every token.
#[derive(Clone, Default)]
struct ByEnd(RandomState);

struct EndHasher<H>(H);

/// How much of a token is hashed: less than any signature is long.
const END_BYTES: usize = 64;

impl BuildHasher for ByEnd {
    type Hasher = EndHasher<<RandomState as BuildHasher>::Hasher>;

    fn build_hasher(&self) -> Self::Hasher {
        EndHasher(self.0.build_hasher())
    }
}

impl<H: Hasher> Hasher for EndHasher<H> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes.last_chunk::<END_BYTES>().map_or(bytes, |end| end.as_slice()));
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Arc<str>, Arc<Verified>> for ByBytes {
    fn weight(&self, token: &Arc<str>, verified: &Arc<Verified>) -> u64 {
        (token.len() + verified.payload_len() + ENTRY_BYTES) as u64
    }
}

impl TokenCache {
    /// A cache of at most `bytes`; none at all for 0.
    pub(crate) fn new(bytes: usize) -> Self {
        let typical = ENTRY_BYTES * 3;
        Self((bytes > 0).then(|| {
            let (items, weight) = ((bytes / typical).max(1), bytes as u64);
            Cache::with(items, weight, ByBytes, ByEnd::default(), DefaultLifecycle::default())
        }))
    }

    pub(crate) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.0.as_ref()?.get(token)
    }

    pub(crate) fn insert(&self, token: &Arc<str>, verified: &Arc<Verified>) {
        if let Some(cache) = &self.0 {
            cache.insert(Arc::clone(token), Arc::clone(verified));
        }
    }

    pub(crate) fn remove(&self, token: &str) {
        if let Some(cache) = &self.0 {
            cache.remove(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::AccessClaims;

    fn verified() -> Arc<Verified> {
        let payload =
            br#"{"iss":"i","aud":"a","sub":"u","client_id":"c","jti":"j","exp":2,"iat":1}"#.to_vec();
        Arc::new(Verified::new(AccessClaims::parse(&payload).unwrap(), payload, 0, 1))
    }

    #[test]
    fn a_token_is_found_by_all_of_it() {
        let (cache, end) = (TokenCache::new(1 << 20), "s".repeat(2 * END_BYTES));
        let token: Arc<str> = format!("one.{end}").into();
        cache.insert(&token, &verified());
        assert!(cache.get(&token).is_some());
        for other in
            [format!("two.{end}"), end.clone(), format!("one.{end}s"), "one".to_owned(), String::new()]
        {
            assert!(cache.get(&other).is_none(), "{other}");
        }
        cache.remove(&format!("two.{end}"));
        assert!(cache.get(&token).is_some());
        cache.remove(&token);
        assert!(cache.get(&token).is_none());
    }
}
