//! What services have to hear of revocations: the ones that still concern somebody, in order, held in memory for all of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::revocation::Revocation;
use crate::domain::secret::Digest32;
use crate::storage::revocations::{self, Raised};
use crate::storage::{Store, StoreError};

/// Rows of one reading.
const BATCH: u32 = 1_000;

/// How many bytes of a hash stand for a claim and its value.
const ID_BYTES: usize = 16;

/// The revocations that still concern somebody. Clones share them.
#[derive(Clone)]
pub(crate) struct RevocationFeed(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    list: ArcSwap<List>,
    /// The place of the last one in the list.
    last: watch::Sender<u64>,
    /// Readings follow one another, so that an older one never comes last.
    turn: Mutex<()>,
}

#[derive(Default)]
struct List {
    last: u64,
    /// In the order of their places.
    entries: Vec<Arc<Entry>>,
}

/// A revocation as services are told of it.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    #[serde(skip)]
    seq: u64,
    /// A hash of the claim and its value: a service can tell whether a token that it holds is meant, and learns of no other.
    id: String,
    /// Only tokens with an `iat` up to then are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    /// When the last of them has expired.
    exp: i64,
}

/// What is new to somebody.
#[derive(Debug)]
pub(crate) struct News {
    /// How far they are when they have read it.
    pub(crate) last: u64,
    /// Whether what they heard before is to be forgotten.
    pub(crate) reset: bool,
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl RevocationFeed {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let inner = Inner {
            store,
            clock,
            list: ArcSwap::default(),
            last: watch::Sender::new(0),
            turn: Mutex::default(),
        };
        Self(Arc::new(inner))
    }

    /// Reads what was raised since the last reading, and forgets what concerns nobody any more.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        let known = self.0.list.load_full();
        let raised = self.read(known.last).await?;
        // A database that was put back from a backup gives out places again that it gave out before.
        let restarted = self.is_behind(known.last).await?;
        let (known, raised) = if restarted { (Arc::default(), self.read(0).await?) } else { (known, raised) };
        if raised.is_empty() && !restarted {
            return Ok(());
        }
        let now = self.0.clock.now();
        let last = raised.last().map_or(known.last, |raised| raised.seq);
        let fresh = raised.iter().filter(|raised| raised.revocation.expires_at > now);
        let kept = known.entries.iter().filter(|entry| entry.exp > now.as_secs()).cloned();
        let entries = kept.chain(fresh.map(|raised| Arc::new(Entry::of(raised)))).collect();
        self.0.list.store(Arc::new(List { last, entries }));
        self.0.last.send_replace(last);
        Ok(())
    }

    /// Reads if the store has heard of a revocation that is not in the list yet.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let heard = *self.0.store.revocations().borrow();
        if heard > *self.0.last.borrow() { self.refresh().await } else { Ok(()) }
    }

    /// Changes whenever there is something new.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    /// What is new to somebody who has heard everything up to `after`; `None`: nothing at all.
    pub(crate) fn since(&self, after: Option<u64>) -> News {
        let list = self.0.list.load();
        let after = after.filter(|after| *after <= list.last);
        let start = after.map_or(0, |after| list.entries.partition_point(|entry| entry.seq <= after));
        let entries = list.entries.get(start..).unwrap_or_default().to_vec();
        News { last: list.last, reset: after.is_none(), entries }
    }

    async fn read(&self, mut after: u64) -> Result<Vec<Raised>, StoreError> {
        let mut tx = self.0.store.read().await?.uncounted();
        let mut all = Vec::new();
        loop {
            let batch = revocations::since(&mut tx, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(all) };
            after = last.seq;
            all.extend(batch);
        }
    }

    async fn is_behind(&self, last: u64) -> Result<bool, StoreError> {
        let mut tx = self.0.store.read().await?.uncounted();
        Ok(crate::storage::epochs::current(&mut tx).await?.revocations < last)
    }
}

impl Entry {
    fn of(raised: &Raised) -> Self {
        let Raised { seq, revocation } = raised;
        Self {
            seq: *seq,
            id: id(revocation),
            nbf: revocation.not_before.map(Timestamp::as_secs),
            exp: revocation.expires_at.as_secs(),
        }
    }
}

/// The first half of SHA-256 over the claim's name, a zero byte and its value.
fn id(revocation: &Revocation) -> String {
    let digest =
        Digest32::of_parts(&[revocation.claim.as_str().as_bytes(), &[0], revocation.value.as_bytes()]);
    URL_SAFE_NO_PAD.encode(digest.as_bytes().get(..ID_BYTES).unwrap_or_default())
}
