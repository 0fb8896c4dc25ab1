use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::ids::UserId;
use crate::storage::{second_steps, users};

/// Somebody with a second step.
async fn somebody(fixture: &Fixture, name: &str) -> UserId {
    let user = fixture.user(name).await.id;
    let (id, now) = (user.clone(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                assert!(second_steps::insert(tx, &id, b"sealed", now).await?);
                assert!(!second_steps::insert(tx, &id, b"other", now).await?, "one for each account");
                Ok(())
            })
        })
        .await;
    user
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_tries_at_once_at_two_replicas_one_is_counted_and_the_next_waits(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let user = somebody(&fixture, "ada").await;
    let (now, next) = (fixture.now(), fixture.now().plus(Duration::from_secs(5)));
    let callers = (0..20).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let id = user.clone();
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move { second_steps::count_try(tx, &id, 0, next, now).await })
            });
            work.await.unwrap()
        })
    });
    let admitted = join_all(callers).await.into_iter().filter(|admitted| *admitted.as_ref().unwrap());
    assert_eq!(admitted.count(), 1);
    let id = user.clone();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let early = next.minus(Duration::from_micros(1));
                assert!(!second_steps::count_try(tx, &id, 1, next, early).await?, "too early");
                assert!(second_steps::count_try(tx, &id, 1, next, next).await?);
                assert_eq!(second_steps::find(tx, &id).await?.unwrap().tries, 2);
                second_steps::forget_tries(tx, &id, now).await?;
                let step = second_steps::find(tx, &id).await?.unwrap();
                assert_eq!((step.tries, step.next_try_at, step.sealed.as_slice()), (0, now, &b"sealed"[..]));
                Ok(())
            })
        })
        .await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_recovery_code_is_spent_once_by_its_owner_and_gone_with_the_step(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, other) = (somebody(&fixture, "ada").await, somebody(&fixture, "bob").await);
    let (codes, now) = ([fixture.digest(), fixture.digest()], fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                second_steps::replace_codes(tx, &user, &codes, now).await?;
                assert!(!second_steps::spend_code(tx, &other, &codes[0], now).await?, "somebody else's");
                assert!(second_steps::spend_code(tx, &user, &codes[0], now).await?);
                assert!(!second_steps::spend_code(tx, &user, &codes[0], now).await?, "twice");
                assert_eq!(second_steps::count_codes(tx, &user).await?, 1);
                second_steps::replace_codes(tx, &user, &codes[..1], now).await?;
                assert!(!second_steps::spend_code(tx, &user, &codes[1], now).await?, "replaced");
                assert!(second_steps::remove(tx, &user).await?);
                assert!(!second_steps::remove(tx, &user).await?);
                assert_eq!(second_steps::count_codes(tx, &user).await?, 0);
                assert!(second_steps::find(tx, &user).await?.is_none());
                users::delete(tx, &other).await?;
                assert!(second_steps::find(tx, &other).await?.is_none(), "it goes with the account");
                Ok(())
            })
        })
        .await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_was_added_after_a_time_is_removed_and_what_was_there_stays(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, other) = (somebody(&fixture, "ada").await, somebody(&fixture, "bob").await);
    let (codes, added) = ([fixture.digest(), fixture.digest()], fixture.now());
    let (before, later) = (added.minus(Duration::from_micros(1)), added.plus(Duration::from_secs(1)));
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let removed = |step, codes| second_steps::Removed { step, codes };
                second_steps::replace_codes(tx, &user, &codes, added).await?;
                assert_eq!(second_steps::remove_since(tx, &user, added).await?, removed(false, false));
                assert_eq!(second_steps::count_codes(tx, &user).await?, 2);
                second_steps::replace_codes(tx, &user, &codes, later).await?;
                assert_eq!(second_steps::remove_since(tx, &user, added).await?, removed(false, true));
                assert!(second_steps::find(tx, &user).await?.is_some(), "only the codes were new");
                // Of a replica whose clock is behind: where the step goes, no code stays.
                second_steps::replace_codes(tx, &user, &codes, before).await?;
                assert_eq!(second_steps::remove_since(tx, &user, before).await?, removed(true, true));
                assert_eq!(second_steps::count_codes(tx, &user).await?, 0);
                assert_eq!(second_steps::remove_since(tx, &user, before).await?, removed(false, false));
                assert!(second_steps::find(tx, &other).await?.is_some(), "somebody else's stays");
                Ok(())
            })
        })
        .await;
}
