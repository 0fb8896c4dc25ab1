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

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It is written, or nobody wants it any more.
    Done,
    /// It would not be taken later either.
    Lost,
    /// The database has no time for it now.
    Waits,
}

impl Fate {
    fn of(outcome: &Result<(), RecordsError>) -> Self {
        match outcome {
            Ok(()) | Err(RecordsError::ServesNothing | RecordsError::Unwanted) => Self::Done,
            Err(RecordsError::Store(error)) if error.is_temporary() => Self::Waits,
            Err(RecordsError::Crowded(_) | RecordsError::Store(_)) => Self::Lost,
        }
    }
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
    pub(crate) async fn flush(&self) -> Result<(), RecordsError> {
        // What waited goes first; then what came meanwhile.
        for _ in 0..2 {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&self) -> Result<(), RecordsError> {
        let Desk { records, clock, table, .. } = &*self.0;
        let mut outbox = self.0.outbox.lock().await;
        if outbox.waiting.is_empty() {
            self.fill(&mut outbox);
        }
        // It leaves the queue when it is written: a batch that somebody gave up on half-way comes again, and is counted once.
        while let Some(Waiting { asker, begun, batch }) = outbox.waiting.front() {
            let now = clock.now();
            let aged = Batch { age: now.since(*begun), ..batch.clone() };
            let outcome = records.keep((&asker.api, &asker.client), aged, now).await;
            match (Fate::of(&outcome), outcome) {
                (Fate::Lost, Err(error)) => {
                    let decisions = batch.decisions();
                    tracing::error!(cause = %error, decisions, "decisions could not be recorded and are counted as lost");
                    table.lose(asker, decisions);
                }
                (Fate::Waits, Err(error)) => return Err(error),
                (Fate::Done | Fate::Lost | Fate::Waits, _) => {}
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
                for record in &mut records {
                    pseudonyms.replace(&asker.client, record);
                }
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

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Roles, Snapshot};

    use super::*;
    use crate::config::Records;
    use crate::domain::decision::Day;
    use crate::services::trial::{START, Trial, operator};
    use crate::storage::StoreError;
    use crate::storage::decision_records::{self, DayTotal};

    async fn asker(trial: &Trial) -> Asker {
        let api = trial.api("https://orders.example").await.id;
        Asker { api, client: ClientId::generate(START, &trial.entropy) }
    }

    fn decide(notes: &DecisionNotes, asker: &Asker, subject: &str, times: usize) {
        let source = PolicySource::with_default_model("p, viewer, *, orders, read");
        let snapshot = Snapshot::compile(&source, 3).unwrap();
        let roles = Roles::from(&["viewer"]);
        let request = Request { subject, roles, domain: "", object: "orders", action: "read" };
        (0..times).for_each(|_| notes.note(asker, &request, snapshot.decide(&request)));
    }

    async fn recorded(trial: &Trial, asker: &Asker) -> Vec<DecisionRecord> {
        let mut tx = trial.store.read().await.unwrap();
        let span = (Day::of(START), Day::of(START));
        let (mut records, _) = decision_records::page(&mut tx, &asker.api, span, None, 10_000).await.unwrap();
        records.sort_by(|one, other| one.subject.cmp(&other.subject));
        records
    }

    async fn totals(trial: &Trial, asker: &Asker) -> Vec<DayTotal> {
        let mut tx = trial.store.read().await.unwrap();
        decision_records::days(&mut tx, &asker.api, Day::of(START).minus(9), 9).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_decided_is_recorded_by_the_client_that_asked() {
        let trial = Trial::begin().await;
        let (asker, notes) = (asker(&trial).await, trial.notes(None));
        notes.flush().await.unwrap();
        for _ in 0..2 {
            decide(&notes, &asker, "alice", 3);
            decide(&notes, &asker, "bob", 1);
            notes.flush().await.unwrap();
        }
        let told = recorded(&trial, &asker).await;
        let told: Vec<_> = told.iter().map(|one| (&*one.subject, one.pseudonymous, one.decisions)).collect();
        assert_eq!(told, [("alice", false, 6), ("bob", false, 2)]);
        assert_eq!(recorded(&trial, &asker).await[0].asked_by.as_ref(), Some(&asker.client));
    }

    #[tokio::test]
    async fn replicas_add_up_and_many_requests_take_several_batches() {
        let trial = Trial::begin().await;
        let asker = asker(&trial).await;
        for notes in [trial.notes(None), trial.notes(None)] {
            (0..2_500).for_each(|number| decide(&notes, &asker, &number.to_string(), 1));
            notes.0.table.lose(&asker, 7);
            notes.flush().await.unwrap();
        }
        let [day] = totals(&trial, &asker).await[..] else { panic!("one day") };
        assert_eq!((day.requests, day.decisions, day.lost), (2_500, 5_000, 14));
    }

    #[tokio::test]
    async fn a_flush_that_is_given_up_is_taken_up_again_and_counted_once() {
        let trial = Trial::begin().await;
        let (asker, notes) = (asker(&trial).await, trial.notes(None));
        (0..2_500).for_each(|number| decide(&notes, &asker, &number.to_string(), 1));
        let mut given_up = 0;
        // Each is given up at another place, where it waits for the first, the second, .. time.
        for waits in 1.. {
            let mut flush = Box::pin(notes.flush());
            let mut polls = 0;
            let ended = std::future::poll_fn(|context| {
                polls += 1;
                let poll = flush.as_mut().poll(context);
                if polls > waits && poll.is_pending() { std::task::Poll::Ready(None) } else { poll.map(Some) }
            });
            if let Some(outcome) = ended.await {
                outcome.unwrap();
                break;
            }
            given_up += 1;
        }
        assert!(given_up > 0, "nothing was given up");
        let [day] = totals(&trial, &asker).await[..] else { panic!("one day") };
        assert_eq!((day.requests, day.decisions, day.lost), (2_500, 2_500, 0));
    }

    #[tokio::test]
    async fn what_the_database_has_no_time_for_waits_and_what_it_never_takes_is_lost() {
        let trial = Trial::begin().await;
        let (asker, notes) = (asker(&trial).await, trial.notes(None));
        decide(&notes, &asker, "alice", 3);
        trial.store.close().await;
        for _ in 0..2 {
            assert!(matches!(notes.flush().await, Err(RecordsError::Store(_))));
            assert_eq!(notes.0.outbox.lock().await.waiting.len(), 1);
        }
        let refused = |error| Fate::of(&Err(RecordsError::Store(error)));
        assert_eq!(refused(StoreError::DiskFull), Fate::Waits);
        assert_eq!(refused(StoreError::Unexpected { reason: String::new() }), Fate::Lost);
        assert_eq!(Fate::of(&Ok(())), Fate::Done);
    }

    #[tokio::test]
    async fn nothing_is_kept_where_nobody_wants_it_and_of_an_api_that_is_gone() {
        let trial = Trial::begin().await;
        let (asker, notes) = (asker(&trial).await, trial.notes(None));
        decide(&notes, &asker, "alice", 3);
        trial.apis.delete(&asker.api, &operator()).await.unwrap();
        notes.flush().await.unwrap();
        assert!(notes.0.outbox.lock().await.waiting.is_empty());

        let other = Asker { api: trial.api("https://stock.example").await.id, client: asker.client.clone() };
        let clock = Clock::manual(START);
        let off = Records { keep_days: 0, ..Records::default() };
        let records = RecordService::new(trial.store.clone(), off, &clock, &trial.entropy);
        let notes = DecisionNotes::new(records, None, clock, &trial.entropy);
        decide(&notes, &other, "alice", 3);
        assert!(notes.0.table.take().is_empty());
        notes.flush().await.unwrap();
        assert_eq!(totals(&trial, &other).await, []);
    }

    #[tokio::test]
    async fn a_pseudonym_stands_for_the_same_subject_at_one_client_and_for_no_role() {
        let trial = Trial::begin().await;
        let one = asker(&trial).await;
        let other = Asker { client: ClientId::generate(START, &trial.entropy), ..one.clone() };
        for (key, asker) in [(1, &one), (1, &one), (1, &other), (2, &one)] {
            let notes = trial.notes(Some(Pseudonyms::new(&[key; 32])));
            for subject in ["alice", "bob", NOBODY] {
                decide(&notes, asker, subject, 1);
            }
            notes.flush().await.unwrap();
        }
        let told = recorded(&trial, &one).await;
        assert!(told.iter().all(|one| !["alice", "bob"].contains(&&*one.subject)));
        let (named, nobody): (Vec<_>, Vec<_>) = told.into_iter().partition(|one| one.pseudonymous);
        let mut counts: Vec<u64> = named.iter().map(|one| one.decisions).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 1, 1, 2, 2], "two under each of three: the first was asked twice");
        assert!(named.iter().all(|one| one.subject.len() == 22));
        assert!(nobody.len() == 2 && nobody.iter().all(|one| one.subject == NOBODY));
    }
}
