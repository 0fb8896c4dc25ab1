//! Signing in and out, and changing the password.

use std::time::Duration;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, login_form, the_form};
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn somebody_signs_in_and_sees_who_they_are(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.sign_in(&ada).await;
    assert_eq!(page.url.path(), "/account");
    assert_eq!(text_of(&page.text(), "signed-in-as").as_deref(), Some("ada of the tests"));
    let session = visitor.session().expect("a session");
    assert!(session.starts_with("pcs_"), "{session}");
}

#[rstest]
#[tokio::test]
async fn a_wrong_password_shows_the_form_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.sign_in(&Person { password: "not the password".to_owned(), ..ada }).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("id=\"error-summary\""));
    assert_eq!(the_form(&page, "login").value("username"), Some("ada"));
    assert_eq!(the_form(&page, "login").value("password"), Some(""), "a password is never sent back");
    assert_eq!(visitor.session(), None);
}

#[rstest]
#[tokio::test]
async fn a_user_name_is_the_same_in_any_case(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let page = server.visitor().sign_in(&Person { username: "ADA".to_owned(), ..ada }).await;
    assert_eq!(page.url.path(), "/account");
}

#[rstest]
#[tokio::test]
async fn signing_out_ends_the_session_on_the_server(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let account = visitor.sign_in(&ada).await;
    let stolen = visitor.clone();
    let sent = visitor.submit(&the_form(&account, "sign-out-form")).await;
    assert_eq!(sent.status, 303);
    assert_eq!(visitor.session(), None);
    let mut thief = stolen;
    assert_eq!(thief.open("/account").await.url.path(), "/login");
}

#[rstest]
#[tokio::test]
async fn a_session_ends_when_nobody_uses_it(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    server.wait(Duration::from_hours(7));
    assert_eq!(visitor.open("/account").await.url.path(), "/account", "it is used within eight hours");
    server.wait(Duration::from_hours(7));
    assert_eq!(visitor.open("/account").await.url.path(), "/account", "using it keeps it");
    server.wait(Duration::from_hours(9));
    assert_eq!(visitor.open("/account").await.url.path(), "/login");
}

#[rstest]
#[tokio::test]
async fn a_session_ends_after_a_day_however_busy_it_is(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    for _ in 0..23 {
        server.wait(Duration::from_hours(1));
        assert_eq!(visitor.open("/account").await.url.path(), "/account");
    }
    server.wait(Duration::from_hours(2));
    assert_eq!(visitor.open("/account").await.url.path(), "/login");
}

#[rstest]
#[tokio::test]
async fn password_managers_find_the_page_that_changes_a_password(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let answer = server.machine.get("/.well-known/change-password").await;
    assert!(matches!(answer.status.as_u16(), 302 | 303), "{}", answer.status);
    assert_eq!(answer.location().unwrap().path(), "/account/security/password");
    // Managers ask for a page that cannot exist, to learn whether the server tells the truth.
    let probe = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200";
    assert_eq!(server.machine.get(probe).await.status, 404);
}

#[rstest]
#[tokio::test]
async fn a_changed_password_signs_in_and_the_old_one_does_not(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open("/account/security/password").await;
    let form = the_form(&page, "change-password-form");
    let wrong =
        form.clone().with("password", "not the password").with("new-password", "a new and longer one");
    assert_eq!(visitor.submit(&wrong).await.status, 422);
    let right = form.with("password", &ada.password).with("new-password", "a new and longer one");
    let changed = visitor.submit(&right).await;
    assert_eq!(changed.status, 303, "{}", changed.text());

    assert_eq!(server.visitor().sign_in(&ada).await.status, 422);
    let renewed = Person { password: "a new and longer one".to_owned(), ..ada };
    assert_eq!(server.visitor().sign_in(&renewed).await.url.path(), "/account");
}

#[rstest]
#[tokio::test]
async fn two_submissions_of_one_sign_in_form_make_two_good_sessions(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/login").await;
    let form = login_form(&page, &ada.username, &ada.password);
    let mut other = visitor.clone();
    assert_eq!(visitor.submit(&form).await.status, 303);
    assert_eq!(other.submit(&form).await.status, 303);
    assert_ne!(visitor.session(), other.session());
    assert_eq!(other.open("/account").await.url.path(), "/account");
}
