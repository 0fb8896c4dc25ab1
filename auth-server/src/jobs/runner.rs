//! Does the jobs that are due.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::jobs::cleanup;
use crate::jobs::lease::Lease;
use crate::jobs::schedule::PERIODIC;
use crate::storage::{Store, StoreError};

/// How often to look for jobs that are due.
const INTERVAL: Duration = Duration::from_secs(5);

/// Why a job was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JobFailure {
    /// The database stood in the way.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer program left work that this one does not know.
    #[error("unknown kind of job")]
    UnknownKind,
}

/// Does the jobs that are due, on any number of replicas.
#[derive(Clone, Debug)]
pub struct Runner {
    store: Store,
    clock: Clock,
    entropy: Entropy,
    /// The stretches of time that this replica has added jobs for.
    added: [Option<i64>; PERIODIC.len()],
}

impl Runner {
    /// A runner over this store.
    pub const fn new(store: Store, clock: Clock, entropy: Entropy) -> Self {
        Self { store, clock, entropy, added: [None; PERIODIC.len()] }
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
            cleanup::KIND => Ok(cleanup::run(&self.store, self.clock.now()).await?),
            _ => Err(JobFailure::UnknownKind),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::ids::JobKind;
    use crate::domain::revocation::Revocation;
    use crate::storage::tests::support::{Backend, Fixture};
    use crate::storage::{jobs, revocations};

    fn runner(fixture: &Fixture, store: &Store) -> Runner {
        Runner::new(store.clone(), fixture.clock.clone(), fixture.entropy.clone())
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn two_replicas_clean_up_once_in_ten_minutes(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let replica = fixture.replica().await;
        let (mut one, mut other) = (runner(&fixture, &fixture.store), runner(&fixture, &replica));
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
        let mut runner = runner(&fixture, &fixture.store);
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
    async fn a_job_that_nobody_knows_is_tried_again_and_given_up_in_the_end(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let id = fixture.id::<JobKind>();
        let (added, now) = (id.clone(), fixture.now());
        fixture
            .write(move |tx| Box::pin(async move { jobs::insert(tx, &added, "later", "{}", now).await }))
            .await;
        let mut runner = runner(&fixture, &fixture.store);
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
}
