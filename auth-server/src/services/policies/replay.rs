//! Tries other rules on what was really asked.

use portcullis_policy::{Analysis, Replay, Replayed, Request, Roles, Side, Snapshot};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::domain::clock::Timestamp;
use crate::domain::decision::{Day, DecisionRecord};
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::policy::PolicyText;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::names::{NameService, Names};
use crate::services::policies::candidate::source;
use crate::services::policies::find::find_api;
use crate::services::policies::questions::{Edition, QuestionService, Seen};
use crate::storage::{Store, decision_records};

/// The most days that are looked at.
const MAX_DAYS: u32 = 366;
/// How many records are read at once.
pub(super) const PAGE: u32 = 1_000;
/// The most records that are replayed, the newest.
const MAX_RECORDS: usize = 1_000_000;
/// The most of them at a glance: they are decided in the time of a page.
const MAX_GLANCED: usize = 20_000;
/// Pages that wait to be decided.
pub(super) const AHEAD: usize = 2;

/// What would replace the rules in force.
#[derive(Clone, Debug)]
pub(crate) enum Successor {
    /// A text that is stored.
    Edition(Edition),
    /// Another one.
    Text(PolicyText),
}

/// What a replay found, and in what.
#[derive(Debug)]
pub(crate) struct Simulated {
    /// The rules that were compared with.
    pub(crate) before: Seen,
    /// The rules that were tried, if they are stored.
    pub(crate) after: Option<Seen>,
    /// What changes.
    pub(crate) replayed: Replayed,
    /// What is known of the decisions.
    pub(crate) recorded: Recorded,
}

/// How much of what was decided is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Recorded {
    /// How many days have records.
    pub(crate) days: usize,
    /// Decisions that were made and not recorded, because there were too many different ones.
    pub(crate) lost: u64,
    /// Decisions whose subject is not known: rules that name a user could not be tried on them.
    pub(crate) pseudonymous: u64,
    /// Whether older records were left out.
    pub(crate) partial: bool,
}

impl QuestionService {
    /// Decides what was recorded in the last `days` days by `before` and by `after`.
    pub(crate) async fn replay(
        &self,
        api: &ApiId,
        texts: (Edition, Successor),
        days: u32,
        now: Timestamp,
    ) -> Result<Simulated, AdminError> {
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(FieldErrors::of("/days", "invalid", format!("has to be 1 to {MAX_DAYS}")).into());
        }
        let place = self.replay_place().await?;
        self.replay_most(place, api, texts, (days, MAX_RECORDS, now)).await
    }

    /// The same for the newest records only, for who wants to know whether it is worth a look. `None` while another replay is
    /// worked on: a look is not worth a wait.
    pub(crate) async fn glance(
        &self,
        api: &ApiId,
        texts: (Edition, Successor),
        days: u32,
        now: Timestamp,
    ) -> Result<Option<Simulated>, AdminError> {
        let Some(place) = self.free_replay_place() else { return Ok(None) };
        self.replay_most(place, api, texts, (days, MAX_GLANCED, now)).await.map(Some)
    }

    async fn replay_most(
        &self,
        place: OwnedSemaphorePermit,
        api: &ApiId,
        (before, after): (Edition, Successor),
        (days, most, now): (u32, usize, Timestamp),
    ) -> Result<Simulated, AdminError> {
        let (before, old) = self.text(api, before).await?;
        let (after, new) = match after {
            Successor::Edition(edition) => {
                let (seen, text) = self.text(api, edition).await?;
                (Some(seen), text)
            }
            Successor::Text(text) => (None, text),
        };
        let span = (Day::of(now).minus(days - 1), Day::of(now));
        let (pages, decided) = mpsc::channel(AHEAD);
        let decide = Self::work_at(place, move || replayed(&old, &new, decided));
        let (replayed, recorded) = tokio::join!(decide, self.read(api, (span, most), pages));
        Ok(Simulated { before, after, replayed: replayed?, recorded: recorded? })
    }

    /// The clients that asked this server for what changes, by what they are called.
    pub(crate) async fn askers(&self, replayed: &Replayed) -> Result<Names, AdminError> {
        let examples = replayed.changes.iter().flat_map(|change| &change.examples);
        let askers: Vec<&str> = examples.filter_map(|example| example.asker.as_deref()).collect();
        NameService::new(self.store().clone()).find(&askers).await
    }

    /// Reads while it is decided, so that a month of records is never in memory as a whole.
    async fn read(
        &self,
        api: &ApiId,
        ((since, until), most): ((Day, Day), usize),
        pages: mpsc::Sender<Vec<DecisionRecord>>,
    ) -> Result<Recorded, AdminError> {
        let store: &Store = self.store();
        let mut recorded = totals(store, api, since).await?;
        let (mut place, mut count) = (None, 0);
        loop {
            let mut tx = store.read().await?;
            let (records, end) = decision_records::page(&mut tx, api, (since, until), place, PAGE).await?;
            drop(tx);
            if end.is_none() {
                return Ok(recorded);
            }
            (place, count) = (end, count + records.len());
            let unnamed = records.iter().filter(|record| record.pseudonymous).map(|record| record.decisions);
            recorded.pseudonymous = unnamed.fold(recorded.pseudonymous, u64::saturating_add);
            // Whoever decides has given up: it says why.
            if pages.send(records).await.is_err() {
                return Ok(recorded);
            }
            if count >= most {
                recorded.partial = true;
                return Ok(recorded);
            }
        }
    }
}

