use rstest::rstest;

use super::support::{Backend, Fixture, Place, START};
use crate::domain::clock::Clock;
use crate::storage::{SchemaStatus, Store, StoreError};

async fn open(place: &Place) -> Store {
    Store::open(&place.options, Clock::manual(START)).await.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_processes_that_start_at_once_one_migrates_and_the_others_wait(#[case] backend: Backend) {
    let place = Place::new(backend).await;
    let starts = (0..6).map(|_| {
        let options = place.options.clone();
        tokio::spawn(async move {
            let store = Store::open(&options, Clock::manual(START)).await?;
            store.migrate().await
        })
    });
    for started in futures_util::future::join_all(starts).await {
        assert!(started.unwrap().unwrap().is_current());
    }
    assert!(open(&place).await.schema_status().await.unwrap().is_current());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_empty_database_has_no_schema_until_it_is_migrated(#[case] backend: Backend) {
    let place = Place::new(backend).await;
    let store = open(&place).await;
    let before = store.schema_status().await.unwrap();
    assert_eq!(before.applied, 0);
    assert!(!before.is_current());
    let after = store.migrate().await.unwrap();
    assert_eq!(after, SchemaStatus { applied: before.known, ..before });
    assert_eq!(store.migrate().await.unwrap(), after);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_database_of_a_newer_program_is_refused(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture
        .place
        .tamper("INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (9001, 'later', '', 0)")
        .await;
    let known = 7;
    let refusal = StoreError::NewerSchema { found: 9001, known };
    assert_eq!(fixture.store.schema_status().await, Err(refusal.clone()));
    assert_eq!(fixture.store.migrate().await, Err(refusal));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.place.tamper("UPDATE schema_migrations SET checksum = 'other' WHERE number = 1").await;
    assert_eq!(fixture.store.migrate().await, Err(StoreError::MigrationChanged { number: 1 }));
}

/// A half-applied migration would leave tables behind on which the next attempt fails.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind(#[case] backend: Backend) {
    let place = Place::new(backend).await;
    let store = open(&place).await;
    // The last table of the first migration is in the way.
    place.tamper("CREATE TABLE epochs (other BIGINT)").await;
    assert!(matches!(store.migrate().await, Err(StoreError::Unexpected { .. })));
    assert_eq!(store.schema_status().await.unwrap().applied, 0);
    place.tamper("DROP TABLE epochs").await;
    assert!(store.migrate().await.unwrap().is_current());
}
