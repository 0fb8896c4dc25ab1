//! Sessions in the memory of one process.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::ready;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::store::{
    SessionStore, StoreFault, StoreFuture, StoreKey, StoredSession, StoredSignIn, Term, share,
};

/// How many there may be, unless told otherwise.
const MOST_SESSIONS: usize = 50_000;
const MOST_SIGN_INS: usize = 10_000;
/// How many names of logout tokens and renewals are noted.
const MOST_CLAIMS: usize = 100_000;

/// How many sessions may have one name, so that nobody fills the room alone.
const MOST_OF_A_NAME: usize = 100;

/// How often what has ended is removed.
const SWEEP_SECS: u64 = 60;

/// Sessions in the memory of this process: gone when it ends, and unknown to other replicas.
///
/// It is bounded: at 50,000 sessions, new sign-ins are answered 503 until some have ended. A person has 100 at most; then the oldest
/// of theirs ends. Of sign-ins that were begun and not finished, 10,000 are kept, and a tenth of that from one address (one /48 network
/// of IPv6); whoever begins beyond that is answered 503 until some were finished or have ended.
#[must_use = "it keeps nothing before it is given to `Login::store`"]
pub struct MemorySessions {
    kept: Mutex<Kept>,
    most_sessions: usize,
    most_sign_ins: usize,
}

type Map<K, V> = HashMap<K, V, RandomState>;

#[derive(Default)]
struct Kept {
    sessions: Map<StoreKey, StoredSession>,
    /// The sessions of each name.
    names: Map<StoreKey, Vec<StoreKey>>,
    sign_ins: Map<StoreKey, SignIn>,
    /// Sign-ins as they end: by the second, and as they were begun.
    order: BTreeMap<(u64, u64), StoreKey>,
    begun: u64,
    /// How many each network has.
    networks: Map<StoreKey, usize>,
    claims: Map<StoreKey, u64>,
    swept: u64,
}

struct SignIn {
    stored: StoredSignIn,
    /// Its place in the order, which begins with its end.
    place: (u64, u64),
}

impl MemorySessions {
    /// Room for as many as one process should need.
    pub fn new() -> Self {
        Self { kept: Mutex::default(), most_sessions: MOST_SESSIONS, most_sign_ins: MOST_SIGN_INS }
    }

    /// How many sessions may be open: 50,000 unless set.
    pub const fn most_sessions(mut self, sessions: usize) -> Self {
        self.most_sessions = sessions;
        self
    }

    /// How many sign-ins may be begun and not finished: 10,000 unless set. A tenth of them may come from one address, or one /48 network
    /// of IPv6.
    pub const fn most_sign_ins(mut self, sign_ins: usize) -> Self {
        self.most_sign_ins = sign_ins;
        self
    }

    /// What is kept, without what has ended, now and then.
    fn kept(&self, now: u64) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= kept.swept.saturating_add(SWEEP_SECS) {
            kept.sweep(now);
        }
        kept
    }
}

impl Kept {
    fn sweep(&mut self, now: u64) {
        self.swept = now;
        let over: Vec<StoreKey> =
            self.sessions.iter().filter(|(_, it)| it.until_secs <= now).map(|(key, _)| *key).collect();
        for key in &over {
            self.end(key);
        }
        self.give_up(now);
        self.claims.retain(|_, until| *until > now);
    }

    fn end(&mut self, key: &StoreKey) {
        let Some(session) = self.sessions.remove(key) else { return };
        for name in session.names {
            if let Some(own) = self.names.get_mut(&name) {
                own.retain(|other| other != key);
                if own.is_empty() {
                    self.names.remove(&name);
                }
            }
        }
    }

    /// Forgets the sign-ins that have ended.
    fn give_up(&mut self, now: u64) {
        while let Some(((until, _), key)) = self.order.first_key_value().map(|(place, key)| (*place, *key))
            && until <= now
        {
            self.take(key, now);
        }
    }

