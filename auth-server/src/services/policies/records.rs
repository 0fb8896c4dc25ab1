//! Takes what was decided, to try other rules on it later.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::config::Records;
use crate::domain::client::Client;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::decision::{Day, DecisionRecord};
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::secret::{Digest32, Entropy};
use crate::services::buckets::{Buckets, Key};
use crate::storage::shadows::{self, Found};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Outcome, Store, StoreError, decision_records};

/// The most records of one batch.
pub(crate) const MAX_RECORDS: usize = 1_000;
/// Most records in one transaction, so that nobody waits long behind it.
const CHUNK: usize = 250;
/// No guard decides so often in one day.
const MAX_DECISIONS: u64 = 1_000_000_000_000;
/// The batches of one client in a minute: those of a hundred replicas that report every ten seconds.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).unwrap();
/// The most different requests that rules on trial decide otherwise: whoever sees so many has seen enough.
const MAX_DIFFERENCES: u64 = 10_000;
/// For how long a batch that comes again is known. Cleaning up keeps it for a day after that.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// What a guard sends at once.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The same when it is sent again.
    pub(crate) name: String,
    /// How long ago the first of it was decided.
    pub(crate) age: Duration,
    /// How many decisions are not in it. Rules on trial were not tried on those.
    pub(crate) lost: u64,
    /// The rules that would decide these otherwise. `None`: these were decided by those in force.
    pub(crate) shadow: Option<Digest32>,
    /// What was decided.
    pub(crate) records: Vec<DecisionRecord>,
}

impl Batch {
    /// How many decisions are gone when it is not taken.
    pub(super) fn decisions(&self) -> u64 {
        self.records.iter().fold(self.lost, |sum, record| sum.saturating_add(record.decisions))
    }
}

/// Why a batch is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The client sends more than is believable.
    #[error("too many batches, the next one is taken in {0:?}")]
    Crowded(Duration),
    /// The client is not the guard of an API.
    #[error("the client serves no API")]
    ServesNothing,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This server keeps no records.
    #[error("no records are kept here")]
    Unwanted,
}

impl Outcome for RecordsError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

/// Takes records of decisions.
#[derive(Clone)]
pub(crate) struct RecordService {
    store: Store,
    settings: Records,
    limits: Arc<(Buckets, [u8; 32])>,
}

impl RecordService {
    /// The service over this store.
    pub(crate) fn new(store: Store, settings: Records, clock: &Clock, entropy: &Entropy) -> Self {
        let buckets = Buckets::new(Quota::per_minute(PER_MINUTE), 10, clock);
        Self { store, settings, limits: Arc::new((buckets, entropy.bytes())) }
    }

    /// Takes a batch of the guard that `client` is. One that comes again is counted once.
    pub(crate) async fn take(
        &self,
        client: &Client,
        batch: Batch,
        now: Timestamp,
    ) -> Result<(), RecordsError> {
        let api = client.settings.serves.as_ref().ok_or(RecordsError::ServesNothing)?;
        if !self.is_on() {
            return Err(RecordsError::Unwanted);
        }
        let (buckets, seed) = &*self.limits;
        let key = Key::new(seed, 0, &[client.id.as_str().as_bytes()]);
        buckets.take(key, NonZeroU32::MIN).map_err(RecordsError::Crowded)?;
        self.keep((api, &client.id), batch, now).await
    }

    /// Whether records are kept at all.
    pub(super) const fn is_on(&self) -> bool {
        self.settings.keep_days > 0
    }

    /// Keeps a batch of what was decided for `client` about the API. One that comes again is counted once.
    pub(super) async fn keep(
        &self,
        (api, client): (&ApiId, &ClientId),
        mut batch: Batch,
        now: Timestamp,
    ) -> Result<(), RecordsError> {
        if !self.is_on() {
            return Err(RecordsError::Unwanted);
        }
        let api = self.store.api(api).await?.ok_or(RecordsError::ServesNothing)?;
        if batch.shadow.is_some() && batch.shadow != api.shadow {
            // Something else is tried by now, or nothing.
            return Ok(());
        }
        let (day, shadow) = (self.day_of(&batch, now), batch.shadow);
        let name = Digest32::of_parts(&[client.as_str().as_bytes(), b"\0", batch.name.as_bytes()]);
        // What is not in a batch of differences may be one or not: nobody tried.
        let mut untried =
            if shadow.is_some() { std::mem::take(&mut batch.lost).min(MAX_DECISIONS) } else { 0 };
        let (mut records, mut lost) = sorted(batch);
        let mut part = 0_u64;
        while part == 0 || !records.is_empty() {
            let rest = records.split_off(records.len().min(CHUNK));
            let chunk = std::mem::replace(&mut records, rest);
            let name = Digest32::of_parts(&[name.as_bytes(), &part.to_be_bytes()]);
            let (lost, untried) = (std::mem::take(&mut lost), std::mem::take(&mut untried));
            self.add(&api.id, Part { name, day, shadow, records: chunk, lost, untried }, now).await?;
            part += 1;
        }
        Ok(())
    }

