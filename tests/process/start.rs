//! Starting: on nothing, and on things that are wrong.

use std::process::Output;
use std::time::Instant;

use portcullis_tests::database::Database::{Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, finished};
use rstest::rstest;
use serde_json::Value;
use tempfile::tempdir;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_first_start_prints_a_set_up_link_within_seconds_sqlite() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let started = Instant::now();
    let server = ServerProcess::start(&place).await;
    let took = started.elapsed();
    let log = server.log();
    assert!(log.contains("/setup#k=pcl_"), "{log}");
    assert!(took.as_secs() < 20, "a debug build on a loaded machine took {took:?}");
    for word in ["password is", "default password", "admin/admin"] {
        assert!(!log.to_lowercase().contains(word), "{log}");
    }
    drop(server);
    let again = ServerProcess::start(&place).await;
    assert!(again.log().matches("/setup#k=pcl_").count() >= 2, "a restart before set-up prints a new link");
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_first_start_makes_is_for_its_owner_alone_sqlite() {
    use std::os::unix::fs::PermissionsExt as _;
    let outer = tempdir().unwrap();
    let folder = outer.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let place = Place { data_dir: folder.join("made"), ..Place::new(&folder) };
    // The folder does not exist yet: the program makes it.
    let mut command = place.command(&["db", "migrate"]);
    command.current_dir(&folder);
    let output = finished(command);
    assert!(output.status.success(), "{}", said(&output));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.data_dir), 0o700);
    for entry in std::fs::read_dir(&place.data_dir).unwrap().flatten() {
        assert_eq!(mode(&entry.path()) & 0o077, 0, "{:?}", entry.path());
    }
}

#[rstest]
#[case::misspelt_key("[server]\nlissten = \"127.0.0.1:1\"\n", "listen")]
#[case::unknown_section("[srever]\n", "server")]
#[case::wrong_type("[tokens]\naccess_ttl_secs = \"soon\"\n", "access_ttl_secs")]
#[case::two_mistakes("[server]\nlissten = 1\n[tokens]\naccess_tll_secs = 5\n", "access_ttl_secs")]
#[case::broken_toml("[server\n", "config")]
#[case::public_issuer_without_tls("[server]\nissuer = \"http://id.example.com\"\n", "https")]
#[case::issuer_with_a_query("[server]\nissuer = \"https://id.example.com/?x=1\"\n", "issuer")]
#[tokio::test]
async fn a_wrong_configuration_is_refused_with_advice(#[case] text: &str, #[case] advice: &str) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let place = Place::new(folder.path());
    for command in [&["serve"][..], &["config", "check"]] {
        let output = place.run(&[&["--config", file.to_str().unwrap()], command].concat());
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains(advice), "{advice}: {}", said(&output));
    }
    assert!(!folder.path().join("portcullis.db").exists(), "nothing was made");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told() {
    let outer = tempdir().unwrap();
    let file = outer.path().join("not-a-folder");
    std::fs::write(&file, "x").unwrap();
    let mut command = Place { data_dir: file.clone(), ..Place::new(outer.path()) }.command(&["serve"]);
    command.current_dir(outer.path());
    let output = finished(command);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{:?} {}", output.status, said(&output));
    assert!(said(&output).contains("not-a-folder"), "{}", said(&output));
    assert!(!said(&output).contains("panic"), "{}", said(&output));
}

#[tokio::test]
async fn a_postgres_that_is_away_is_waited_for_and_then_told() {
    let folder = tempdir().unwrap();
    let away = TcpPort::closed();
    let url = format!("postgres://nobody:secret-word@127.0.0.1:{away}/none");
    let place = Place { database_url: Some(url), ..Place::new(folder.path()) };
    let output = place.run(&["--set", "database.connect_timeout_secs=1", "serve"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(!said(&output).contains("secret-word"), "{}", said(&output));
    assert!(!said(&output).contains("panic"), "{}", said(&output));
}

/// A port that nobody listens on.
struct TcpPort;

impl TcpPort {
    fn closed() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let _holder = std::net::TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let output = place.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&place.port.to_string()), "{}", said(&output));
}

#[rstest]
#[tokio::test]
async fn the_schema_is_told_and_brought_up_to_date(
    #[values(Sqlite, Postgres)] database: portcullis_tests::database::Database,
) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let place = Place { database_url: Some(url), ..Place::new(folder.path()) };
    let migrated = place.run(&["db", "migrate"]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    let status = place.run(&["--format", "json", "db", "status"]);
    assert!(status.status.success(), "{}", said(&status));
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status.is_object(), "{status}");
    assert!(place.run(&["db", "migrate"]).status.success(), "doing it again changes nothing");
}

#[tokio::test]
async fn wrong_usage_and_version_have_their_own_codes() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    assert_eq!(place.run(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(place.run(&["serve", "--no-such-flag"]).status.code(), Some(2));
    let version = place.run(&["version", "--json"]);
    assert!(version.status.success());
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let folder = tempdir().unwrap();
    let url = "postgres://user:secret-word@127.0.0.1:1/db".to_owned();
    let place = Place { database_url: Some(url), ..Place::new(folder.path()) };
    for arguments in [&["config", "show"][..], &["--format", "json", "config", "show"]] {
        let output = place.run(arguments);
        assert!(output.status.success(), "{}", said(&output));
        assert!(!said(&output).contains("secret-word"), "{}", said(&output));
        for part in ["workers", "PORTCULLIS__DATABASE__URL", "as many as there are processors"] {
            assert!(said(&output).contains(part), "{part}: {}", said(&output));
        }
    }
    let schema = place.run(&["config", "schema"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["server"].is_object(), "{schema}");
}