    fn begin(
        &mut self,
        key: StoreKey,
        stored: StoredSignIn,
        (term, most): (Term, usize),
    ) -> Result<(), StoreFault> {
        self.give_up(term.now_secs);
        let of_network = stored.network.and_then(|network| self.networks.get(&network)).copied();
        if self.sign_ins.len() >= most || of_network.is_some_and(|own| own >= share(most)) {
            return Err(StoreFault::Full);
        }
        if let Some(network) = stored.network {
            *self.networks.entry(network).or_default() += 1;
        }
        self.begun += 1;
        let place = (term.until_secs, self.begun);
        self.order.insert(place, key);
        self.sign_ins.insert(key, SignIn { stored, place });
        Ok(())
    }

    fn take(&mut self, key: StoreKey, now: u64) -> Option<Vec<u8>> {
        let SignIn { stored: StoredSignIn { sealed, network }, place } = self.sign_ins.remove(&key)?;
        self.order.remove(&place);
        if let Some(network) = network
            && let Some(own) = self.networks.get_mut(&network)
        {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.networks.remove(&network);
            }
        }
        let (until, _) = place;
        (until > now).then_some(sealed)
    }

    fn open(
        &mut self,
        key: StoreKey,
        session: StoredSession,
        (now, most): (u64, usize),
    ) -> Result<(), StoreFault> {
        if self.sessions.len() >= most {
            self.sweep(now);
        }
        if self.sessions.len() >= most {
            return Err(StoreFault::Full);
        }
        for name in &session.names {
            self.names.entry(*name).or_default().push(key);
        }
        let names = session.names.clone();
        self.sessions.insert(key, session);
        for name in names {
            while let Some(oldest) = self.surplus(&name) {
                self.end(&oldest);
            }
        }
        Ok(())
    }

    /// The oldest session of a name that has too many.
    fn surplus(&self, name: &StoreKey) -> Option<StoreKey> {
        let own = self.names.get(name).filter(|own| own.len() > MOST_OF_A_NAME)?;
        own.first().copied()
    }

    fn find(&self, key: StoreKey, now: u64) -> Option<StoredSession> {
        self.sessions.get(&key).filter(|session| session.until_secs > now).cloned()
    }

    fn replace(&mut self, key: StoreKey, session: StoredSession, now: u64) -> bool {
        let Some(before) = self.sessions.get_mut(&key) else { return false };
        if before.until_secs <= now || before.version.checked_add(1) != Some(session.version) {
            return false;
        }
        *before = StoredSession { names: std::mem::take(&mut before.names), ..session };
        true
    }

    fn claim(&mut self, name: StoreKey, term: Term) -> Result<bool, StoreFault> {
        if self.claims.len() >= MOST_CLAIMS {
            self.sweep(term.now_secs);
        }
        if is_current(&self.claims, &name, term.now_secs) {
            return Ok(false);
        }
        if self.claims.len() >= MOST_CLAIMS {
            return Err(StoreFault::Full);
        }
        self.claims.insert(name, term.until_secs);
        Ok(true)
    }
}

fn is_current<K: Eq + Hash>(ends: &Map<K, u64>, key: &K, now: u64) -> bool {
    ends.get(key).is_some_and(|until| *until > now)
}

