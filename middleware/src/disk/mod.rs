//! What a guard keeps on disk, so that it can start while its issuer is away: the last keys and the last policy.
//!
//! Whatever goes wrong here is said to the log and changes no answer to a request.

mod folder;
mod record;
mod rights;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use folder::CacheDirError;
pub(crate) use folder::Folder;
pub(crate) use record::Owner;
use record::{decode, encode};
use tokio::sync::watch;

/// How often a file is written again although only the time has changed at which its content was confirmed. The age that a
/// guard reads there at its start is at most so much greater than the true one, and never smaller.
const CONFIRMED_EVERY_SECS: u64 = 60;

/// How far into the future a file may come from: clocks are set.
const LEEWAY_SECS: u64 = 30;

/// One file of the folder.
#[derive(Clone, Debug)]
pub(crate) struct Slot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    owner: Owner,
    state: Mutex<State>,
    /// Whether nothing is being written. It changes only while the state is held.
    idle: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// What was given to be written last.
    last: Option<Entry>,
    /// The same, until somebody begins to write it.
    next: Option<Entry>,
    failing: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    content: Arc<[u8]>,
    confirmed_at: u64,
}

/// What was found on the disk.
pub(crate) struct Recalled {
    pub(crate) content: Arc<[u8]>,
    /// How long ago it was confirmed.
    pub(crate) age: Duration,
}

impl Slot {
    pub(crate) fn new(folder: &Folder, owner: Owner) -> Self {
        Self(Arc::new(Inner {
            folder: folder.clone(),
            owner,
            state: Mutex::default(),
            idle: watch::Sender::new(true),
        }))
    }

    /// Has `content`, which was confirmed at this time of day, written by another thread unless the file says so already.
    ///
    /// Nobody waits for the disk, and one that hangs holds one thread up: what comes next replaces what was not begun.
    pub(crate) fn keep(&self, content: &Arc<[u8]>, confirmed_at: u64) {
        let mut state = self.0.state();
        let is_kept = |last: &Entry| {
            Arc::ptr_eq(&last.content, content)
                && confirmed_at.abs_diff(last.confirmed_at) < CONFIRMED_EVERY_SECS
        };
        if state.last.as_ref().is_some_and(is_kept) {
            return;
        }
        let entry = Entry { content: Arc::clone(content), confirmed_at };
        state.last = Some(entry.clone());
        state.next = Some(entry);
        if self.0.idle.send_replace(false) {
            let inner = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || inner.write_all());
        }
    }

    /// Waits until what was given is written, or could not be.
    pub(crate) async fn settle(&self) {
        // The sender lives as long as this does.
        let _ = self.0.idle.subscribe().wait_for(|idle| *idle).await;
    }

    /// Reads the file, if there is one that is ours and whole.
    pub(crate) async fn recall(&self, now: u64) -> Option<Recalled> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || inner.read(now)).await.ok()?
    }

    pub(crate) fn name(&self) -> String {
        self.0.owner.file_name()
    }
}

impl Inner {
    fn read(&self, now: u64) -> Option<Recalled> {
        let name = self.owner.file_name();
        let ignored = |why: &dyn std::fmt::Display| {
            tracing::warn!(file = name, %why, "a file of the cache folder is not used");
        };
        let bytes = match self.folder.read(&name) {
            Ok(bytes) => bytes?,
            Err(fault) => {
                ignored(&fault);
                return None;
            }
        };
        let (confirmed_at, content) = decode(&bytes, &self.owner).inspect_err(|fault| ignored(fault)).ok()?;
        if confirmed_at > now.saturating_add(LEEWAY_SECS) {
            ignored(&"it was written in the future");
            return None;
        }
        Some(Recalled { content, age: Duration::from_secs(now.saturating_sub(confirmed_at)) })
    }

    fn write_all(&self) {
        while let Some(entry) = self.next() {
            let bytes = encode(&self.owner, entry.confirmed_at, &entry.content);
            let name = self.owner.file_name();
            let outcome = self.folder.write(&name, &bytes);
            let was_failing = std::mem::replace(&mut self.state().failing, outcome.is_err());
            match outcome {
                Ok(()) => tracing::debug!(file = name, "written to the cache folder"),
                // A disk that is full for an hour is one line, not sixty.
                Err(error) if was_failing => {
                    tracing::debug!(file = name, %error, "the cache folder cannot be written to");
                }
                Err(error) => tracing::warn!(file = name, %error, "the cache folder cannot be written to"),
            }
        }
    }

    fn next(&self) -> Option<Entry> {
        let mut state = self.state();
        let next = state.next.take();
        if next.is_none() {
            self.idle.send_replace(true);
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn slot(folder: &tempfile::TempDir) -> Slot {
        let folder = Folder::open(&folder.path().join("cache"), NOW).unwrap().unwrap();
        Slot::new(&folder, Owner::new("keys", ["https://id.test"]))
    }

    async fn kept(slot: &Slot, content: &Arc<[u8]>, at: u64) -> Option<(Vec<u8>, u64)> {
        slot.keep(content, at);
        slot.settle().await;
        let recalled = slot.recall(NOW + 1_000).await?;
        Some((recalled.content.to_vec(), recalled.age.as_secs()))
    }

    #[tokio::test]
    async fn what_was_kept_last_is_recalled_with_its_age() {
        let (folder, one): (_, Arc<[u8]>) = (tempfile::tempdir().unwrap(), Arc::from(&b"one"[..]));
        let slot = slot(&folder);
        assert!(slot.recall(NOW).await.is_none(), "nothing was kept yet");
        assert_eq!(kept(&slot, &one, NOW).await, Some((b"one".to_vec(), 1_000)));
        assert_eq!(kept(&slot, &one, NOW + 59).await, Some((b"one".to_vec(), 1_000)), "not worth a write");
        assert_eq!(kept(&slot, &one, NOW + 60).await, Some((b"one".to_vec(), 940)));
        let two = Arc::from(&b"two"[..]);
        assert_eq!(kept(&slot, &two, NOW + 61).await, Some((b"two".to_vec(), 939)), "new content is");
        assert_eq!(
            kept(&slot, &two, NOW - 10).await,
            Some((b"two".to_vec(), 1_010)),
            "the clock was set back"
        );
    }

    #[tokio::test]
    async fn a_file_from_the_future_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let slot = slot(&folder);
        kept(&slot, &Arc::from(&b"one"[..]), NOW).await;
        assert_eq!(slot.recall(NOW - 30).await.unwrap().age, Duration::ZERO, "clocks are set");
        assert!(slot.recall(NOW - 31).await.is_none());
    }

    #[tokio::test]
    async fn a_write_that_fails_is_tried_again_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (slot, one, two) = (slot(&folder), Arc::from(&b"one"[..]), Arc::from(&b"two"[..]));
        kept(&slot, &one, NOW).await.unwrap();
        let cache = folder.path().join("cache");
        std::fs::rename(&cache, folder.path().join("elsewhere")).unwrap();
        assert_eq!(kept(&slot, &two, NOW).await, None);
        assert!(slot.0.state().failing);
        std::fs::rename(folder.path().join("elsewhere"), &cache).unwrap();
        assert_eq!(kept(&slot, &two, NOW + 1).await, Some((b"one".to_vec(), 1_000)), "not every second");
        assert_eq!(kept(&slot, &two, NOW + 60).await, Some((b"two".to_vec(), 940)));
        assert!(!slot.0.state().failing);
    }
}
