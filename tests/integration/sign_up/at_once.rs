//! Accounts that are made in two places at once, or while something is away.

use std::time::Duration;

use portcullis_server::config::SignUp;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::post_office::{Manner, PostOffice};
use rstest::rstest;

use super::{accounts, ask, code, code_for, make, person, start};

/// Two tabs, two replicas: one account.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_finish_at_once_one_has_an_account(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let replica = server.replica().await;
    for name in ["ada", "bea", "cleo"] {
        let code = code_for(&server, &office, &format!("{name}@example.org")).await;
        let (mut here, mut there) = (server.visitor(), replica.visitor());
        let other = format!("{name}-2");
        let (one, two) = tokio::join!(make(&mut here, &code, name), make(&mut there, &code, &other));
        let mut statuses = [one.status.as_u16(), two.status.as_u16()];
        statuses.sort_unstable();
        assert!(statuses == [303, 422] || statuses == [303, 409], "{name}: {statuses:?}");
    }
    assert_eq!(accounts(&server).await.len(), 3);
    // One user name, two people.
    let one = code_for(&server, &office, "dora@example.org").await;
    let two = code_for(&server, &office, "eve@example.org").await;
    let (mut here, mut there) = (server.visitor(), replica.visitor());
    let (one, two) = tokio::join!(make(&mut here, &one, "same"), make(&mut there, &two, "same"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 422]);
    assert_eq!(accounts(&server).await.len(), 4);
}

/// What one replica wrote another reads.
#[rstest]
#[tokio::test]
async fn a_letter_of_one_replica_makes_an_account_at_another(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let replica = server.replica().await;
    let code = code_for(&server, &office, "ada@example.org").await;
    let mut visitor = replica.visitor();
    let done = make(&mut visitor, &code, "ada").await;
    assert_eq!(done.header("location"), "/account");
    assert_eq!(server.visitor().sign_in(&person("ada")).await.url.path(), "/account");
}

/// F24: the answer does not wait for the mail server, and the letter comes later.
#[rstest]
#[tokio::test]
async fn a_mail_server_that_is_away_changes_no_answer(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let server = start(database, &office, SignUp::Open).await;
    assert_eq!(ask(&mut server.visitor(), "ada@example.org").await.header("location"), "/sign-up/sent");
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received(), []);
    office.behave(Manner::Accept);
    server.wait(Duration::from_hours(1));
    let code = code(&server, &office, "ada@example.org").await;
    assert_eq!(make(&mut server.visitor(), &code, "ada").await.status, 303);
}
