//! What an operator does for somebody who lost their second step.

use portcullis_server::domain::clock::Clock;
use portcullis_tests::authenticator::{ADD, Authenticator};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::ServerProcess;
use portcullis_tests::visitor::{Person, SESSION, Visitor, the_form};
use rstest::rstest;
use serde_json::json;

use crate::commands::{PASSWORD, json, password_file, place_on, said};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_takes_a_second_step_off_and_its_owner_signs_in_by_the_password(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let file = password_file(&place);
    json(&place, &["user", "create", "ada", "--password-file", &file]);
    let server = ServerProcess::start(&place).await;
    let (id, sub) = (String::new(), String::new());
    let ada = Person { id, sub, username: "ada".to_owned(), password: PASSWORD.to_owned() };
    let mut here = Visitor::new(&server.address);
    here.sign_in(&ada).await;
    let page = here.open(ADD).await;
    let code = Authenticator::of(&page).code(Clock::system().now());
    let added = here.submit(&the_form(&page, "second-step").with("totp", &code)).await;
    assert_eq!(added.status, 200, "{}", added.text());
    let mut lost = Visitor::new(&server.address);
    lost.begin(&ada).await;
    assert_eq!(lost.cookie(SESSION), None, "the password alone gets nobody in");

    let reset = |username: &str| place.run(&["user", "reset-second-step", username]);
    let done = reset("ada");
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("ada has neither second step nor passkeys any more"), "{}", said(&done));
    assert_eq!(here.open("/account").await.url.path(), "/login", "everybody is signed out");
    let mut back = Visitor::new(&server.address);
    assert_eq!(back.sign_in(&ada).await.url.path(), "/account");
    let again = json(&place, &["user", "reset-second-step", "ada"]);
    assert_eq!(again, json!({ "username": "ada", "removed": false }));
    assert_eq!(
        back.open("/account").await.url.path(),
        "/account",
        "where there was none nobody is signed out"
    );
    let nobody = reset("eve");
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(said(&nobody).contains("no account of that name"), "{}", said(&nobody));
}
