use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, START};
use crate::domain::clock::Clock;
use crate::storage::{Store, StoreError, StoreOptions, epochs, users};

async fn refusal(options: &StoreOptions) -> (String, String) {
    match Store::open(options, Clock::manual(START)).await {
        Err(StoreError::CannotOpen { place, reason }) => (place, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let (place, reason) = refusal(&StoreOptions::new("sqlite:/nonexistent/portcullis.db")).await;
    assert_eq!(place, "/nonexistent/portcullis.db");
    assert!(reason.contains("No such file"), "{reason}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "these are my notes, and they are longer than a header".repeat(20)).unwrap();
    let (_, reason) = refusal(&StoreOptions::new(format!("sqlite:{}", file.display()))).await;
    assert!(reason.contains("not a database"), "{reason}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("these are my notes"));
}

/// Permissions do not stop a superuser, under whom tests may run; this file system refuses everybody.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_nobody_may_write_to_is_said_to_be_so() {
    let (place, reason) = refusal(&StoreOptions::new("sqlite:/sys/portcullis.db")).await;
    assert_eq!(place, "/sys/portcullis.db");
    assert!(reason.contains("denied") || reason.contains("Read-only"), "{reason}");
}

#[tokio::test]
async fn a_postgres_that_is_away_is_named_without_its_password() {
    // Nothing listens on the discard port of the loopback address.
    let options = StoreOptions {
        connect_timeout: Duration::from_secs(3),
        ..StoreOptions::new("postgres://ada:hunter2@127.0.0.1:9/auth")
    };
    let (place, reason) = refusal(&options).await;
    assert_eq!(place, "PostgreSQL auth at 127.0.0.1:9");
    assert!(!reason.contains("hunter2") && !reason.is_empty(), "{reason}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new(Backend::Sqlite).await;
    fixture.user("ada").await;
    let folder = fixture.place.folder.as_ref().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

/// A server that restarts kills every connection that waits in the pool: nobody is told more than once.
#[tokio::test]
async fn dead_connections_of_postgres_are_replaced_unnoticed() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let user = fixture.user("ada").await;
    let several = futures_util::future::join_all((0..4).map(|_| fixture.store.read())).await;
    drop(several);
    fixture
        .place
        .tamper(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    for _ in 0..6 {
        let found = crate::storage::users::find(&mut fixture.read().await, &user.id).await;
        assert_eq!(found, Ok(Some(user.clone())));
    }
    fixture
        .place
        .tamper(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    fixture.user("eve").await;
}

#[rstest]
#[case::sqlite(Backend::Sqlite)]
#[case::postgres(Backend::Postgres)]
#[tokio::test]
async fn a_store_that_is_closed_keeps_what_waited_and_takes_nothing_more(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let user = fixture.user("ada").await;
    fixture.store.close().await;
    let late = fixture.store.write(|tx| Box::pin(async move { users::list(tx, None, 1).await })).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    fixture.store.close().await;
    let again = fixture.replica().await;
    assert_eq!(users::find(&mut again.read().await.unwrap(), &user.id).await, Ok(Some(user)));
}

/// Whoever copies or removes the file of a database whose store is closed has all of it in his hands.
#[tokio::test]
async fn a_store_that_is_closed_leaves_no_log_beside_the_database() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    fixture.user("ada").await;
    fixture.store.close().await;
    let folder = fixture.place.folder.as_ref().unwrap();
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["portcullis.db"]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn whoever_only_looks_sees_what_others_have_written(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    // The other store is still open, so this is not in the file yet but in the journal beside it.
    let ada = fixture.user("ada").await;
    let looking = Store::look(&fixture.place.options, fixture.clock.clone()).await.unwrap().unwrap();
    assert!(looking.schema_status().await.unwrap().is_current());
    let found = users::find(&mut looking.read().await.unwrap(), &ada.id).await.unwrap();
    assert_eq!(found, Some(ada));
    looking.close().await;
}

#[tokio::test]
async fn whoever_only_looks_makes_no_file_and_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(format!("sqlite:{}", folder.path().join("portcullis.db").display()));
    let look = async || Store::look(&options, Clock::manual(START)).await.unwrap();
    assert!(look().await.is_none(), "there is nothing to look at");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let store = Store::open(&options, Clock::manual(START)).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    let looking = look().await.unwrap();
    let refused = looking.write(|tx| Box::pin(async move { epochs::bump(tx).await })).await;
    assert_eq!(refused, Err(StoreError::ReadOnly));
    looking.close().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before);
}
