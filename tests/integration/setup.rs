//! The first administrator.

use std::time::Duration;

use portcullis_server::services::caller::Caller;
use portcullis_server::services::users::form::UserForm;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{Form, text_of};
use portcullis_tests::server::BareServer;
use portcullis_tests::visitor::the_form;
use rstest::rstest;

fn filled(form: Form, code: &str) -> Form {
    form.with("code", code).with("username", "root").with("new-password", "a password for the first one")
}

#[rstest]
#[tokio::test]
async fn a_set_up_link_makes_the_first_administrator_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = BareServer::start_on(database).await;
    let code = server.setup_code().await;
    let mut visitor = server.visitor();
    let page = visitor.open("/setup").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = filled(the_form(&page, "setup"), &code);
    let sent = visitor.submit(&form).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let login = visitor.open("/login").await;
    let login =
        the_form(&login, "login").with("username", "root").with("password", "a password for the first one");
    assert_eq!(visitor.submit(&login).await.status, 303);
    let account = visitor.open("/account").await;
    assert_eq!(text_of(&account.text(), "signed-in-as").as_deref(), Some("root"), "{}", account.url);
    // Afterwards the page is gone for everybody.
    assert_eq!(server.visitor().open("/setup").await.status, 404);
    assert_eq!(visitor.submit(&form).await.status, 404);
}

#[rstest]
#[tokio::test]
async fn a_wrong_or_old_code_makes_nobody(#[values(Sqlite, Postgres)] database: Database) {
    let server = BareServer::start_on(database).await;
    let old = server.setup_code().await;
    let mut visitor = server.visitor();
    let page = visitor.open("/setup").await;
    let form = the_form(&page, "setup");
    let unknown = format!("pcl_{}", "A".repeat(43));
    for wrong in ["", "x", unknown.as_str()] {
        let answer = visitor.submit(&filled(form.clone(), wrong)).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
    }
    server.wait(Duration::from_mins(61));
    assert_eq!(visitor.submit(&filled(form.clone(), &old)).await.status, 422, "a link lasts an hour");
    assert!(server.app().setup().pending().await.unwrap());
}

#[rstest]
#[tokio::test]
async fn a_bad_choice_of_the_first_administrator_does_not_use_up_the_link(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    let code = server.setup_code().await;
    let mut visitor = server.visitor();
    let form = the_form(&visitor.open("/setup").await, "setup");
    let short = filled(form.clone(), &code).with("new-password", "short");
    assert_eq!(visitor.submit(&short).await.status, 422);
    let nameless = filled(form.clone(), &code).with("username", "a b");
    assert_eq!(visitor.submit(&nameless).await.status, 422);
    assert_eq!(visitor.submit(&filled(form, &code)).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn a_name_that_is_taken_is_told_and_does_not_use_up_the_link(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    let form = UserForm { username: "root".to_owned(), ..UserForm::default() };
    server.app().users().create(form, &Caller::operator(server.clock.now())).await.unwrap();
    let code = server.setup_code().await;
    let mut visitor = server.visitor();
    let form = the_form(&visitor.open("/setup").await, "setup");
    let refused = visitor.submit(&filled(form.clone(), &code)).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("href=\"#username\""), "{}", refused.text());
    assert_eq!(visitor.submit(&filled(form, &code).with("username", "ada")).await.status, 303);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_with_one_link_one_becomes_administrator(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    let code = server.setup_code().await;
    let mut racers = Vec::new();
    for name in ["root", "toor", "boot"] {
        let mut visitor = server.visitor();
        let form = the_form(&visitor.open("/setup").await, "setup");
        let form = filled(form, &code).with("username", name);
        racers.push(async move { visitor.submit(&form).await.status.as_u16() });
    }
    let statuses = futures_util::future::join_all(racers).await;
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
}
