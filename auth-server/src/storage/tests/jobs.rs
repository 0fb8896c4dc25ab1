use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::ids::JobId;
use crate::storage::Store;
use crate::storage::jobs::{self, LeasedJob};

const LEASE: Duration = Duration::from_mins(1);

async fn add(fixture: &Fixture, in_secs: u64) -> JobId {
    let (id, run_at) =
        (fixture.id::<crate::domain::ids::JobKind>(), fixture.now().plus(Duration::from_secs(in_secs)));
    let added = id.clone();
    assert!(
        fixture
            .write(move |tx| Box::pin(async move { jobs::insert(tx, &added, "mail", "{}", run_at).await }))
            .await
    );
    id
}

async fn take(store: &Store, fixture: &Fixture, token: &'static str) -> Option<LeasedJob> {
    let now = fixture.now();
    let work =
        store.write(move |tx| Box::pin(async move { jobs::take(tx, token, now.plus(LEASE), now).await }));
    work.await.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_job_is_taken_when_it_is_due_and_by_one(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (late, early) = (add(&fixture, 20).await, add(&fixture, 10).await);
    assert_eq!(take(&fixture.store, &fixture, "a").await, None);
    assert!(!jobs::is_due(&mut fixture.read().await, fixture.now()).await.unwrap());
    fixture.clock.advance(Duration::from_secs(30));
    let replica = fixture.replica().await;
    assert!(jobs::is_due(&mut fixture.read().await, fixture.now()).await.unwrap());
    let first = take(&fixture.store, &fixture, "a").await.unwrap();
    let second = take(&replica, &fixture, "b").await.unwrap();
    assert_eq!((first.id, second.id), (early, late));
    assert_eq!(take(&fixture.store, &fixture, "a").await, None);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn whoever_loses_the_lease_cannot_finish_the_job(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id = add(&fixture, 0).await;
    assert_eq!(take(&fixture.store, &fixture, "slow").await.unwrap().attempts, 1);
    fixture.clock.advance(LEASE);
    assert_eq!(take(&fixture.store, &fixture, "next").await.unwrap().attempts, 2);
    let now = fixture.now();
    let ended = fixture
        .write(move |tx| {
            Box::pin(async move {
                let slow = jobs::finish(tx, &id, "slow", now).await?;
                let late = jobs::retry(tx, &id, "slow", now, "late").await?;
                let next = jobs::finish(tx, &id, "next", now).await?;
                let twice = jobs::finish(tx, &id, "next", now).await?;
                Ok((slow, late, next, twice))
            })
        })
        .await;
    assert_eq!(ended, (false, false, true, false));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_failed_waits_and_says_why(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id = add(&fixture, 0).await;
    take(&fixture.store, &fixture, "a").await.unwrap();
    let (failed, again_at) = (id.clone(), fixture.now().plus(Duration::from_secs(5)));
    assert!(
        fixture
            .write(move |tx| Box::pin(
                async move { jobs::retry(tx, &failed, "a", again_at, "no route").await }
            ))
            .await
    );
    assert_eq!(take(&fixture.store, &fixture, "a").await, None);
    let stored = jobs::find(&mut fixture.read().await, &id).await.unwrap().unwrap();
    assert_eq!((stored.last_error.as_deref(), stored.run_at), (Some("no route"), again_at));
    fixture.clock.advance(Duration::from_secs(5));
    let taken = take(&fixture.store, &fixture, "b").await.unwrap();
    let now = fixture.now();
    assert!(
        fixture
            .write(move |tx| Box::pin(async move { jobs::give_up(tx, &taken.id, "b", now, "gone").await }))
            .await
    );
    let stored = jobs::find(&mut fixture.read().await, &id).await.unwrap().unwrap();
    assert_eq!((stored.last_error.as_deref(), stored.finished_at), (Some("gone"), Some(now)));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_share_the_jobs_without_doing_one_twice(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for _ in 0..12 {
        add(&fixture, 0).await;
    }
    let now = fixture.now();
    let takers = (0..30).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let work = store
                .write(move |tx| Box::pin(async move { jobs::take(tx, "t", now.plus(LEASE), now).await }));
            work.await.unwrap().map(|job| job.id)
        })
    });
    let mut taken: Vec<JobId> = join_all(takers).await.into_iter().filter_map(Result::unwrap).collect();
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 12);
}
