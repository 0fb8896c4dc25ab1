//! What is kept in memory: bounded, and emptied as a whole when anything in it may have changed.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::domain::client::Client;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::rbac::{Api, RoleName};
use crate::storage::epochs::Epochs;
use crate::storage::shared::Shared;
use crate::storage::tx::Reached;
use crate::storage::{StoreError, Tx, apis, assignments, clients};

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

/// Everything that is kept in memory.
pub(super) struct Caches {
    shared: Arc<Shared>,
    clients: Shelf<ClientId, Client>,
    apis: Shelf<ApiId, Api>,
    audiences: Shelf<String, Api>,
    client_roles: Shelf<(ClientId, ApiId), Vec<RoleName>>,
    user_roles: Shelf<(UserId, ApiId), Vec<RoleName>>,
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
            apis: Shelf::new(),
            audiences: Shelf::new(),
            client_roles: Shelf::new(),
            user_roles: Shelf::new(),
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
        self.apis.empty();
        self.audiences.empty();
        self.client_roles.empty();
        self.user_roles.empty();
        self.invalidations.send_modify(|times| *times += 1);
    }

    /// Forgets everything when the database has moved on to another epoch, and tells of revocations.
    pub(super) fn reached(&self, epochs: Epochs) {
        if self.epoch.swap(epochs.cache, Ordering::AcqRel) != epochs.cache {
            self.empty();
        }
        self.revoked(epochs.revocations);
    }

    /// Forgets everything if a transaction of ours changed it, and tells of its revocations.
    pub(super) fn heard(&self, reached: Reached) {
        if let Some(epoch) = reached.cache {
            self.epoch.store(epoch, Ordering::Release);
            self.empty();
        }
        if let Some(place) = reached.revocations {
            self.revoked(place);
        }
    }

    /// A database that was put back from a backup is behind what was heard before: that is a change, too. A reading that was
    /// overtaken by a commit of ours makes one reading too many.
    fn revoked(&self, place: u64) {
        self.revocations.send_if_modified(|last| std::mem::replace(last, place) != place);
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
        self.look_up(&self.clients, id, async |tx| clients::find(tx, id).await).await
    }

    pub(super) async fn api(&self, id: &ApiId) -> Result<Option<Arc<Api>>, StoreError> {
        self.look_up(&self.apis, id, async |tx| apis::find(tx, id).await).await
    }

    pub(super) async fn api_by_audience(&self, audience: &str) -> Result<Option<Arc<Api>>, StoreError> {
        let key = audience.to_owned();
        self.look_up(&self.audiences, &key, async |tx| apis::find_by_text(tx, audience).await).await
    }

    pub(super) async fn client_roles(
        &self,
        client: &ClientId,
        api: &ApiId,
    ) -> Result<Arc<Vec<RoleName>>, StoreError> {
        let key = (client.clone(), api.clone());
        let load = async |tx: &mut Tx| assignments::roles_of_client(tx, client, api).await.map(Some);
        Ok(self.look_up(&self.client_roles, &key, load).await?.unwrap_or_default())
    }

    pub(super) async fn user_roles(
        &self,
        user: &UserId,
        api: &ApiId,
    ) -> Result<Arc<Vec<RoleName>>, StoreError> {
        let key = (user.clone(), api.clone());
        let load = async |tx: &mut Tx| assignments::roles_of_user(tx, user, api).await.map(Some);
        Ok(self.look_up(&self.user_roles, &key, load).await?.unwrap_or_default())
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
