//! What is kept in memory: bounded, and emptied as a whole when anything in it may have changed.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::domain::client::Client;
use crate::domain::details::kind::DetailsTypes;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::rbac::{Api, RoleName};
use crate::storage::epochs::Epochs;
use crate::storage::shared::Shared;
use crate::storage::tx::Reached;
use crate::storage::{StoreError, Tx, apis, assignments, clients, details_types};

/// Most entries of each kind.
const CAPACITY: usize = 1024;
/// Most questions to the database at once for what is not in memory: made-up identifiers must not take it over.
const LOADS: usize = 4;
/// How long to wait for one's turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// One kind of thing in memory: what exists, and what is known not to.
struct Shelf<K, V> {
    found: Cache<K, Arc<V>>,
    missing: Cache<K, ()>,
    turns: Semaphore,
}

impl<K: Eq + Hash + Clone, V> Shelf<K, V> {
    fn new() -> Self {
        Self { found: Cache::new(CAPACITY), missing: Cache::new(CAPACITY), turns: Semaphore::new(LOADS) }
    }

    /// What is in memory, or an error when nothing is known.
    fn recall(&self, key: &K) -> Result<Option<Arc<V>>, Unknown> {
        match (self.found.get(key), self.missing.get(key)) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(())) => Ok(None),
            (None, None) => Err(Unknown),
        }
    }

    fn empty(&self) {
        self.found.clear();
        self.missing.clear();
    }
}

/// Neither what something is nor that it does not exist is in memory.
struct Unknown;

/// Who holds which roles.
struct RolesHeld {
    by_clients: Shelf<(ClientId, ApiId), Vec<RoleName>>,
    by_users: Shelf<(UserId, ApiId), Vec<RoleName>>,
}

/// Everything that is kept in memory.
pub(super) struct Caches {
    shared: Arc<Shared>,
    clients: Shelf<ClientId, Client>,
    /// All of them together.
    details_types: Shelf<(), DetailsTypes>,
    apis: Shelf<ApiId, Api>,
    audiences: Shelf<String, Api>,
    roles: RolesHeld,
    /// Counts how often memory was emptied: a value read before an emptying must not be kept after it.
    emptied: AtomicU64,
    /// Tells of it, once nothing old can be read any more.
    invalidations: watch::Sender<u64>,
    /// The epoch that memory reflects.
    epoch: AtomicU64,
    /// The place of the last revocation that was heard of.
    revocations: watch::Sender<u64>,
}

impl Caches {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            clients: Shelf::new(),
            details_types: Shelf::new(),
            apis: Shelf::new(),
            audiences: Shelf::new(),
            roles: RolesHeld { by_clients: Shelf::new(), by_users: Shelf::new() },
            emptied: AtomicU64::new(0),
            invalidations: watch::Sender::new(0),
            epoch: AtomicU64::new(0),
            revocations: watch::Sender::new(0),
        }
    }

    pub(super) fn revocations(&self) -> watch::Receiver<u64> {
        self.revocations.subscribe()
    }

    pub(super) fn invalidations(&self) -> watch::Receiver<u64> {
        self.invalidations.subscribe()
    }

    /// Forgets everything.
    pub(super) fn empty(&self) {
        // First the count, then the shelves: see `keep`.
        self.emptied.fetch_add(1, Ordering::AcqRel);
        self.clients.empty();
        self.details_types.empty();
        self.apis.empty();
        self.audiences.empty();
        self.roles.by_clients.empty();
        self.roles.by_users.empty();
        self.invalidations.send_modify(|times| *times += 1);
    }

    /// How far things have come, as far as was heard: to be noted before a reading of that begins.
    pub(super) fn heard_of(&self) -> Epochs {
        Epochs { cache: self.epoch.load(Ordering::Acquire), revocations: *self.revocations.borrow() }
    }

    /// Forgets everything when the database has moved on to another epoch, and tells of revocations, by a reading that began when
    /// `before` had been heard.
    pub(super) fn reached(&self, before: Epochs, read: Epochs) {
        let next = |known| is_news(known, before.cache, read.cache).then_some(read.cache);
        if self.epoch.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok() {
            self.empty();
        }
        self.revocations.send_if_modified(|last| {
            let is_news = is_news(*last, before.revocations, read.revocations);
            if is_news {
                *last = read.revocations;
            }
            is_news
        });
    }

    /// Forgets everything if a transaction of ours changed it, and tells of its revocations.
    pub(super) fn heard(&self, reached: Reached) {
        if let Some(epoch) = reached.cache {
            // Of two commits at once, the later one may be heard of first.
            self.epoch.fetch_max(epoch, Ordering::AcqRel);
            self.empty();
        }
        if let Some(place) = reached.revocations {
            self.revocations.send_if_modified(|last| std::mem::replace(last, place) != place);
        }
    }

    fn times_emptied(&self) -> u64 {
        self.emptied.load(Ordering::Acquire)
    }

    /// Keeps what was read, unless memory was emptied since `times`. Emptying counts before it clears, and this
    /// checks after it inserted: one of the two sees the other.
    fn keep<K: Eq + Hash + Clone, V>(&self, kind: &Shelf<K, V>, key: &K, value: Option<&Arc<V>>, times: u64) {
        match value {
            Some(value) => kind.found.insert(key.clone(), Arc::clone(value)),
            None => kind.missing.insert(key.clone(), ()),
        }
        if self.times_emptied() != times {
            kind.found.remove(key);
            kind.missing.remove(key);
        }
    }

    pub(super) async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        let found = self.look_up(&self.clients, id, async |tx| clients::find(tx, id).await).await;
        // Whoever is named by a document is added as soon as it is read, and memory is not emptied for that.
        if id.document().is_some() {
            self.clients.missing.remove(id);
        }
        found
    }

    pub(super) async fn api(&self, id: &ApiId) -> Result<Option<Arc<Api>>, StoreError> {
        self.look_up(&self.apis, id, async |tx| apis::find(tx, id).await).await
    }

    pub(super) async fn api_by_audience(&self, audience: &str) -> Result<Option<Arc<Api>>, StoreError> {
        let key = audience.to_owned();
        self.look_up(&self.audiences, &key, async |tx| apis::find_by_text(tx, audience).await).await
    }

    pub(super) async fn details_types(&self) -> Result<Arc<DetailsTypes>, StoreError> {
        let load = async |tx: &mut Tx| details_types::all(tx).await.map(Some);
        Ok(self.look_up(&self.details_types, &(), load).await?.unwrap_or_default())
    }

    pub(super) async fn client_roles(
        &self,
        client: &ClientId,
        api: &ApiId,
    ) -> Result<Arc<Vec<RoleName>>, StoreError> {
        let key = (client.clone(), api.clone());
        let load = async |tx: &mut Tx| assignments::roles_of_client(tx, client, api).await.map(Some);
        Ok(self.look_up(&self.roles.by_clients, &key, load).await?.unwrap_or_default())
    }

    pub(super) async fn user_roles(
        &self,
        user: &UserId,
        api: &ApiId,
    ) -> Result<Arc<Vec<RoleName>>, StoreError> {
        let key = (user.clone(), api.clone());
        let load = async |tx: &mut Tx| assignments::roles_of_user(tx, user, api).await.map(Some);
        Ok(self.look_up(&self.roles.by_users, &key, load).await?.unwrap_or_default())
    }

    /// A connection to read from.
    pub(super) async fn reading(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(self.shared.pools.reading().await?, Arc::clone(&self.shared)))
    }

    async fn look_up<K: Eq + Hash + Clone, V>(
        &self,
        kind: &Shelf<K, V>,
        key: &K,
        load: impl AsyncFnOnce(&mut Tx) -> Result<Option<V>, StoreError>,
    ) -> Result<Option<Arc<V>>, StoreError> {
        if let Ok(known) = kind.recall(key) {
            return Ok(known);
        }
        let Ok(Ok(_turn)) = timeout(PATIENCE, kind.turns.acquire()).await else {
            return Err(StoreError::Busy);
        };
        // Somebody else may have asked the same in the meantime.
        if let Ok(known) = kind.recall(key) {
            return Ok(known);
        }
        let times = self.times_emptied();
        let mut tx = self.reading().await?;
        let value = load(&mut tx).await?.map(Arc::new);
        self.keep(kind, key, value.as_ref(), times);
        Ok(value)
    }
}