impl SessionStore for MemorySessions {
    fn begin(&self, key: StoreKey, sign_in: StoredSignIn, term: Term) -> StoreFuture<'_, ()> {
        Box::pin(ready(self.kept(term.now_secs).begin(key, sign_in, (term, self.most_sign_ins))))
    }

    fn take(&self, key: StoreKey, now_secs: u64) -> StoreFuture<'_, Option<Vec<u8>>> {
        Box::pin(ready(Ok(self.kept(now_secs).take(key, now_secs))))
    }

    fn open(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, ()> {
        Box::pin(ready(self.kept(now_secs).open(key, session, (now_secs, self.most_sessions))))
    }

    fn find(&self, key: StoreKey, now_secs: u64) -> StoreFuture<'_, Option<StoredSession>> {
        Box::pin(ready(Ok(self.kept(now_secs).find(key, now_secs))))
    }

    fn replace(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, bool> {
        Box::pin(ready(Ok(self.kept(now_secs).replace(key, session, now_secs))))
    }

    fn prolong(&self, key: StoreKey, term: Term) -> StoreFuture<'_, ()> {
        if let Some(session) = self.kept(term.now_secs).sessions.get_mut(&key)
            && session.until_secs > term.now_secs
        {
            session.until_secs = term.until_secs;
        }
        Box::pin(ready(Ok(())))
    }

    fn end(&self, key: StoreKey) -> StoreFuture<'_, ()> {
        self.kept(0).end(&key);
        Box::pin(ready(Ok(())))
    }

    fn end_named(&self, name: StoreKey, now_secs: u64) -> StoreFuture<'_, u64> {
        let mut kept = self.kept(now_secs);
        let own = kept.names.get(&name).cloned().unwrap_or_default();
        let count = own.iter().filter(|key| kept.find(**key, now_secs).is_some()).count();
        for key in &own {
            kept.end(key);
        }
        Box::pin(ready(Ok(count as u64)))
    }

    fn claim(&self, name: StoreKey, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(ready(self.kept(term.now_secs).claim(name, term)))
    }

    fn is_claimed(&self, name: StoreKey, now_secs: u64) -> StoreFuture<'_, bool> {
        Box::pin(ready(Ok(is_current(&self.kept(now_secs).claims, &name, now_secs))))
    }

    fn release(&self, name: StoreKey) -> StoreFuture<'_, ()> {
        self.kept(0).claims.remove(&name);
        Box::pin(ready(Ok(())))
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemorySessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept(0);
        let (sessions, sign_ins) = (kept.sessions.len(), kept.sign_ins.len());
        drop(kept);
        out.debug_struct("MemorySessions").field("sessions", &sessions).field("sign_ins", &sign_ins).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StoreKey {
        StoreKey::of("test", &[name.as_bytes()])
    }

    fn session(version: u64, names: &[&str], until_secs: u64) -> StoredSession {
        let names = names.iter().map(|name| key(name)).collect();
        StoredSession { sealed: vec![1], version, names, until_secs }
    }

    const fn term(now_secs: u64, until_secs: u64) -> Term {
        Term { now_secs, until_secs }
    }

    fn sign_in(name: &str, network: Option<&str>) -> StoredSignIn {
        StoredSignIn { sealed: name.into(), network: network.map(key) }
    }

    #[tokio::test]
    async fn a_sign_in_is_taken_once_and_not_after_its_end_and_none_gives_way_to_another() {
        let store = MemorySessions::new().most_sign_ins(2);
        let begin = |name: &str, now| store.begin(key(name), sign_in(name, None), term(now, now + 600));
        assert_eq!((begin("a", 0).await, begin("b", 1).await), (Ok(()), Ok(())));
        assert_eq!(begin("c", 599).await, Err(StoreFault::Full));
        assert_eq!(store.take(key("b"), 600).await, Ok(Some(b"b".to_vec())));
        assert_eq!(store.take(key("b"), 600).await, Ok(None));
        assert_eq!(store.take(key("a"), 600).await, Ok(None));
        assert_eq!((begin("c", 600).await, begin("d", 600).await), (Ok(()), Ok(())));
        assert_eq!((begin("e", 1_199).await, begin("e", 1_200).await), (Err(StoreFault::Full), Ok(())));
        assert_eq!(store.kept(1_200).order.len(), 1, "what has ended takes no room");
    }

    #[tokio::test]
    async fn one_network_begins_a_tenth_of_the_sign_ins_that_there_may_be() {
        let store = MemorySessions::new().most_sign_ins(20);
        let begin = |name: &str, network| store.begin(key(name), sign_in(name, network), term(0, 600));
        let (near, far) = (Some("192.0.2.1"), Some("192.0.2.2"));
        assert_eq!((begin("a", near).await, begin("b", near).await), (Ok(()), Ok(())));
        assert_eq!((begin("c", near).await, begin("c", far).await), (Err(StoreFault::Full), Ok(())));
        store.take(key("a"), 0).await.unwrap();
        assert_eq!((begin("d", near).await, begin("e", near).await), (Ok(()), Err(StoreFault::Full)));
        for name in ["b", "c", "d"] {
            assert!(store.take(key(name), 0).await.unwrap().is_some());
        }
        assert!(store.kept(0).networks.is_empty(), "no count is left behind");
    }

    #[tokio::test]
    async fn sessions_are_refused_when_there_are_too_many_until_one_has_ended() {
        let store = MemorySessions::new().most_sessions(1);
        store.open(key("a"), session(0, &["n"], 10), 0).await.unwrap();
        assert_eq!(store.open(key("b"), session(0, &[], 20), 9).await, Err(StoreFault::Full));
        assert_eq!(store.open(key("b"), session(0, &[], 20), 10).await, Ok(()));
        assert_eq!(store.find(key("a"), 10).await, Ok(None));
        assert!(store.kept(10).names.is_empty(), "its name is gone, too");
    }

    #[tokio::test]
    async fn only_the_session_that_follows_is_put_in_the_place_of_another() {
        let store = MemorySessions::new();
        assert_eq!(store.replace(key("a"), session(1, &[], 10), 0).await, Ok(false));
        store.open(key("a"), session(0, &["n"], 10), 0).await.unwrap();
        assert_eq!(store.replace(key("a"), session(2, &[], 10), 0).await, Ok(false));
        assert_eq!(store.replace(key("a"), session(1, &[], 20), 0).await, Ok(true));
        assert_eq!(store.replace(key("a"), session(1, &[], 20), 0).await, Ok(false));
        store.prolong(key("a"), term(19, 30)).await.unwrap();
        assert!(store.find(key("a"), 29).await.unwrap().is_some());
        assert_eq!(store.replace(key("a"), session(2, &[], 40), 30).await, Ok(false), "it is over");
        store.prolong(key("a"), term(30, 40)).await.unwrap();
        assert_eq!(store.find(key("a"), 30).await, Ok(None));
    }

    #[tokio::test]
    async fn every_session_of_a_name_ends_and_no_other() {
        let store = MemorySessions::new();
        for (name, names) in [("a", &["x", "s"][..]), ("b", &["x"]), ("c", &["y"])] {
            store.open(key(name), session(0, names, 10), 0).await.unwrap();
        }
        assert_eq!(store.end_named(key("x"), 1).await, Ok(2));
        assert_eq!(store.end_named(key("x"), 1).await, Ok(0));
        assert_eq!(store.end_named(key("s"), 1).await, Ok(0));
        assert!(store.find(key("c"), 1).await.unwrap().is_some());
        store.end(key("c")).await.unwrap();
        assert_eq!(store.find(key("c"), 1).await, Ok(None));
    }

    #[tokio::test]
    async fn nobody_fills_the_room_alone() {
        let store = MemorySessions::new();
        let name = |number: usize| number.to_string();
        for number in 0..=MOST_OF_A_NAME {
            store.open(key(&name(number)), session(0, &["n"], 10), 0).await.unwrap();
        }
        assert_eq!(store.find(key("0"), 0).await, Ok(None), "the oldest has ended");
        assert!(store.find(key("1"), 0).await.unwrap().is_some());
        assert!(store.find(key(&name(MOST_OF_A_NAME)), 0).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_name_is_noted_once_until_it_is_over_or_released() {
        let store = MemorySessions::new();
        assert_eq!(store.claim(key("a"), term(0, 10)).await, Ok(true));
        assert_eq!(store.claim(key("a"), term(9, 19)).await, Ok(false));
        assert_eq!(store.is_claimed(key("a"), 9).await, Ok(true));
        assert_eq!(store.is_claimed(key("a"), 10).await, Ok(false));
        assert_eq!(store.claim(key("a"), term(10, 20)).await, Ok(true));
        store.release(key("a")).await.unwrap();
        assert_eq!(store.claim(key("a"), term(10, 20)).await, Ok(true));
    }
}
