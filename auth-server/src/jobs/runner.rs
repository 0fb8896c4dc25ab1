//! Does the jobs that are due.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::jobs::cleanup;
use crate::jobs::lease::Lease;
use crate::jobs::schedule::PERIODIC;
use crate::services::backchannel::LogoutNotices;
use crate::services::deletion;
use crate::services::mailing::MailService;
use crate::services::policies::PolicyService;
use crate::services::policies::schedule::{ACTIVATION_JOB, ActivationJob};
use crate::storage::{Store, StoreError};

/// How often to look for jobs that are due.
const INTERVAL: Duration = Duration::from_secs(5);

/// Days for which records of decisions are kept, unless set.
const KEEP_RECORDS: u32 = 30;

/// Why a job was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JobFailure {
    /// A scheduled activation could not even be decided on.
    #[error("{0}")]
    Activation(String),
    /// The database stood in the way.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer program left work that this one does not know.
    #[error("unknown kind of job")]
    UnknownKind,
    /// What the job is told cannot be read.
    #[error("the job does not say what it is about")]
    Unreadable,
}

/// Does the jobs that are due, on any number of replicas.
#[derive(Clone)]
pub struct Runner {
    store: Store,
    clock: Clock,
    entropy: Entropy,
    policies: PolicyService,
    mail: MailService,
    keep_records: u32,
    /// The stretches of time that this replica has added jobs for.
    added: [Option<i64>; PERIODIC.len()],
}

impl Runner {
    /// A runner over this store.
    pub fn new(store: Store, clock: Clock, entropy: Entropy, policies: PolicyService) -> Self {
        let (mail, added) = (MailService::off(), [None; PERIODIC.len()]);
        Self { store, clock, entropy, policies, mail, keep_records: KEEP_RECORDS, added }
    }

    /// Tells people of what became of their accounts.
    #[must_use]
    pub(crate) fn tell(mut self, mail: MailService) -> Self {
        self.mail = mail;
        self
    }

    /// Keeps records of decisions for so many days instead of thirty.
    #[must_use]
    pub const fn keep_records(mut self, days: u32) -> Self {
        self.keep_records = days;
        self
    }

