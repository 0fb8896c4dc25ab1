//! What a guard has to know at any time: which policy and which keys hold, and what was revoked.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::domain::client::Client;
use crate::domain::clock::Clock;
use crate::keys::ring::KeyRing;
use crate::services::policies::snapshot::{SnapshotError, SnapshotService};
use crate::services::revocation_feed::{Entry, News, RevocationFeed};
use crate::storage::{Store, StoreError};

/// How often a guard hears something although nothing happened: it can tell silence from a lost connection, and knows how old
/// what it knows is.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// Tells guards what they have to know.
#[derive(Clone)]
pub(crate) struct EventService {
    store: Store,
    keys: KeyRing,
    clock: Clock,
    snapshots: SnapshotService,
    feed: RevocationFeed,
    streams: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

/// What holds now, and what is new to one guard.
#[derive(Debug, Serialize)]
pub(crate) struct GuardState {
    /// The place of the last revocation.
    pub(crate) seq: u64,
    /// Whether revocations that were told before are to be forgotten.
    reset: bool,
    /// The entity tag of the signed snapshot; null when the API has no policy in force.
    policy: Option<String>,
    /// The entity tag of the signed rules that are to be tried beside it; null when there are none.
    shadow: Option<String>,
    /// The entity tag of the published keys.
    keys: String,
    /// What was revoked.
    #[serde(serialize_with = "shared")]
    revoked: Vec<Arc<Entry>>,
}

fn shared<S: Serializer>(entries: &[Arc<Entry>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(AsRef::as_ref))
}

/// Hears when a guard has to be told something.
pub(crate) struct Ears {
    caches: watch::Receiver<u64>,
    revocations: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
}

/// Why a guard is told nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// As many guards listen as may.
    #[error("as many guards listen as may; ask again and again instead")]
    Crowded,
    /// There is nothing to tell this client, or it cannot be found out.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl EventService {
    /// The service; at most so many guards listen at once.
    pub(crate) fn new(
        (store, keys, clock): (Store, KeyRing, Clock),
        snapshots: SnapshotService,
        feed: RevocationFeed,
        most_streams: usize,
    ) -> Self {
        let (streams, closing) =
            (Arc::new(Semaphore::new(most_streams)), Arc::new(watch::Sender::new(false)));
        Self { store, keys, clock, snapshots, feed, streams, closing }
    }

    /// What the guard that `client` is has to know, if it has heard of every revocation up to `after`.
    pub(crate) async fn state(&self, client: &Client, after: Option<u64>) -> Result<GuardState, EventsError> {
        let policy = match self.snapshots.snapshot(client, self.clock.now()).await {
            Ok(signed) => Some(signed.entity_tag.clone()),
            Err(SnapshotError::NoPolicy) => None,
            Err(error) => return Err(error.into()),
        };
        let shadow = match policy {
            Some(_) => self.snapshots.shadow(client, self.clock.now()).await?,
            None => None,
        };
        let shadow = shadow.map(|signed| signed.entity_tag.clone());
        self.feed.catch_up().await.map_err(SnapshotError::from)?;
        let News { last, reset, entries } = self.feed.since(after);
        let keys = self.keys.published().etag.clone();
        Ok(GuardState { seq: last, reset, policy, shadow, keys, revoked: entries })
    }

    /// Takes a place among those who listen.
    pub(crate) fn listen(&self) -> Result<(OwnedSemaphorePermit, Ears), EventsError> {
        let place = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| EventsError::Crowded)?;
        let ears = Ears {
            caches: self.store.invalidations(),
            revocations: self.feed.changes(),
            closing: self.closing.subscribe(),
        };
        Ok((place, ears))
    }

    /// Whether a client is still what it was when it began to listen: enabled, with the same credentials and the same API.
    pub(crate) async fn is_unchanged(&self, client: &Client) -> Result<bool, StoreError> {
        let now = self.store.client(&client.id).await?;
        Ok(now.is_some_and(|now| {
            now.is_enabled()
                && now.authentication == client.authentication
                && now.settings.serves == client.settings.serves
        }))
    }

    /// Lets nobody listen any more: the server stops.
    pub(crate) fn close(&self) {
        self.streams.close();
        self.closing.send_replace(true);
    }
}

impl Ears {
    /// Waits until something happens, or for a beat; false when there will be nothing any more.
    pub(crate) async fn wait(&mut self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(BEAT) => true,
            changed = self.caches.changed() => changed.is_ok(),
            changed = self.revocations.changed() => changed.is_ok(),
            _ = self.closing.wait_for(|closing| *closing) => false,
        }
    }
}
