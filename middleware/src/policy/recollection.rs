//! What was revoked, kept on disk for a guard that starts while its server is away.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::disk::{Owner, Recalled, Slot};
use crate::policy::Surroundings;
use crate::revocation::{Entry, Revoked};

/// A file, and what it is to say.
pub(super) struct Recollection {
    slot: Slot,
    content: Mutex<Arc<[u8]>>,
}

impl Recollection {
    /// `None` without a folder.
    pub(super) fn new(surroundings: &Surroundings<'_>, [url, client]: [&str; 2]) -> Option<Self> {
        let owner = || Owner::new("revocations", [url, client, surroundings.audience]);
        let slot = Slot::new(surroundings.folder?, owner());
        Some(Self { slot, content: Mutex::new(Arc::from([])) })
    }

    /// Has it written that this is all that was revoked, as of now.
    pub(super) fn keep(&self, revoked: &Revoked, is_news: bool, clock: &Clock) {
        let now = clock.unix_secs();
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if is_news || content.is_empty() {
            let mut entries = revoked.entries(now);
            entries.sort_by(|one, other| one.id().cmp(other.id()));
            // Numbers and texts: there is nothing that JSON could not say.
            *content = serde_json::to_vec(&entries).unwrap_or_default().into();
        }
        self.slot.keep(&content, now);
    }

    /// Takes over what the disk holds.
    pub(super) async fn recall(&self, revoked: &Revoked, clock: &Clock) {
        let Some(Recalled { content, age }) = self.slot.recall(clock.unix_secs()).await else { return };
        let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(&content) else {
            tracing::warn!(
                file = self.slot.name(),
                "a file of the cache folder is not used: it lists no revocations"
            );
            return;
        };
        tracing::info!(
            file = self.slot.name(),
            age_secs = age.as_secs(),
            count = entries.len(),
            "revocations taken from the cache folder"
        );
        revoked.recall(entries, age, (clock.unix_secs(), clock.steady()));
    }

    /// Waits until the disk holds it.
    pub(super) async fn settle(&self) {
        self.slot.settle().await;
    }
}
