//! What becomes of passkeys when an address is changed, when it is put back, and when a letter sets a password.

use std::time::Duration;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::passkey::{Manner, Passkey};
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::json;

use super::{CHANGED, NEW, Scene, confirm, put_back};

const REMOVED: &str = "A passkey was removed from your account";

async fn add(scene: &mut Scene) -> Passkey {
    Passkey::add(&mut scene.visitor, &scene.server.issuer).await
}

/// Somebody whose passkey is older than three days, and who has just signed in with it.
async fn of_long_ago(database: Database) -> (Scene, Passkey) {
    let mut scene = Scene::start(database).await;
    let old = add(&mut scene).await;
    scene.server.wait(Duration::from_hours(73));
    scene.visitor = scene.server.visitor();
    let issuer = scene.server.issuer.clone();
    assert_eq!(scene.visitor.show_passkey(&old, &issuer, &Manner::default()).await.status, 303);
    (scene, old)
}

/// Whether a passkey signs somebody in.
async fn signs_in(scene: &Scene, passkey: &Passkey) -> bool {
    let mut visitor = scene.server.visitor();
    visitor.show_passkey(passkey, &scene.server.issuer, &Manner::default()).await.status == 303
}

/// Whoever found out the password alone does not get to what putting an address back does.
#[rstest]
#[tokio::test]
async fn a_password_alone_changes_no_address_where_there_is_a_passkey(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    add(&mut scene).await;
    let own = std::mem::replace(&mut scene.visitor, scene.server.visitor());
    scene.visitor.sign_in(&scene.ada).await;
    let password = scene.ada.password.clone();
    let refused = scene.ask("thief@evil.test", &password).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("Your account has a passkey."), "{}", refused.text());
    scene.visitor = own;
    scene.code_for("new@example.org").await;
}

/// What a thief adds, before or after they change the address, signs nobody in once it is back; what the owner had keeps out whoever reads
/// old mail.
#[rstest]
#[tokio::test]
async fn whoever_puts_an_address_back_keeps_the_passkeys_of_long_ago_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (mut scene, old) = of_long_ago(database).await;
    let before = add(&mut scene).await;
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    scene.server.wait(Duration::from_secs(1));
    let after = add(&mut scene).await;
    for passkey in [&old, &before, &after] {
        assert!(signs_in(&scene, passkey).await);
    }
    assert_eq!(put_back(&scene.server, &back).await.1.status, 200);
    assert!(signs_in(&scene, &old).await);
    assert!(!signs_in(&scene, &before).await && !signs_in(&scene, &after).await);
    assert_eq!(scene.events("address.returned").await[0]["detail"]["passkeys_removed"], 2);
    let removed = scene.events("passkey.removed").await;
    assert_eq!(removed[0]["detail"], json!({ "by": "letter", "passkeys": 2 }));
    assert_eq!(scene.letters(REMOVED).await.len(), 1);
}

/// A thief's first passkey does not outlive the password by which it was added; one of long ago does.
#[rstest]
#[tokio::test]
async fn a_password_that_a_letter_sets_takes_off_what_was_added_lately(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (mut scene, old) = of_long_ago(database).await;
    let late = add(&mut scene).await;
    let mut owner = scene.server.visitor();
    let page = owner.open("/recover").await;
    assert_eq!(owner.submit(&the_form(&page, "recover").with("username", "ada")).await.status, 303);
    let code = scene.letters("Set a new password").await.pop().unwrap().code().unwrap();
    let page = owner.open("/recover/new").await;
    let form = the_form(&page, "code-form").with("code", &code).with("new-password", NEW);
    assert_eq!(owner.submit(&form).await.header("location"), "/login?renewed");
    assert!(signs_in(&scene, &old).await && !signs_in(&scene, &late).await);
    assert_eq!(scene.letters(REMOVED).await.len(), 1);
}
