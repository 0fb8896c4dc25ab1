use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use rstest::rstest;
use tokio::sync::oneshot;

use super::support::{Backend, Ending, Fixture, START};
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::OrganisationId;
use crate::domain::organisation::Organisation;
use crate::storage::{StoreError, Turn, Tx, Unique, audit, organisations, sessions, users};

async fn add(tx: &mut Tx, id: &OrganisationId) -> Result<(), StoreError> {
    let organisation = Organisation { id: id.clone(), name: "Acme".to_owned(), created_at: tx.now() };
    organisations::insert(tx, &organisation).await?;
    tx.audit(AuditEvent::new(Actor::System, AuditAction::OrganisationCreated).on(id));
    Ok(())
}

async fn exists(fixture: &Fixture, id: &OrganisationId) -> bool {
    organisations::find(&mut fixture.read().await, id).await.unwrap().is_some()
}

async fn events(fixture: &Fixture) -> usize {
    audit::list(&mut fixture.read().await, None, 100).await.unwrap().len()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_is_written_is_read_with_its_event(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id: OrganisationId = fixture.id();
    let added = id.clone();
    fixture.write(move |tx| Box::pin(async move { add(tx, &added).await })).await;
    assert!(exists(&fixture, &id).await);
    assert_eq!(events(&fixture).await, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_refusal_commits_and_a_fault_rolls_back(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for (ending, kept) in [(Ending::Refusal, true), (Ending::Fault(StoreError::Busy), false)] {
        let id: OrganisationId = fixture.id();
        let (added, told) = (id.clone(), ending.clone());
        let before = events(&fixture).await;
        let outcome: Result<(), Ending> = fixture
            .store
            .write(move |tx| {
                Box::pin(async move {
                    add(tx, &added).await?;
                    Err(told)
                })
            })
            .await;
        assert_eq!(outcome, Err(ending));
        assert_eq!(exists(&fixture, &id).await, kept);
        assert_eq!(events(&fixture).await - before, usize::from(kept));
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_panic_rolls_back_and_the_store_goes_on(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id: OrganisationId = fixture.id();
    let added = id.clone();
    let outcome: Result<(), StoreError> = fixture
        .store
        .write(move |tx| {
            Box::pin(async move {
                add(tx, &added).await?;
                panic!("on purpose");
            })
        })
        .await;
    assert_eq!(outcome, Err(StoreError::Panicked));
    assert!(!exists(&fixture, &id).await);
    let added = id.clone();
    fixture.write(move |tx| Box::pin(async move { add(tx, &added).await })).await;
    assert!(exists(&fixture, &id).await);
    assert_eq!(events(&fixture).await, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn nothing_is_kept_after_an_error_that_nobody_mentioned(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id: OrganisationId = fixture.id();
    let added = id.clone();
    let outcome: Result<(), StoreError> = fixture
        .store
        .write(move |tx| {
            Box::pin(async move {
                add(tx, &added).await?;
                let swallowed = add(tx, &added).await;
                assert_eq!(swallowed, Err(StoreError::Conflict(Unique::Other)));
                Ok(())
            })
        })
        .await;
    assert_eq!(outcome, Err(StoreError::Aborted));
    assert!(!exists(&fixture, &id).await);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_conflict_names_what_has_to_be_unique(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let ada = fixture.user("ada").await;
    let same_name = crate::domain::user::User {
        id: fixture.id(),
        sub: crate::domain::user::Sub::generate(&fixture.entropy),
        ..ada.clone()
    };
    let outcome =
        fixture.store.write(move |tx| Box::pin(async move { users::insert(tx, &same_name).await })).await;
    assert_eq!(outcome, Err(StoreError::Conflict(Unique::Username)));
    let nowhere = crate::domain::user::User {
        id: fixture.id(),
        sub: crate::domain::user::Sub::generate(&fixture.entropy),
        username: crate::domain::user::Username::parse("eve").unwrap(),
        organisation: fixture.id(),
        ..ada
    };
    let outcome =
        fixture.store.write(move |tx| Box::pin(async move { users::insert(tx, &nowhere).await })).await;
    assert_eq!(outcome, Err(StoreError::MissingReference));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn of_many_writes_at_once_only_the_faulty_ones_are_lost(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let writes = (0..60).map(|number| {
        let (store, id) = (fixture.store.clone(), fixture.id::<crate::domain::ids::OrganisationKind>());
        async move {
            let added = id.clone();
            let outcome: Result<(), Ending> = store
                .write(move |tx| {
                    Box::pin(async move {
                        add(tx, &added).await?;
                        match number % 3 {
                            0 => Ok(()),
                            1 => Err(Ending::Refusal),
                            _ => Err(Ending::Fault(StoreError::Busy)),
                        }
                    })
                })
                .await;
            (id, number, outcome)
        }
    });
    for (id, number, outcome) in join_all(writes).await {
        let expected = [Ok(()), Err(Ending::Refusal), Err(Ending::Fault(StoreError::Busy))];
        assert_eq!(outcome, expected[number % 3]);
        assert_eq!(exists(&fixture, &id).await, number % 3 != 2, "{number}");
    }
    assert_eq!(events(&fixture).await, 40);
}

/// Group commit: what waits behind a slow transaction shares the next commit. Nobody is answered before it, and each
/// sees what those before it wrote.
#[tokio::test]
async fn writes_that_wait_run_in_order_and_are_answered_after_their_commit() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (store, slow) = (fixture.store.clone(), fixture.id());
    let first = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                add(tx, &slow).await?;
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)
            })
        });
        work.await
    });
    has_begun.await.unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let (store, id, seen) = (fixture.store.clone(), fixture.id(), Arc::clone(&seen));
            let mut asked = Box::pin(async move {
                let work = store.write(move |tx| {
                    Box::pin(async move {
                        add(tx, &id).await?;
                        let rows = organisations::list(tx, None, 100).await?.len();
                        seen.lock().unwrap().push((number, rows));
                        Ok::<_, StoreError>(())
                    })
                });
                work.await
            });
            assert!(
                asked
                    .as_mut()
                    .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
                    .is_pending()
            );
            asked
        })
        .collect();
    assert!(seen.lock().unwrap().is_empty());
    release.send(()).unwrap();
    first.await.unwrap().unwrap();
    for outcome in join_all(waiting).await {
        outcome.unwrap();
    }
    // The first organisation is there from the start, and the slow one is the second.
    let expected: Vec<_> = (0..20).map(|number| (number, number + 3)).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// A caller that goes away does not undo what it asked for on SQLite, nor does it block what comes after.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_caller_that_goes_away_does_not_block_others(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let started = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&started);
    let id: OrganisationId = fixture.id();
    let added = id.clone();
    let store = fixture.store.clone();
    let (begun, has_begun) = oneshot::channel();
    let asked = tokio::spawn(async move {
        store
            .write(move |tx| {
                Box::pin(async move {
                    add(tx, &added).await?;
                    counter.fetch_add(1, Ordering::SeqCst);
                    begun.send(()).unwrap();
                    tokio::task::yield_now().await;
                    Ok::<_, StoreError>(())
                })
            })
            .await
    });
    has_begun.await.unwrap();
    asked.abort();
    let after: OrganisationId = fixture.id();
    let next = after.clone();
    fixture.write(move |tx| Box::pin(async move { add(tx, &next).await })).await;
    assert!(exists(&fixture, &after).await);
    assert_eq!(started.load(Ordering::SeqCst), 1);
    if backend == Backend::Sqlite {
        assert!(exists(&fixture, &id).await);
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn statements_are_counted_and_those_of_the_background_are_not(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let before = fixture.store.statements();
    assert!(!exists(&fixture, &fixture.id()).await);
    fixture.store.refresh_if_stale().await.unwrap();
    assert_eq!(fixture.store.statements() - before, 1);
    let id: OrganisationId = fixture.id();
    let added = id.clone();
    fixture.write(move |tx| Box::pin(async move { add(tx, &added).await })).await;
    let first = fixture.store.statements() - before - 1;
    let id: OrganisationId = fixture.id();
    let middle = fixture.store.statements();
    fixture.write(move |tx| Box::pin(async move { add(tx, &id).await })).await;
    // One for the row and one for its event; SQLite reads the head of the chain once at the start.
    assert_eq!(fixture.store.statements() - middle, 2);
    assert!(first <= 3);
}

#[tokio::test]
async fn a_reading_connection_of_sqlite_does_not_write() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let mut tx = fixture.read().await;
    let id: OrganisationId = fixture.id();
    assert_eq!(add(&mut tx, &id).await, Err(StoreError::ReadOnly));
}