    /// The day on which it was decided: a guard that could not reach us may come late.
    fn day_of(&self, batch: &Batch, now: Timestamp) -> Day {
        let oldest = Day::of(now).minus(self.settings.keep_days);
        Day::of(now.minus(batch.age.min(Duration::from_hours(24) * self.settings.keep_days))).max(oldest)
    }

    async fn add(&self, api: &ApiId, part: Part, now: Timestamp) -> Result<(), RecordsError> {
        let Part { name, day, shadow, records, lost, untried } = part;
        let (api, room) = (api.clone(), self.settings.room());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    let until = now.plus(KNOWN_FOR);
                    if !single_use::remember(tx, Purpose::DecisionBatch, &name, until, now).await? {
                        return Ok(());
                    }
                    if let Some(sha256) = &shadow {
                        let found = Found { records: &records, lost, untried };
                        shadows::add(tx, (&api, sha256), found, MAX_DIFFERENCES).await?;
                    } else {
                        decision_records::add(tx, &api, day, (&records, lost), room).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// What is written at once.
struct Part {
    /// The same when it comes again.
    name: Digest32,
    day: Day,
    shadow: Option<Digest32>,
    records: Vec<(Digest32, DecisionRecord)>,
    lost: u64,
    untried: u64,
}

/// Puts the records in the order of their digests, and counts those that are none.
fn sorted(batch: Batch) -> (Vec<(Digest32, DecisionRecord)>, u64) {
    let mut lost = batch.lost.min(MAX_DECISIONS);
    let mut records = Vec::with_capacity(batch.records.len());
    for mut record in batch.records {
        record.decisions = record.decisions.clamp(1, MAX_DECISIONS);
        let decisions = record.decisions;
        match record.in_order() {
            Some(record) => records.push((record.digest(), record)),
            None => lost = lost.saturating_add(decisions).min(MAX_DECISIONS),
        }
    }
    records.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    (records, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::clients::form::ClientForm;
    use crate::services::trial::{START, Trial, operator};
    use crate::storage::decision_records::DayTotal;

    const DAY: Duration = Duration::from_hours(24);

    async fn served(trial: &Trial) -> Client {
        let api = trial.api("https://orders.example").await.id;
        let form = ClientForm {
            name: "Orders".to_owned(),
            preset: "service".to_owned(),
            serves: Some(api.to_string()),
            ..ClientForm::default()
        };
        trial.clients.create(&form, &operator()).await.unwrap().client.value
    }

    fn service(trial: &Trial, settings: Records) -> RecordService {
        RecordService::new(trial.store.clone(), settings, &Clock::manual(START), &trial.entropy)
    }

    fn record(subject: &str) -> DecisionRecord {
        DecisionRecord {
            subject: subject.to_owned(),
            pseudonymous: false,
            roles: vec!["viewer".to_owned()],
            domain: String::new(),
            object: "orders".to_owned(),
            action: "read".to_owned(),
            allowed: true,
            asked_by: None,
            revision: 1,
            decisions: 3,
        }
    }

    fn batch(name: &str, records: Vec<DecisionRecord>) -> Batch {
        Batch { name: name.to_owned(), age: Duration::ZERO, lost: 0, shadow: None, records }
    }

    async fn days(trial: &Trial, client: &Client) -> Vec<DayTotal> {
        let api = client.settings.serves.as_ref().unwrap();
        let mut tx = trial.store.read().await.unwrap();
        decision_records::days(&mut tx, api, Day::of(START).minus(1_000), 100).await.unwrap()
    }

    #[tokio::test]
    async fn a_batch_that_comes_again_is_counted_once_however_large_it_is() {
        let trial = Trial::begin().await;
        let (client, records) = (served(&trial).await, service(&trial, Records::default()));
        let large = batch("g-1", (0..MAX_RECORDS).map(|number| record(&format!("{number}"))).collect());
        for _ in 0..2 {
            records.take(&client, large.clone(), START).await.unwrap();
        }
        let [day] = days(&trial, &client).await[..] else { panic!("one day") };
        assert_eq!((day.requests, day.decisions, day.lost), (1_000, 3_000, 0));
        records.take(&client, Batch { name: "g-2".to_owned(), ..large }, START).await.unwrap();
        assert_eq!(days(&trial, &client).await[0].decisions, 6_000, "another name is another batch");
    }

    #[tokio::test]
    async fn a_guard_that_comes_late_is_counted_on_the_day_and_no_further_back_than_is_kept() {
        let trial = Trial::begin().await;
        let (client, records) = (served(&trial).await, service(&trial, Records::default()));
        for (name, age) in [("g-1", Duration::ZERO), ("g-2", 3 * DAY), ("g-3", Duration::MAX)] {
            let late = Batch { age, ..batch(name, vec![record("alice")]) };
            records.take(&client, late, START).await.unwrap();
        }
        let today = Day::of(START);
        let told: Vec<Day> = days(&trial, &client).await.iter().map(|total| total.day).collect();
        assert_eq!(told, [today, today.minus(3), today.minus(30)]);
    }

    #[tokio::test]
    async fn what_is_no_record_is_counted_and_the_rest_is_kept() {
        let trial = Trial::begin().await;
        let (client, records) = (served(&trial).await, service(&trial, Records::default()));
        let mixed = vec![
            record("alice"),
            record("a\0b"),
            record(""),
            DecisionRecord { decisions: 0, ..record("bob") },
        ];
        let endless = DecisionRecord { decisions: u64::MAX, ..record("carol") };
        records.take(&client, batch("g-1", [mixed, vec![endless]].concat()), START).await.unwrap();
        records.take(&client, Batch { lost: u64::MAX, ..batch("g-2", Vec::new()) }, START).await.unwrap();
        let day = days(&trial, &client).await[0];
        assert_eq!((day.requests, day.decisions), (3, MAX_DECISIONS + 4));
        assert_eq!(day.lost, MAX_DECISIONS + 6);
    }

    #[tokio::test]
    async fn who_serves_nothing_and_who_is_not_wanted_is_refused() {
        let trial = Trial::begin().await;
        let client = served(&trial).await;
        let off = service(&trial, Records { keep_days: 0, ..Records::default() });
        let refused = off.take(&client, batch("g-1", vec![record("alice")]), START).await;
        assert!(matches!(refused, Err(RecordsError::Unwanted)));
        let mut robot = client.clone();
        robot.settings.serves = None;
        let records = service(&trial, Records::default());
        let refused = records.take(&robot, batch("g-1", vec![record("alice")]), START).await;
        assert!(matches!(refused, Err(RecordsError::ServesNothing)));
        assert_eq!(days(&trial, &client).await, []);
    }

    #[tokio::test]
    async fn a_flood_of_batches_has_to_wait() {
        let trial = Trial::begin().await;
        let (client, records) = (served(&trial).await, service(&trial, Records::default()));
        let mut taken = 0;
        while records.take(&client, batch(&format!("g-{taken}"), Vec::new()), START).await.is_ok() {
            taken += 1;
            assert!(taken <= PER_MINUTE.get());
        }
        assert_eq!(taken, PER_MINUTE.get());
        let refused = records.take(&client, batch("g", Vec::new()), START).await;
        assert!(matches!(refused, Err(RecordsError::Crowded(wait)) if wait > Duration::ZERO));
    }

    #[tokio::test]
    async fn whoever_is_deleted_is_forgotten() {
        let trial = Trial::begin().await;
        let (client, records) = (served(&trial).await, service(&trial, Records::default()));
        let user = trial.user("ada").await;
        let sub = trial.users.show(&user).await.unwrap().value.sub;
        let both = vec![record(sub.as_str()), record(client.id.as_str()), record("other")];
        records.take(&client, batch("g-1", both), START).await.unwrap();
        trial.users.delete(&user, &operator()).await.unwrap();
        trial.clients.delete(&client.id, &operator()).await.unwrap();
        let api = client.settings.serves.as_ref().unwrap();
        let mut tx = trial.store.read().await.unwrap();
        let span = (Day::of(START), Day::of(START));
        let (left, _) = decision_records::page(&mut tx, api, span, None, 10).await.unwrap();
        assert_eq!(left.iter().map(|record| record.subject.as_str()).collect::<Vec<_>>(), ["other"]);
        drop(tx);
        // A guard that tells late of what it decided before.
        let lost = days(&trial, &client).await[0].lost;
        records.take(&client, batch("g-2", vec![record(sub.as_str())]), START).await.unwrap();
        assert_eq!(days(&trial, &client).await[0].lost, lost + 3);
    }
}
