use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::storage::StoreError;
use crate::storage::single_use::{self, Purpose};

const TTL: Duration = Duration::from_mins(1);

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_at_two_replicas_one_consumes(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let (digest, now) = (fixture.digest(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                single_use::issue(tx, Purpose::AuthorizationCode, &digest, &"payload", now.plus(TTL)).await
            })
        })
        .await;
    let callers = (0..50).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move {
                    single_use::consume::<String>(tx, Purpose::AuthorizationCode, &digest, now).await
                })
            });
            work.await.unwrap()
        })
    });
    let got: Vec<String> = join_all(callers).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(got, ["payload"]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_was_consumed_is_found_as_spent_and_not_as_fresh(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (digest, now) = (fixture.digest(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let purpose = Purpose::SetupLink;
                single_use::issue(tx, purpose, &digest, &7, now.plus(TTL)).await?;
                assert_eq!(single_use::find(tx, purpose, &digest, now).await?, Some(7));
                assert_eq!(single_use::find_spent::<i32>(tx, purpose, &digest).await?, None);
                assert_eq!(single_use::consume(tx, purpose, &digest, now).await?, Some(7));
                assert_eq!(single_use::find::<i32>(tx, purpose, &digest, now).await?, None);
                assert_eq!(single_use::find_spent(tx, purpose, &digest).await?, Some(7));
                Ok(())
            })
        })
        .await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn neither_another_purpose_nor_a_late_caller_consumes(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (digest, now) = (fixture.digest(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                single_use::issue(tx, Purpose::SetupLink, &digest, &7, now.plus(TTL)).await?;
                let other = single_use::consume::<i32>(tx, Purpose::AuthorizationCode, &digest, now).await?;
                let late = single_use::consume::<i32>(tx, Purpose::SetupLink, &digest, now.plus(TTL)).await?;
                assert_eq!((other, late), (None, None));
                Ok(())
            })
        })
        .await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_assertion_id_is_new_to_one_caller_only(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (digest, now) = (fixture.digest(), fixture.now());
    let callers = (0..20).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move {
                    let expires_at = now.plus(TTL);
                    single_use::remember(tx, Purpose::AssertionJti, &digest, expires_at, now).await
                })
            });
            work.await
        })
    });
    let news: Vec<Result<bool, StoreError>> =
        join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(news.iter().filter(|new| **new == Ok(true)).count(), 1);
    assert_eq!(news.iter().filter(|new| **new == Ok(false)).count(), 19);
}