async fn totals(store: &Store, api: &ApiId, since: Day) -> Result<Recorded, AdminError> {
    let mut tx = store.read().await?;
    let api = find_api(&mut tx, api).await?;
    let days = decision_records::days(&mut tx, &api.id, since, MAX_DAYS).await?;
    let lost = days.iter().fold(0_u64, |sum, day| sum.saturating_add(day.lost));
    Ok(Recorded { days: days.len(), lost, ..Recorded::default() })
}

/// A policy that can be replayed under; one that names roles and users if it can.
enum Compiled {
    Named(Box<Analysis>),
    Plain(Box<Snapshot>),
}

impl Compiled {
    fn of(text: &PolicyText) -> Result<Self, AdminError> {
        if let Ok(analysis) = Analysis::of(source(text)) {
            return Ok(Self::Named(Box::new(analysis)));
        }
        let snapshot = Snapshot::compile(&source(text), 0).map_err(AdminError::Policy)?;
        Ok(Self::Plain(Box::new(snapshot)))
    }

    fn side(&self) -> Side<'_> {
        match self {
            Self::Named(analysis) => Side::from(&**analysis),
            Self::Plain(snapshot) => Side::from(&**snapshot),
        }
    }
}

pub(super) fn replayed(
    old: &PolicyText,
    new: &PolicyText,
    mut pages: mpsc::Receiver<Vec<DecisionRecord>>,
) -> Result<Replayed, AdminError> {
    let (old, new) = (Compiled::of(old)?, Compiled::of(new)?);
    let mut replay = Replay::new(old.side(), new.side());
    while let Some(records) = pages.blocking_recv() {
        for record in records {
            let DecisionRecord { subject, roles, domain, object, action, asked_by, decisions, .. } = &record;
            let request = Request { subject, roles: Roles::from(roles), domain, object, action };
            replay.add_of(asked_by.as_ref().map(ClientId::as_str), &request, *decisions);
        }
    }
    Ok(replay.finish())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::decision::Room;
    use crate::domain::secret::Digest32;
    use crate::services::admin_error::Thing;
    use crate::services::trial::{START, Trial, operator};
    use crate::services::version::Precondition;
    use portcullis_policy::{PolicySource, Turn};

    const ROOM: Room = Room { requests: 1_000_000, bytes: u64::MAX };
    const BEFORE: &str = "p, viewer, *, orders, read\np, editor, *, orders, write";
    const AFTER: &str = "p, editor, *, orders, write";

    fn record(subject: &str, role: &str, decisions: u64) -> DecisionRecord {
        DecisionRecord {
            subject: subject.to_owned(),
            pseudonymous: subject.starts_with('~'),
            roles: vec![role.to_owned()],
            domain: String::new(),
            object: "orders".to_owned(),
            action: "read".to_owned(),
            allowed: true,
            asked_by: None,
            revision: 1,
            decisions,
        }
    }

    async fn note(trial: &Trial, api: &ApiId, days_ago: u32, records: Vec<DecisionRecord>, lost: u64) {
        let mut records: Vec<(Digest32, DecisionRecord)> =
            records.into_iter().map(|record| (record.digest(), record)).collect();
        records.sort_by_key(|(digest, _)| *digest.as_bytes());
        let (api, day) = (api.clone(), Day::of(START).minus(days_ago));
        let noted: Result<(), AdminError> = trial
            .store
            .write(move |tx| {
                Box::pin(
                    async move { Ok(decision_records::add(tx, &api, day, (&records, lost), ROOM).await?) },
                )
            })
            .await;
        noted.unwrap();
    }

    /// An API under `BEFORE`, with `AFTER` as its draft.
    async fn scene() -> (Trial, QuestionService, ApiId) {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        for rules in [BEFORE, AFTER] {
            let source = PolicySource::with_default_model(rules);
            trial.policies().save_draft(&api, source, &Precondition::Any, &operator()).await.unwrap();
            if rules == BEFORE {
                let now = crate::services::policies::Activation {
                    precondition: Precondition::Any,
                    message: "Begin".to_owned(),
                };
                trial.policies().activate(&api, now, &operator()).await.unwrap();
            }
        }
        let questions = QuestionService::new(trial.store.clone());
        (trial, questions, api)
    }

    const DRAFT: (Edition, Successor) = (Edition::Active, Successor::Edition(Edition::Draft));

    #[tokio::test]
    async fn the_draft_is_tried_on_what_was_asked_and_says_who_would_be_locked_out() {
        let (trial, questions, api) = scene().await;
        note(&trial, &api, 0, vec![record("alice", "viewer", 5), record("bob", "stranger", 2)], 0).await;
        note(&trial, &api, 6, vec![record("alice", "viewer", 1), record("~x", "viewer", 1)], 9).await;
        note(&trial, &api, 7, vec![record("carol", "viewer", 100)], 50).await;
        let found = questions.replay(&api, DRAFT, 7, START).await.unwrap();
        assert_eq!((found.before, found.after), (Seen::Revision(2), Some(Seen::Draft(2))));
        let told: Vec<String> = found.replayed.changes.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["viewer loses orders read: 7 decisions, 2 callers"]);
        assert_eq!(found.replayed.all.decisions, 9);
        assert_eq!(found.recorded, Recorded { days: 2, lost: 9, pseudonymous: 1, partial: false });
    }

    #[tokio::test]
    async fn a_text_that_is_not_stored_and_an_older_revision_are_tried_as_well() {
        let (trial, questions, api) = scene().await;
        note(&trial, &api, 0, vec![record("alice", "viewer", 5)], 0).await;
        let model = portcullis_policy::DEFAULT_MODEL.to_owned();
        let text = PolicyText { model, rules: "p, viewer, *, *, *".to_owned(), cases: String::new() };
        let texts = (Edition::Draft, Successor::Text(text));
        let found = questions.replay(&api, texts, 1, START).await.unwrap();
        assert_eq!((found.before, found.after), (Seen::Draft(2), None));
        assert_eq!(found.replayed.changes[0].turn, Turn::Allowed);
        let texts = (Edition::Revision(1), Successor::Edition(Edition::Active));
        assert_eq!(questions.replay(&api, texts, 1, START).await.unwrap().replayed.all.requests, 1);
    }

    #[tokio::test]
    async fn many_pages_are_read_and_nothing_is_known_of_a_day_without_records() {
        let (trial, questions, api) = scene().await;
        let many = (0..2_500).map(|number| record(&format!("{number}"), "viewer", 1)).collect();
        note(&trial, &api, 0, many, 0).await;
        let found = questions.replay(&api, DRAFT, 1, START).await.unwrap();
        assert_eq!((found.replayed.denied.requests, found.replayed.changes[0].callers), (2_500, 2_500));
        let whole = questions.glance(&api, DRAFT, 1, START).await.unwrap().expect("nobody else looks");
        assert_eq!((whole.replayed.losers, whole.recorded.partial), (2_500, false));
        let later = START.plus(Duration::from_hours(48));
        let found = questions.replay(&api, DRAFT, 1, later).await.unwrap();
        assert_eq!((found.replayed.all.requests, found.recorded), (0, Recorded::default()));
    }

    #[tokio::test]
    async fn a_glance_is_at_the_newest_records_only() {
        let (trial, questions, api) = scene().await;
        for days_ago in 0..3 {
            let many =
                (0..9_000).map(|number| record(&format!("{days_ago}-{number}"), "viewer", 1)).collect();
            note(&trial, &api, days_ago, many, 0).await;
        }
        let found = questions.glance(&api, DRAFT, 7, START).await.unwrap().expect("nobody else looks");
        assert!(found.recorded.partial);
        assert!((MAX_GLANCED..MAX_GLANCED + 1_000).contains(&found.replayed.losers), "{found:?}");
        assert_eq!(questions.replay(&api, DRAFT, 7, START).await.unwrap().replayed.losers, 27_000);
    }

    #[tokio::test]
    async fn counts_beyond_belief_are_added_up() {
        let (trial, questions, api) = scene().await;
        for day in 0..3 {
            note(&trial, &api, day, vec![record("~x", "viewer", 9_000_000_000_000_000_000)], 0).await;
        }
        let found = questions.replay(&api, DRAFT, 7, START).await.unwrap();
        assert_eq!((found.recorded.pseudonymous, found.replayed.all.decisions), (u64::MAX, u64::MAX));
    }

    #[tokio::test]
    async fn no_question_waits_for_a_replay() {
        let (_trial, questions, api) = scene().await;
        let _busy = questions.replay_place().await.unwrap();
        questions.diff(&api, Edition::Active, Edition::Draft).await.unwrap();
        let glance = questions.glance(&api, DRAFT, 1, START).await;
        assert!(matches!(glance, Ok(None)), "a look is not worth a wait");
        let nothing = questions.shadowed(&api).await;
        assert!(
            matches!(nothing, Err(AdminError::NotFound(Thing::Shadow))),
            "whoever asks for nothing waits for nobody"
        );
    }

    #[tokio::test]
    async fn a_text_with_mistakes_and_a_time_that_is_none_are_refused() {
        let (trial, questions, api) = scene().await;
        // More than waits in the pages ahead: whoever reads has to notice that nobody decides.
        let many = (0..6_000).map(|number| record(&format!("{number}"), "viewer", 1)).collect();
        note(&trial, &api, 0, many, 0).await;
        let source = PolicySource::with_default_model("p, viewer");
        trial.policies().save_draft(&api, source, &Precondition::Any, &operator()).await.unwrap();
        let refused = questions.replay(&api, DRAFT, 1, START).await;
        assert!(matches!(refused, Err(AdminError::Policy(report)) if report.has_errors()));
        for days in [0, MAX_DAYS + 1] {
            let refused = questions.replay(&api, DRAFT, days, START).await;
            assert!(matches!(refused, Err(AdminError::Invalid(_))), "{days}");
        }
    }
}
