//! What letters are worth to accounts that are to be deleted, and to who wants that.

use portcullis_tests::agent::Answer;
use portcullis_tests::by_mail::{ByMail, SUBJECT, letter_form};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::visitor::{Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{events, is_in};

const DATA: &str = "/account/data";
const DELETION: &str = "/account/data/deletion";

async fn account(scene: &ByMail, id: &str) -> Value {
    scene.server.admin.get(&format!("/users/{id}")).await.json()
}

/// Gives the code, and comes to where the account can be kept.
async fn arrives(browser: &mut Visitor, (page, code): (Answer, String)) -> Answer {
    let sent = browser.submit(&letter_form(&page, &code)).await;
    let page = browser.follow(sent).await;
    assert_eq!((page.url.path(), browser.session()), ("/login/leaving", None), "{}", page.text());
    page
}

#[rstest]
#[tokio::test]
async fn whoever_reads_the_letter_keeps_the_account_and_is_not_signed_in_by_that(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.leaver("ada").await;
    let mut browser = scene.server.visitor();
    let asked = scene.code_for(&mut browser, "ada@example.org").await;
    let page = arrives(&mut browser, asked).await;
    assert!(!is_in(&mut browser).await);
    let signed_in = events(&scene, "sign_in").await;
    let ours = |event: &&Value| event["detail"] == json!({ "by": "letter", "leaving": true });
    let ours: Vec<_> = signed_in.iter().filter(ours).collect();
    assert_eq!((ours.len(), &ours[0]["outcome"]), (1, &json!("refused")), "{signed_in:?}");
    let form = the_form(&page, "keep-form");
    assert_eq!(browser.submit(&form).await.header("location"), "/login?kept&switch");
    assert_eq!(browser.submit(&form).await.status, 410, "it counted once");
    assert_eq!(account(&scene, &ada.id).await["disabled_at"], Value::Null);
    assert_eq!(scene.sign_in(&mut browser, "ada").await.url.path(), "/account");
}

#[rstest]
#[tokio::test]
async fn a_proof_by_letter_is_for_the_account_as_it_was(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut browser = scene.server.visitor();
    // Asked for before the account was to be deleted: nobody is signed in by it.
    let asked = scene.code_for(&mut browser, "ada").await;
    scene.leave(&ada).await;
    let page = arrives(&mut browser, asked).await;
    let moved = json!({ "username": "ada", "email": "moved@example.org" });
    let path = format!("/users/{}", ada.id);
    let change = scene.server.admin.request(Method::PUT, &path).await.header("if-match", "*").json(&moved);
    assert_eq!(Answer::to(change).await.status, 200);
    assert_eq!(browser.submit(&the_form(&page, "keep-form")).await.status, 410);
    assert!(account(&scene, &ada.id).await["deletion"].is_object(), "nobody kept it");
}

#[rstest]
#[tokio::test]
async fn whoever_may_not_keep_the_account_gets_no_letter_and_no_further(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.leaver("ada").await;
    let mut browser = scene.server.visitor();
    let (page, code) = scene.code_for(&mut browser, "ada").await;
    scene.server.admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    assert_eq!(browser.submit(&letter_form(&page, &code)).await.status, 422);
    let before = scene.letters(SUBJECT).await.len();
    for who in ["ada", "ada@example.org"] {
        assert_eq!(browser.ask_by_mail("/login/letter", who).await.status, 200, "the same answer");
    }
    assert_eq!(scene.letters(SUBJECT).await.len(), before);
}

#[rstest]
#[tokio::test]
async fn a_letter_alone_neither_downloads_nor_deletes(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut browser = scene.server.visitor();
    assert_eq!(scene.sign_in(&mut browser, "ada").await.url.path(), "/account");
    let download = the_form(&browser.open(DATA).await, "download-form");
    let mut deletion = download.clone().with("confirmation", "ada");
    DELETION.clone_into(&mut deletion.action);
    let refused = browser.submit(&download).await;
    assert_eq!(refused.header("location"), "/login?next=data&switch", "{}", refused.text());
    for refused in [browser.get(DELETION).await, browser.submit(&deletion).await] {
        assert_eq!(refused.header("location"), "/login?next=deletion&switch", "{}", refused.text());
    }
    assert_eq!(account(&scene, &ada.id).await["disabled_at"], Value::Null);
    let login = browser.open("/login?next=deletion&switch").await;
    assert_eq!(link_of(&login.text(), "by-letter"), None, "a letter would not do");
    browser.submit(&login_form(&login, &ada.username, &ada.password)).await;
    assert_eq!(browser.submit(&download).await.status, 200);
    let form = the_form(&browser.open(DELETION).await, "deletion-form").with("confirmation", "ada");
    assert_eq!(browser.submit(&form).await.status, 200);
}
