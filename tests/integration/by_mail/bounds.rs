//! Whom a code is sent, how often, and when it works no longer.

use std::time::Duration;

use portcullis_server::config::SecondStepFor;
use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::code_form;
use portcullis_tests::by_mail::{ByMail, SUBJECT, letter_form};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::is_in;

/// A code works for ten minutes, and for the account as it was.
#[rstest]
#[tokio::test]
async fn a_code_dies_with_its_time_and_with_what_it_is_about(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    let admin = &scene.server.admin;
    let mut late = scene.server.visitor();
    scene.person("ada").await;
    let (page, code) = scene.code_for(&mut late, "ada").await;
    scene.server.wait(Duration::from_mins(10));
    let refused = late.submit(&letter_form(&page, &code)).await;
    assert_eq!(refused.status, 410);
    assert_eq!(link_of(&refused.text(), "ask-again").as_deref(), Some("/login/letter"));
    for (number, change) in ["password", "address", "disable", "role"].into_iter().enumerate() {
        let name = format!("user-{number}");
        let person = scene.person(&name).await;
        let mut browser = scene.server.visitor();
        let (page, code) = scene.code_for(&mut browser, &name).await;
        let path = format!("/users/{}", person.id);
        match change {
            "password" => {
                let new = json!({ "password": "another long phrase" });
                assert_eq!(admin.send(Method::PUT, &format!("{path}/password"), &new).await.status, 204);
            }
            "address" => {
                let moved = json!({ "username": name, "email": "moved@example.org" });
                let change = admin.request(Method::PUT, &path).await.header("if-match", "*").json(&moved);
                assert_eq!(Answer::to(change).await.status, 200);
            }
            "disable" => drop(admin.post(&format!("{path}/disable"), &json!({})).await),
            _ => drop(admin.assign(&admin.admin_api().await, "policy-editor", &person.id).await),
        }
        let refused = browser.submit(&letter_form(&page, &code)).await;
        assert_eq!((refused.status.as_u16(), browser.session()), (422, None), "{change}");
        scene.server.wait(Duration::from_mins(1));
    }
}

/// Nobody who administers the server, nobody whose address is not confirmed, nobody who is switched off.
#[rstest]
#[tokio::test]
async fn a_letter_goes_to_those_alone_who_may_use_it(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    let admin = &scene.server.admin;
    let boss = admin.administrator("policy-editor").await;
    scene.confirm(&boss).await;
    let off = scene.person("off").await;
    admin.post(&format!("/users/{}/disable", off.id), &json!({})).await;
    admin.user("unsaid").await;
    scene.person("bob").await;
    // Somebody else is called like the address of Bob.
    admin.post("/users", &json!({ "username": "bob@example.org", "email": "eve@example.org" })).await;
    for who in [&boss.username, "off", "unsaid", "nobody", "unsaid@example.org", "bob@example.org"] {
        let mut visitor = scene.server.visitor();
        visitor.ask_by_mail("/login/letter", who).await;
        scene.server.wait(Duration::from_secs(30));
    }
    let to: Vec<_> = scene.letters(SUBJECT).await.into_iter().flat_map(|letter| letter.to).collect();
    assert_eq!(to, ["bob@example.org"]);
}