/// Administrators check and then act: while one does, no other may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_turn_is_taken_by_one_transaction_at_a_time() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (first, second) = (fixture.store.clone(), fixture.store.clone());
    let (one, other): (OrganisationId, OrganisationId) = (fixture.id(), fixture.id());
    let slow = tokio::spawn(async move {
        let work = first.write(move |tx| {
            Box::pin(async move {
                tx.one_at_a_time(Turn::Administration).await?;
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                add(tx, &one).await
            })
        });
        work.await
    });
    has_begun.await.unwrap();
    let waiting = tokio::spawn(async move {
        let work = second.write(move |tx| {
            Box::pin(async move {
                tx.one_at_a_time(Turn::Administration).await?;
                let seen = organisations::list(tx, None, 10).await?.len();
                add(tx, &other).await?;
                Ok::<_, StoreError>(seen)
            })
        });
        work.await
    });
    let mut tx = fixture.read().await;
    let waiters = "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                    WHERE NOT l.granted AND l.locktype = 'advisory' AND d.datname = current_database()";
    while tx.fetch_all(waiters, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    slow.await.unwrap().unwrap();
    // The one that is there from the start, and the one that the slow transaction added.
    assert_eq!(waiting.await.unwrap(), Ok(2));
}

/// A password change ends every session: one that is being added meanwhile waits, and can see the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_no_session_is_added_while_the_account_is_held() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let user = fixture.user("ada").await.id;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (store, held) = (fixture.store.clone(), user.clone());
    let change = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                users::hold(tx, &held).await?;
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                sessions::end_all(tx, &held, START).await
            })
        });
        work.await
    });
    has_begun.await.unwrap();
    let digest = fixture.digest();
    let mut adding = Box::pin(fixture.session(&user, &digest));
    let mut tx = fixture.read().await;
    let waiters = "SELECT 1 FROM pg_stat_activity
                    WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let added_early = tokio::select! {
        _ = &mut adding => true,
        () = async { while tx.fetch_all(waiters, &[]).await.unwrap().is_empty() { tokio::task::yield_now().await; } } => false,
    };
    assert!(!added_early, "it waits for the change");
    release.send(()).unwrap();
    assert_eq!(change.await.unwrap(), Ok(0));
    let session = adding.await;
    assert_eq!(sessions::find(&mut tx, &session.id).await.unwrap().map(|found| found.ended_at), Some(None));
}