    /// Does what is due, again and again, until `stop` ends.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = sleep(INTERVAL) => {}
            }
            if let Err(error) = self.run_due().await {
                warn!(error = %error, "jobs wait: the database does not take them");
            }
        }
    }

    /// Does everything that is due now; gives how many jobs it did or tried.
    pub async fn run_due(&mut self) -> Result<u32, StoreError> {
        self.add_periodic().await?;
        let mut tried = 0;
        while let Some(lease) = Lease::take(&self.store, &self.clock, &self.entropy).await? {
            tried += 1;
            match self.do_job(&lease).await {
                Ok(()) => lease.finish(&self.store, self.clock.now()).await?,
                Err(failure) => {
                    warn!(job.id = %lease.job.id, job.kind = %lease.job.kind, error = %failure, "a job failed");
                    lease.fail(&self.store, self.clock.now(), failure.to_string()).await?;
                }
            }
        }
        Ok(tried)
    }

    async fn add_periodic(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for (periodic, added) in PERIODIC.into_iter().zip(&mut self.added) {
            let stretch = periodic.stretch(now);
            if *added != Some(stretch) {
                periodic.add(&self.store, stretch, now).await?;
                *added = Some(stretch);
            }
        }
        Ok(())
    }

    async fn do_job(&self, lease: &Lease) -> Result<(), JobFailure> {
        match lease.job.kind.as_str() {
            cleanup::KIND => self.clean_up().await,
            ACTIVATION_JOB => self.activate(&lease.job.payload).await,
            _ => Err(JobFailure::UnknownKind),
        }
    }

    async fn clean_up(&self) -> Result<(), JobFailure> {
        let now = self.clock.now();
        cleanup::run(&self.store, now, self.keep_records).await?;
        // Applications are told of the last sign-outs by whoever sends notices.
        let notices = LogoutNotices::new(self.entropy.clone());
        Ok(deletion::all_due(&self.store, (&notices, &self.mail), now).await?)
    }

    async fn activate(&self, payload: &str) -> Result<(), JobFailure> {
        let job: ActivationJob = serde_json::from_str(payload).map_err(|_| JobFailure::Unreadable)?;
        let done = self.policies.carry_out(&job.schedule, self.clock.now()).await;
        done.map_err(|error| JobFailure::Activation(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{ADMIN_API_RULES, PolicySource};
    use rstest::rstest;

    use super::*;
    use crate::domain::decision::{Day, DecisionRecord, Room};
    use crate::domain::ids::{ApiId, JobKind};
    use crate::domain::issuer::Issuer;
    use crate::domain::revocation::Revocation;
    use crate::domain::schedule::{Ending, PolicySchedule};
    use crate::services::apis::ApiService;
    use crate::services::caller::Caller;
    use crate::services::owners::Owners;
    use crate::services::policies::Activation;
    use crate::services::policies::live::AdminPolicy;
    use crate::services::version::Precondition;
    use crate::storage::tests::support::{Backend, Fixture};
    use crate::storage::{
        apis, decision_records, forgotten, jobs, policies as storage_policies, revocations, schedules,
    };

    async fn policies(fixture: &Fixture, store: &Store) -> PolicyService {
        let (store, entropy) = (store.clone(), fixture.entropy.clone());
        let owners = Owners::of(&Issuer::parse("https://id.example.com").unwrap()).unwrap();
        let apis = ApiService::new(store.clone(), entropy.clone(), owners.clone());
        apis.ensure_admin_api(&Caller::system(fixture.now())).await.unwrap();
        let live = AdminPolicy::open(store.clone(), owners.clone()).await.unwrap();
        PolicyService::new(store, entropy, owners, live)
    }

    async fn runner(fixture: &Fixture, store: &Store) -> Runner {
        let policies = policies(fixture, store).await;
        Runner::new(store.clone(), fixture.clock.clone(), fixture.entropy.clone(), policies)
    }

    const HOUR: Duration = Duration::from_hours(1);
    const ROOM: Room = Room { requests: 10_000, bytes: u64::MAX };

    /// Asks for another policy of the admin API that says the same, in an hour.
    async fn put_off(fixture: &Fixture) -> PolicySchedule {
        let policies = policies(fixture, &fixture.store).await;
        let api = apis::find_admin(&mut fixture.read().await).await.unwrap().unwrap().id;
        let activation = Activation { precondition: Precondition::Any, message: "Again".to_owned() };
        let caller = Caller::operator(fixture.now());
        let draft = PolicySource::with_default_model(format!("{ADMIN_API_RULES}# again\n"));
        policies.save_draft(&api, draft, &Precondition::Any, &caller).await.unwrap();
        policies.schedule(&api, activation, &fixture.now().plus(HOUR).rfc3339(), &caller).await.unwrap()
    }

    async fn newest(fixture: &Fixture, schedule: &PolicySchedule) -> Option<u64> {
        storage_policies::newest_revision(&mut fixture.read().await, &schedule.api).await.unwrap()
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn two_replicas_clean_up_once_in_ten_minutes(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let replica = fixture.replica().await;
        let (mut one, mut other) = (runner(&fixture, &fixture.store).await, runner(&fixture, &replica).await);
        let mut done = Vec::new();
        let statements = fixture.store.statements();
        for _ in 0..3 {
            done.push(one.run_due().await.unwrap() + other.run_due().await.unwrap());
            done.push(other.run_due().await.unwrap() + one.run_due().await.unwrap());
            fixture.clock.advance(Duration::from_mins(10));
        }
        assert_eq!(done, [1, 0, 1, 0, 1, 0]);
        // Nobody asked for it, so nobody who counts statements sees it.
        assert_eq!(fixture.store.statements(), statements);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn what_ended_is_gone_a_day_later(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let end = fixture.now();
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    tx.revoke(Revocation::of_token("abc", end));
                    Ok(())
                })
            })
            .await;
        let mut runner = runner(&fixture, &fixture.store).await;
        let is_kept = async || revocations::jti_revoked(&mut fixture.read().await, "abc").await.unwrap();
        fixture.clock.advance(Duration::from_hours(24));
        runner.run_due().await.unwrap();
        assert!(is_kept().await);
        fixture.clock.advance(Duration::from_hours(1));
        runner.run_due().await.unwrap();
        assert!(!is_kept().await);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn records_of_decisions_are_kept_for_as_many_days_as_is_said(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let api = fixture.api("https://orders.example").await.id;
        let today = Day::of(fixture.now());
        for days in 0..5 {
            let (api, day) = (api.clone(), today.minus(days));
            fixture
                .write(move |tx| {
                    Box::pin(async move { decision_records::add(tx, &api, day, (&[], 1), ROOM).await })
                })
                .await;
        }
        let kept = async || {
            let days = decision_records::days(&mut fixture.read().await, &api, today.minus(100), 100).await;
            days.unwrap().len()
        };
        runner(&fixture, &fixture.store).await.run_due().await.unwrap();
        assert_eq!(kept().await, 5);
        fixture.clock.advance(Duration::from_hours(1));
        runner(&fixture, &fixture.store).await.keep_records(2).run_due().await.unwrap();
        assert_eq!(kept().await, 3, "today and two days before");
    }

    /// An API with more records of Ada than go at once, and one of Bob; Ada was just deleted.
    async fn without_ada(fixture: &Fixture) -> ApiId {
        let api = fixture.api("https://orders.example").await.id;
        let record = |subject: &str, object: String| DecisionRecord {
            asked_by: None,
            subject: subject.to_owned(),
            pseudonymous: false,
            roles: Vec::new(),
            domain: String::new(),
            object,
            action: "read".to_owned(),
            allowed: true,
            revision: 1,
            decisions: 1,
        };
        let of_ada = (0..1_200).map(|number| record("ada", number.to_string()));
        let mut all: Vec<_> = of_ada
            .chain([record("bob", "orders".to_owned())])
            .map(|record| (record.digest(), record))
            .collect();
        all.sort_by_key(|(digest, _)| *digest.as_bytes());
        let (now, added) = (fixture.now(), api.clone());
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    decision_records::add(tx, &added, Day::of(now), (&all, 0), ROOM).await?;
                    forgotten::insert(tx, "ada", now).await
                })
            })
            .await;
        api
    }

    async fn subjects(fixture: &Fixture, api: &ApiId) -> Vec<String> {
        let today = Day::of(fixture.now());
        let page = decision_records::page(&mut fixture.read().await, api, (today, today), None, 5_000).await;
        page.unwrap().0.into_iter().map(|record| record.subject).collect()
    }

    /// Whether nothing is stored of Ada any more.
    async fn is_gone(fixture: &Fixture) -> bool {
        let end = fixture.now().plus(HOUR);
        fixture.write(move |tx| Box::pin(async move { forgotten::release(tx, end, 1).await })).await == 1
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_somebody_asked_is_hidden_when_they_are_deleted_and_taken_away_once(
        #[case] backend: Backend,
    ) {
        let fixture = Fixture::new(backend).await;
        let replica = fixture.replica().await;
        let api = without_ada(&fixture).await;
        let (mut one, mut other) = (runner(&fixture, &fixture.store).await, runner(&fixture, &replica).await);
        one.run_due().await.unwrap();
        assert_eq!(subjects(&fixture, &api).await, ["bob"]);
        assert!(!is_gone(&fixture).await, "somebody may still be adding to it");
        fixture.clock.advance(HOUR);
        let (first, second) = tokio::join!(one.run_due(), other.run_due());
        assert_eq!(first.unwrap() + second.unwrap(), 1);
        assert!(is_gone(&fixture).await);
        assert_eq!(subjects(&fixture, &api).await, ["bob"]);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_that_take_away_the_same_and_one_that_stops_leave_nothing(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let replica = fixture.replica().await;
        let api = without_ada(&fixture).await;
        let before = fixture.now().plus(HOUR);
        let part = async |store: &Store| {
            let taken = store
                .write(move |tx| Box::pin(async move { forgotten::delete_records(tx, before, 500).await }));
            taken.await.unwrap()
        };
        // The second waits for the rows of the first, and may find none of its own; then both are gone.
        let both = tokio::join!(part(&fixture.store), part(&replica));
        assert_eq!(both, (true, true));
        assert!(!is_gone(&fixture).await, "there are more");
        fixture.clock.advance(HOUR);
        runner(&fixture, &fixture.store).await.run_due().await.unwrap();
        assert!(is_gone(&fixture).await);
        assert_eq!(subjects(&fixture, &api).await, ["bob"]);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn whom_nobody_can_tell_of_any_more_is_no_longer_remembered(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        without_ada(&fixture).await;
        let mut runner = runner(&fixture, &fixture.store).await.keep_records(2);
        fixture.clock.advance(3 * Duration::from_hours(24));
        runner.run_due().await.unwrap();
        fixture.clock.advance(HOUR);
        runner.run_due().await.unwrap();
        assert!(!is_gone(&fixture).await, "the name is gone with the records");
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_job_that_nobody_knows_is_tried_again_and_given_up_in_the_end(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let id = fixture.id::<JobKind>();
        let (added, now) = (id.clone(), fixture.now());
        fixture
            .write(move |tx| Box::pin(async move { jobs::insert(tx, &added, "later", "{}", now).await }))
            .await;
        let mut runner = runner(&fixture, &fixture.store).await;
        let found = async || jobs::find(&mut fixture.read().await, &id).await.unwrap().unwrap();
        runner.run_due().await.unwrap();
        assert_eq!((found().await.attempts, found().await.finished_at), (1, None));
        for _ in 0..20 {
            fixture.clock.advance(Duration::from_hours(1));
            runner.run_due().await.unwrap();
        }
        let given_up = found().await;
        assert_eq!(given_up.attempts, 12);
        assert!(given_up.finished_at.is_some(), "{given_up:?}");
        assert_eq!(given_up.last_error.as_deref(), Some("unknown kind of job"));
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_replicas_carry_an_activation_out_once_and_not_before_its_time(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let replica = fixture.replica().await;
        let schedule = put_off(&fixture).await;
        let (mut one, mut other) = (runner(&fixture, &fixture.store).await, runner(&fixture, &replica).await);
        fixture.clock.advance(Duration::from_mins(59));
        one.run_due().await.unwrap();
        assert_eq!(newest(&fixture, &schedule).await, Some(1));
        fixture.clock.advance(Duration::from_mins(1));
        let (first, second) = tokio::join!(one.run_due(), other.run_due());
        assert_eq!(first.unwrap() + second.unwrap(), 2, "the activation, and what is cleaned up then");
        assert_eq!(newest(&fixture, &schedule).await, Some(2));
        let ended = schedules::find(&mut fixture.read().await, &schedule.id).await.unwrap().unwrap().end;
        assert_eq!(ended.map(|end| (end.how, end.revision)), Some((Ending::Activated, Some(2))));
        assert_eq!(other.policies.active(&schedule.api).await.unwrap().number, 2);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_replica_that_dies_before_or_after_the_activation_leaves_one_revision(
        #[case] backend: Backend,
    ) {
        let fixture = Fixture::new(backend).await;
        let schedule = put_off(&fixture).await;
        let mut survivor = runner(&fixture, &fixture.store).await;
        survivor.run_due().await.unwrap();
        fixture.clock.advance(HOUR);
        let take = async || Lease::take(&fixture.store, &fixture.clock, &fixture.entropy).await.unwrap();
        let before = take().await.unwrap();
        assert_eq!(before.job.kind, ACTIVATION_JOB);
        // It dies with the lease in its hand; the next one dies when the work is done and not reported.
        fixture.clock.advance(Duration::from_mins(1));
        let after = take().await.unwrap();
        survivor.do_job(&after).await.unwrap();
        fixture.clock.advance(Duration::from_mins(1));
        survivor.run_due().await.unwrap();
        assert_eq!(newest(&fixture, &schedule).await, Some(2));
        let job = jobs::find(&mut fixture.read().await, &after.job.id).await.unwrap().unwrap();
        assert_eq!((job.attempts, job.finished_at.is_some(), job.last_error), (3, true, None));
    }
}
