//! Tokens that have been verified, so that the next request with one costs no signature.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::principal::Verified;

/// What an entry takes beside its strings, roughly.
const ENTRY_BYTES: usize = 512;

/// What a text in a list takes beside its letters: its place in the list, and what the allocator makes of a few letters.
const LISTED_BYTES: usize = 48;

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
        let listed = verified.claims.listed() * LISTED_BYTES;
        (token.len() + verified.payload_len() + listed + ENTRY_BYTES) as u64
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

    /// A token whose claims have something more, of this length, and what is known of it.
    fn token(number: usize, length: usize) -> (Arc<str>, Arc<Verified>) {
        let payload = format!(
            r#"{{"iss":"i","aud":"a","sub":"u","client_id":"c","jti":"{number}","exp":2,"iat":1,"x":"{}"}}"#,
            "x".repeat(length)
        );
        let text = format!("{payload}.{number:0>64}").into();
        let payload = payload.into_bytes();
        (text, Arc::new(Verified::new(AccessClaims::parse(&payload).unwrap(), payload, 0, 1)))
    }

    fn weight(cache: &TokenCache) -> u64 {
        cache.0.as_ref().unwrap().weight()
    }

    #[test]
    fn filled_past_its_bytes_the_cache_keeps_to_them_and_has_the_newest() {
        for (bytes, length) in [(64 << 10, 0), (64 << 10, 700), (1 << 20, 0), (1 << 20, 3_000)] {
            let cache = TokenCache::new(bytes);
            let insert = |(text, verified): (Arc<str>, Arc<Verified>)| {
                cache.insert(&text, &verified);
                assert!(cache.get(&text).is_some(), "the newest");
                assert!(weight(&cache) <= bytes as u64, "{}", weight(&cache));
            };
            let (text, verified) = token(0, length);
            let fits = bytes / usize::try_from(ByBytes.weight(&text, &verified)).unwrap();
            let flood = 20 * fits;
            (0..flood).for_each(|number| insert(token(number, length)));
            let kept = (0..flood).filter(|number| cache.get(&token(*number, length).0).is_some()).count();
            assert!((fits / 2..=fits).contains(&kept), "{kept} of {fits}");
            // Callers who come again and again find a place among those who came once.
            let callers: Vec<_> = (flood..flood + fits / 4).map(|number| token(number, length)).collect();
            let mut misses = 0;
            for _ in 0..20 {
                let missing = callers.iter().filter(|(text, _)| cache.get(text).is_none());
                let missing: Vec<_> = missing.cloned().collect();
                misses = missing.len();
                missing.into_iter().for_each(&insert);
            }
            assert!(misses <= callers.len() / 10, "{misses} of {} are verified again", callers.len());
        }
    }

    #[test]
    fn what_is_larger_than_the_whole_cache_is_not_kept_and_drives_nothing_out() {
        let cache = TokenCache::new(8 << 10);
        let (small, large) = (token(1, 0), token(2, 8 << 10));
        cache.insert(&small.0, &small.1);
        cache.insert(&large.0, &large.1);
        assert!(cache.get(&small.0).is_some() && cache.get(&large.0).is_none());
        assert!(TokenCache::new(0).get(&small.0).is_none());
    }

    #[test]
    fn roles_weigh_more_than_the_letters_that_they_are() {
        let weight_of = |roles: &[&str]| {
            let payload = serde_json::json!({
                "iss": "i", "aud": "a", "sub": "u", "client_id": "c", "jti": "j", "exp": 2, "iat": 1, "roles": roles,
            });
            let payload = payload.to_string().into_bytes();
            let verified = Verified::new(AccessClaims::parse(&payload).unwrap(), payload, 0, 1);
            ByBytes.weight(&"token".into(), &Arc::new(verified))
        };
        let more = weight_of(&["a"; 1_000]) - weight_of(&[]);
        assert!(more >= 1_000 * LISTED_BYTES as u64, "{more}");
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
