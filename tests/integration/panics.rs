//! A panic of a server that is answered, or that nobody waits for, ends its test all the same.

use std::process::Command;

use axum::body::Bytes;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::server::BareServer;

/// Set where the test runs itself once more, and something panics.
const PLANTED: &str = "PORTCULLIS_TEST_PLANTED_PANIC";

#[tokio::test]
async fn a_test_whose_server_panicked_fails_sqlite() {
    if std::env::var_os(PLANTED).is_some() {
        let _server = BareServer::start_on(Sqlite).await;
        // Outside of the suites, and in the background.
        let lost = tokio::task::spawn_blocking(|| Bytes::new().slice(1..));
        assert!(lost.await.is_err());
        return;
    }
    let itself = ["panics::a_test_whose_server_panicked_fails_sqlite", "--exact", "--nocapture"];
    let mut again = Command::new(std::env::current_exe().unwrap());
    let run = again.args(itself).env(PLANTED, "1").output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("tests/src/server.rs"), "{said}");
}