/// Whether a reading says something new where `known` has been heard by now, and `before` had been when it began. One that was overtaken
/// by a commit of ours is behind that, and says nothing. A database that was put back from a backup is behind what was heard before.
const fn is_news(known: u64, before: u64, read: u64) -> bool {
    read > known || (read < known && known == before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::{Clock, Timestamp};
    use crate::storage::pools::Pools;
    use crate::storage::sqlite::Opening;

    fn caches() -> Caches {
        let pools = Pools::sqlite(Opening::to_read("nowhere.db".as_ref()), 1);
        let clock = Clock::manual(Timestamp::from_secs(0));
        Caches::new(Arc::new(Shared { clock, statements: AtomicU64::new(0), pools }))
    }

    fn at(epoch: u64) -> Epochs {
        Epochs { cache: epoch, revocations: epoch }
    }

    fn commit(caches: &Caches, epoch: u64) {
        caches.heard(Reached { cache: Some(epoch), revocations: Some(epoch) });
    }

    /// Whether a reading empties memory, and has revocations read again.
    fn tells(caches: &Caches, before: Epochs, read: u64) -> (bool, bool) {
        let (mut emptied, mut revoked) = (caches.invalidations(), caches.revocations());
        emptied.mark_unchanged();
        revoked.mark_unchanged();
        caches.reached(before, at(read));
        (emptied.has_changed().unwrap(), revoked.has_changed().unwrap())
    }

    #[test]
    fn a_reading_that_a_commit_of_ours_overtook_empties_nothing() {
        let caches = caches();
        commit(&caches, 4);
        let before = caches.heard_of();
        commit(&caches, 5);
        assert_eq!(tells(&caches, before, 4), (false, false));
        assert_eq!(tells(&caches, before, 5), (false, false));
        assert_eq!(caches.heard_of(), at(5));
        assert_eq!(tells(&caches, before, 6), (true, true), "what others changed meanwhile counts");
        assert_eq!(tells(&caches, caches.heard_of(), 6), (false, false));
    }

    #[test]
    fn a_database_that_was_put_back_from_a_backup_empties_memory() {
        let caches = caches();
        commit(&caches, 100);
        assert_eq!(tells(&caches, caches.heard_of(), 7), (true, true));
        assert_eq!(caches.heard_of(), at(7));
        // Also when the first that is heard of it is a commit of ours.
        commit(&caches, 100);
        commit(&caches, 8);
        assert_eq!(tells(&caches, caches.heard_of(), 8), (true, false));
        assert_eq!(caches.heard_of(), at(8));
    }

    #[test]
    fn of_two_commits_at_once_the_one_that_is_heard_of_last_may_be_the_earlier_one() {
        let caches = caches();
        commit(&caches, 2);
        caches.heard(Reached { cache: Some(1), revocations: None });
        assert_eq!(tells(&caches, caches.heard_of(), 2), (false, false));
    }
}
