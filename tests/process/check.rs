//! What `config check` and `db status` say before a start, and that they leave no trace.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_server::Entropy;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, finished};
use rstest::rstest;
use tempfile::tempdir;

use crate::commands::{json, place_on, said};

/// Every file of a folder: what it holds and when it was changed.
fn traces(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let trace = |entry: std::fs::DirEntry| {
        let changed = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().to_string_lossy().into_owned(), (std::fs::read(entry.path()).unwrap(), changed))
    };
    entries.map(trace).collect()
}

/// The line that says why a command failed.
fn reason(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let begins = text.find("portcullis: ").unwrap_or_else(|| panic!("no reason in: {text}"));
    text[begins..].to_owned()
}

/// A check refuses what a start refuses, with the same code and in the same words.
fn refused_alike(place: &Place, code: i32, part: &str) {
    let quick = ["--set", "database.connect_timeout_secs=1"];
    let mut told = Vec::new();
    // The check first: a start may leave something behind.
    for command in [&["config", "check"][..], &["serve"]] {
        let mut command = place.command(&[&quick, command].concat());
        command.current_dir(std::env::temp_dir());
        let output = finished(command);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        told.push(reason(&output));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains(part), "{part}: {}", told[0]);
}

#[rstest]
#[tokio::test]
async fn a_configuration_is_checked_as_a_start_does_and_nothing_is_made(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let checked = json(&place, &["config", "check"]);
    assert_eq!(checked["issuer"], place.address());
    assert_eq!(checked["schema"]["applied"].as_u64(), (database == Postgres).then_some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    let server = ServerProcess::start(&place).await;
    let checked = json(&place, &["config", "check"]);
    assert_eq!(checked["schema"]["applied"], checked["schema"]["known"]);
    drop(server);
    let key = place.data_dir.join("master.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let refused = place.run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("master.key"), "{}", said(&refused));
}

#[rstest]
#[tokio::test]
async fn a_look_leaves_no_trace(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let look = || {
        assert!(place.run(&["config", "check"]).status.success());
        assert!(place.run(&["db", "status"]).status.success());
    };
    let before = traces(folder.path());
    look();
    assert_eq!(traces(folder.path()), before, "before the first start");
    let mut server = ServerProcess::start(&place).await;
    server.terminate();
    server.ended().await;
    let before = traces(folder.path());
    look();
    assert_eq!(traces(folder.path()), before, "after a start");
    assert_eq!(json(&place, &["db", "status"])["current"], true);
}

#[rstest]
#[tokio::test]
async fn a_data_folder_that_is_to_be_made_is_not_made_by_a_look(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let outer = tempdir().unwrap();
    let data_dir = outer.path().join("to/be/made");
    let url = (database == Postgres).then_some(Postgres.create(outer.path()).await);
    let place = Place { data_dir, database_url: url, ..Place::new(outer.path()) };
    for command in [&["config", "check"][..], &["db", "status"]] {
        let mut command = place.command(command);
        command.current_dir(outer.path());
        let looked = finished(command);
        assert_eq!(looked.status.code(), Some(0), "{}", said(&looked));
    }
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 0);
}

#[rstest]
#[tokio::test]
async fn a_check_says_what_is_there_and_what_a_start_would_make(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let new = json(&place, &["config", "check"]);
    assert_eq!((&new["data_dir"], &new["master_key"]), (&"exists".into(), &"missing".into()));
    assert!(place.run(&["db", "migrate"]).status.success());
    drop(ServerProcess::start(&place).await);
    let known = json(&place, &["config", "check"]);
    assert_eq!(known["master_key"], "in the data folder");
    assert_eq!(known["schema"]["current"], true, "{known}");
    let text = place.run(&["config", "check"]);
    assert!(said(&text).contains("up to date"), "{}", said(&text));
    if database == Postgres {
        // A schema from before the first migration.
        let url = place.database_url.as_deref().unwrap();
        portcullis_tests::database::execute(url, "DELETE FROM schema_migrations").await;
        let older = place.run(&["config", "check"]);
        assert_eq!(older.status.code(), Some(0), "{}", said(&older));
        assert!(said(&older).contains("schema 0, which a start brings to"), "{}", said(&older));
    }
}

#[rstest]
#[tokio::test]
async fn a_check_refuses_the_master_key_that_a_start_refuses(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    drop(ServerProcess::start(&place).await);
    let key = folder.path().join("master.key");
    let own = std::fs::read_to_string(&key).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    refused_alike(&place, 3, "chmod 600");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "c2hvcnQ=").unwrap();
    refused_alike(&place, 3, "32 random bytes");
    std::fs::write(&key, STANDARD.encode(Entropy::os().bytes::<32>())).unwrap();
    refused_alike(&place, 3, "another master key");
    std::fs::remove_file(&key).unwrap();
    refused_alike(&place, 3, "is missing");
    std::fs::write(&key, own).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(place.run(&["config", "check"]).status.success());
}

#[tokio::test]
async fn a_check_refuses_a_database_that_was_lost_sqlite() {
    let (folder, place) = place_on(Sqlite).await;
    drop(ServerProcess::start(&place).await);
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("portcullis.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    refused_alike(&place, 3, "Put the database back");
    // The start above left an empty file behind.
    refused_alike(&place, 3, "Put the database back");
}

#[rstest]
#[tokio::test]
async fn a_check_refuses_a_folder_that_a_start_cannot_use(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let file = folder.path().join("not-a-folder");
    std::fs::write(&file, "x").unwrap();
    let inside = Place { data_dir: file.join("data"), ..place };
    let mut command = inside.command(&["config", "check"]);
    command.current_dir(folder.path());
    let refused = finished(command);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("not-a-folder"), "{}", said(&refused));
}

#[tokio::test]
async fn a_check_waits_for_a_database_that_is_away_as_a_start_does_postgres() {
    let (_folder, place) = place_on(Postgres).await;
    let url = Some("postgres://nobody:secret-word@127.0.0.1:9/none".to_owned());
    refused_alike(&Place { database_url: url, ..place }, 4, "did not answer within 1 s");
}

#[tokio::test]
async fn a_check_refuses_a_file_that_is_no_database_and_leaves_it_alone_sqlite() {
    let (folder, place) = place_on(Sqlite).await;
    let file = folder.path().join("portcullis.db");
    let notes = "these are my notes, and they are longer than a header".repeat(20);
    std::fs::write(&file, &notes).unwrap();
    let refused = place.run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("not a database"), "{}", said(&refused));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), notes);
}
