//! What this server decided itself, because services asked it: each different request once, with how often, as guards tell it.
//! It goes into the same records, in batches, every few seconds and when the server stops.

mod table;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_policy::{Decision, Request};
use tokio::sync::Mutex;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::decision::DecisionRecord;
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::secret::Entropy;
use crate::services::policies::notes::table::{Table, Taken};
use crate::services::policies::records::{Batch, MAX_RECORDS, RecordService, RecordsError};
use crate::services::trouble::is_temporary;
use crate::storage::StoreError;

/// The subject of whoever is only a role: no `sub` of a user and no id of a client looks like it, and no subject at all is denied.
pub(super) const NOBODY: &str = "-";

/// How many bytes of a digest are a pseudonym: as many as in those of guards.
const PSEUDONYM_BYTES: usize = 16;

/// Who asked, and about which API.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Asker {
    pub(super) api: ApiId,
    pub(super) client: ClientId,
}

/// Keeps what was decided until it is in the records. A clone is the same.
#[derive(Clone)]
pub(crate) struct DecisionNotes(Arc<Desk>);

struct Desk {
    records: RecordService,
    clock: Clock,
    /// What subjects are called in the records, where they are not to be named.
    pseudonyms: Option<Pseudonyms>,
    table: Table,
    /// Whoever holds it is the only one that writes.
    outbox: Mutex<Outbox>,
}

struct Outbox {
    waiting: VecDeque<Waiting>,
    /// Differs between replicas, and between two runs of one, so that no two name a batch alike.
    replica: String,
    next: u64,
    /// When the table was emptied last.
    emptied: Timestamp,
}

/// A batch on its way.
struct Waiting {
    asker: Asker,
    begun: Timestamp,
    batch: Batch,
}

/// Makes names that stand for subjects: the same for the same, at one client, and nobody without the master key can tell for whom.
pub(crate) struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Every replica has the same key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Whoever is only a role is nobody, and stays so.
    fn replace(&self, client: &ClientId, record: &mut DecisionRecord) {
        if record.subject == NOBODY {
            return;
        }
        let message = [client.as_str().as_bytes(), b"\0", record.subject.as_bytes()].concat();
        let tag = hmac::sign(&self.0, &message);
        record.subject = URL_SAFE_NO_PAD.encode(tag.as_ref().get(..PSEUDONYM_BYTES).unwrap_or_default());
        record.pseudonymous = true;
    }
}

impl DecisionNotes {
    /// Notes for these records.
    pub(crate) fn new(
        records: RecordService,
        pseudonyms: Option<Pseudonyms>,
        clock: Clock,
        entropy: &Entropy,
    ) -> Self {
        let replica = format!("{:032x}", u128::from_be_bytes(entropy.bytes()));
        let emptied = clock.now();
        let outbox = Mutex::new(Outbox { waiting: VecDeque::new(), replica, next: 1, emptied });
        Self(Arc::new(Desk { records, clock, pseudonyms, table: Table::default(), outbox }))
    }

    /// Notes what was decided for a client about its API.
    pub(super) fn note(&self, asker: &Asker, request: &Request<'_>, decision: Decision) {
        if self.0.records.is_on() {
            self.0.table.note(asker, request, decision);
        }
    }

    /// Writes everything that was decided until now. What the database has no time for waits for the next time.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        // What waited goes first; then what came meanwhile.
        for _ in 0..2 {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), StoreError> {
        let Desk { records, clock, table, .. } = &*self.0;
        let mut outbox = self.0.outbox.lock().await;
        if outbox.waiting.is_empty() {
            self.fill(&mut outbox);
        }
        // It leaves the queue when it is written: a batch that somebody gave up on half-way comes again, and is counted once.
        while let Some(Waiting { asker, begun, batch }) = outbox.waiting.front() {
            let now = clock.now();
            let aged = Batch { age: now.since(*begun), ..batch.clone() };
            match records.keep((&asker.api, &asker.client), aged, now).await {
                // The API is gone, or nobody wants records any more.
                Ok(()) | Err(RecordsError::ServesNothing | RecordsError::Unwanted) => {}
                Err(RecordsError::Store(error)) if is_temporary(&error) => return Err(error),
                Err(error) => {
                    let decisions = batch.decisions();
                    tracing::error!(cause = %error, decisions, "decisions could not be recorded; they are counted as lost");
                    table.lose(asker, decisions);
                }
            }
            outbox.waiting.pop_front();
        }
        Ok(())
    }

    /// Puts what was noted into batches.
    fn fill(&self, outbox: &mut Outbox) {
        let begun = std::mem::replace(&mut outbox.emptied, self.0.clock.now());
        for (asker, Taken { mut records, mut lost }) in self.0.table.take() {
            if let Some(pseudonyms) = &self.0.pseudonyms {
                records.iter_mut().for_each(|record| pseudonyms.replace(&asker.client, record));
            }
            while lost > 0 || !records.is_empty() {
                let rest = records.split_off(records.len().min(MAX_RECORDS));
                let batch = Batch {
                    name: format!("{}-{}", outbox.replica, outbox.next),
                    age: Duration::ZERO,
                    lost: std::mem::take(&mut lost),
                    shadow: None,
                    records: std::mem::replace(&mut records, rest),
                };
                outbox.next += 1;
                outbox.waiting.push_back(Waiting { asker: asker.clone(), begun, batch });
            }
        }
    }
}
