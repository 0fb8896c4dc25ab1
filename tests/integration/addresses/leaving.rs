//! Addresses of accounts that are to be deleted.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CHANGED, NEW, Scene, confirm, put_back};

const KEPT: &str = "Your account is not deleted";
const DAY: Duration = Duration::from_hours(24);

async fn leave(visitor: &mut Visitor, username: &str) -> Answer {
    let page = visitor.open("/account/data/deletion").await;
    visitor.submit(&the_form(&page, "deletion-form").with("confirmation", username)).await
}

/// Whoever knows the password changes the address, and then wants the account deleted; the letter to the address before brings both back,
/// for as long as it says, however short the time to think is.
#[rstest]
#[tokio::test]
async fn whoever_had_the_address_gets_the_account_back_that_a_thief_wanted_deleted(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
    #[values(0, 1, 14)] days: u32,
) {
    let mut scene = Scene::with(database, |config| config.reach.accounts.deletion_grace_days = days).await;
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    let link_ends = scene.server.clock.now().plus(DAY * 3);
    assert_eq!(leave(&mut scene.visitor, "ada").await.status, 200);
    let due = scene.account().await["deletion"]["due_at"].clone();
    let graced = scene.server.clock.now().plus(DAY * days);
    assert_eq!(due, json!(graced.max(link_ends).rfc3339()));
    assert_eq!(scene.letters(KEPT).await.len(), 0);
    scene.server.wait(DAY * 2);
    let (mut owner, page) = put_back(&scene.server, &back).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let account = scene.account().await;
    assert_eq!((&account["email"], &account["deletion"]), (&json!("ada@example.org"), &Value::Null));
    assert_eq!(account["disabled_at"], Value::Null);
    let [told] = scene.letters(KEPT).await.try_into().unwrap();
    assert_eq!(told.to, ["thief@evil.test"], "whoever reads that may have wanted it");
    owner.submit(&the_form(&page, "new-password-form").with("new-password", NEW)).await;
    let renewed = Person { password: NEW.to_owned(), ..scene.ada.clone() };
    assert_eq!(scene.server.visitor().sign_in(&renewed).await.url.path(), "/account");
    let [event] = scene.events("user.deletion_withdrawn").await.try_into().unwrap();
    assert_eq!(
        (&event["actor"], &event["detail"]),
        (&json!("anonymous"), &json!({ "by": "letter" })),
        "{event}"
    );
}

/// What an administrator switched off stays off, and the letter stays good for when it is on again.
#[rstest]
#[tokio::test]
async fn a_letter_does_not_undo_what_an_administrator_did_and_is_not_spent_on_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    assert_eq!(leave(&mut scene.visitor, "ada").await.status, 200);
    let account = format!("/users/{}", scene.ada.id);
    let switched = async |to: &str| {
        let path = format!("{account}/{to}");
        assert_eq!(scene.server.admin.send(Method::POST, &path, &Value::Null).await.status, 200);
    };
    switched("disable").await;
    assert_eq!(put_back(&scene.server, &back).await.1.status, 422);
    assert_eq!(scene.account().await["deletion"]["owner_keeps"], json!(false));
    switched("enable").await;
    assert_eq!(put_back(&scene.server, &back).await.1.status, 200);
    assert_eq!(scene.account().await["email"], "ada@example.org");
}

/// Whoever goes may take the address along to another account; whoever an administrator switched off may not.
#[rstest]
#[tokio::test]
async fn whoever_goes_takes_the_address_along(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::start(database).await;
    let bea = scene.server.admin.user("bea").await;
    let mut hers = scene.server.visitor();
    hers.sign_in(&bea).await;
    assert_eq!(leave(&mut hers, "bea").await.status, 200);
    let barred = format!("/users/{}/disable", bea.id);
    let code = scene.code_for("bea@example.org").await;
    let refused = scene.code_for("bea@example.org").await;
    assert_eq!(confirm(&scene.server, &code).await.status, 303);
    assert_eq!(scene.account().await["email"], "bea@example.org");
    let code = scene.code_for("ada@example.org").await;
    assert_eq!(confirm(&scene.server, &code).await.status, 303);
    assert_eq!(scene.server.admin.send(Method::POST, &barred, &Value::Null).await.status, 200);
    assert_eq!(confirm(&scene.server, &refused).await.status, 422, "its owner keeps it no more");
}