/// A role that comes later, to a session that is there or to a sign-in that waits for a second step.
#[rstest]
#[tokio::test]
async fn who_comes_to_administer_needs_more_than_the_letter_of_before(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start_with(database, |config| {
        config.sessions.second_step = SecondStepFor::Optional;
    })
    .await;
    let admin = &scene.server.admin;
    let (ada, bea) = (scene.person("ada").await, scene.person("bea").await);
    let mut browser = scene.server.visitor();
    scene.sign_in(&mut browser, "ada").await;
    let app = scene.app_of(&bea).await;
    let mut waiting = scene.server.visitor();
    let step = scene.sign_in(&mut waiting, "bea").await;
    assert_eq!(step.url.path(), "/login/code", "{}", step.text());
    for person in [&ada, &bea] {
        admin.assign(&admin.admin_api().await, "policy-editor", &person.id).await;
    }
    let led = browser.get("/admin/policies").await;
    assert_eq!((led.status.as_u16(), led.header("location")), (303, "/login?next=rules&switch"));
    let sent = waiting.submit(&code_form(&step, &app.code(scene.server.clock.now()))).await;
    assert_ne!(sent.status, 303, "{}", sent.text());
    assert_eq!(waiting.session(), None);
    // The password is more.
    let mut with_password = scene.server.visitor();
    with_password.sign_in(&ada).await;
    assert_eq!(with_password.get("/admin/policies").await.status, 200);
}

/// Nobody gave the password, so nobody is told that somebody knows it.
#[rstest]
#[tokio::test]
async fn wrong_codes_after_a_letter_are_no_sign_that_the_password_is_known(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let app = scene.app_of(&ada).await;
    let known = async || scene.letters("Somebody knows your password").await.len();
    let wrong = || app.wrong_code(scene.server.clock.now());
    let mut browser = scene.server.visitor();
    let step = scene.sign_in(&mut browser, "ada").await;
    for _ in 0..5 {
        assert_eq!(browser.give(&step, &wrong()).await.status, 422);
    }
    assert_eq!(known().await, 0);
    scene.server.wait(Duration::from_hours(1));
    let mut stranger = scene.server.visitor();
    let step = stranger.begin(&ada).await;
    assert_eq!(stranger.give(&step, &wrong()).await.status, 422);
    assert_eq!(known().await, 1, "here somebody did");
}

/// Strangers use up their own letters, and keep nobody out.
#[rstest]
#[tokio::test]
async fn strangers_keep_nobody_from_letters_and_from_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut known = scene.server.visitor();
    known.sign_in(&ada).await;
    let sent = async || scene.letters(SUBJECT).await.len();
    let ask = async |visitor: &mut Visitor| {
        let page = visitor.ask_by_mail("/login/letter", "ada").await;
        scene.server.wait(Duration::from_secs(10));
        page
    };
    for _ in 0..5 {
        ask(&mut scene.server.visitor()).await;
    }
    assert_eq!(sent().await, 3);
    // Beyond what is sent, nothing is there to be guessed: the code of before signs in elsewhere as little as here.
    let mut stranger = scene.server.visitor();
    let page = ask(&mut stranger).await;
    let code = scene.code().await;
    assert_eq!(stranger.submit(&letter_form(&page, &code)).await.status, 422);
    let page = ask(&mut known).await;
    assert_eq!(sent().await, 4, "the browser of the owner has letters of its own");
    let code = scene.code().await;
    assert_eq!(known.submit(&letter_form(&page, &code)).await.header("location"), "/account");
    assert!(is_in(&mut known).await);
    let mut elsewhere = scene.server.visitor();
    assert_eq!(elsewhere.sign_in(&ada).await.url.path(), "/account", "and so is every other way");
    scene.server.wait(Duration::from_hours(1));
    ask(&mut scene.server.visitor()).await;
    assert_eq!(sent().await, 5);
}

#[rstest]
#[tokio::test]
async fn where_it_is_off_there_is_no_such_page(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start_with(database, |config| config.reach.accounts.sign_in_by_mail = false).await;
    let server: &TestServer = &scene.server;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    assert_eq!(link_of(&login.text(), "by-letter"), None);
    for path in ["/login/letter", "/login/letter/code", "/login/letter/code?asked=lsi_1"] {
        assert_eq!(visitor.open(path).await.status, 404, "{path}");
        let mut form = the_form(&login, "login").with("username", "ada").with("code", "abcd-efgh");
        path.split('?').next().unwrap().clone_into(&mut form.action);
        assert_eq!(visitor.submit(&form).await.status, 404, "{path}");
    }
}
