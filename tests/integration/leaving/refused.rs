//! Who may not go, who decides instead of them, and how often.

use std::time::Duration;

use portcullis_server::config::Deletion;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::Form;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{PAGE, Scene, ask};

/// After so long a new browser may try again that signed in too often.
const A_WHILE: Duration = Duration::from_secs(6);

#[rstest]
#[tokio::test]
async fn whoever_may_not_go_is_told_why_and_stays(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let mut browser = scene.server.visitor();
    assert!(browser.get(PAGE).await.location().unwrap().path().ends_with("/login"), "nobody is signed in");
    browser.sign_in(&scene.ada).await;
    let refused = ask(&mut browser, "bea").await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("That is not your user name. Nothing was deleted."),
        "{}",
        refused.text()
    );
    let form = the_form(&browser.open(PAGE).await, "deletion-form").with("confirmation", "ada");
    scene.server.wait(Duration::from_mins(6));
    for late in [browser.get(PAGE).await, browser.submit(&form).await] {
        let again = late.location().unwrap();
        assert_eq!((again.path(), again.query()), ("/login", Some("next=deletion&switch")), "sign in again");
    }
    // Of two owners one may go, and the last may not.
    let owner = scene.server.admin.administrator("owner").await;
    let mut last = scene.server.visitor();
    last.sign_in(&owner).await;
    let page = last.open(PAGE).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("Make somebody else an owner first"), "{}", page.text());
    let forged = the_form(&last.open("/account/data").await, "download-form");
    let forged = Form { action: PAGE.to_owned(), ..forged };
    assert_eq!(last.submit(&forged.with("confirmation", &owner.username)).await.status, 422);
    let admin_api = scene.server.admin.admin_api().await;
    scene.server.admin.assign(&admin_api, "owner", &scene.ada.id).await;
    assert_eq!(ask(&mut last, &owner.username).await.status, 200);
    // Whoever is on the way out owns nothing any more.
    let mut fresh = scene.browser().await;
    assert_eq!(fresh.open(PAGE).await.status, 422);
    assert_eq!(scene.account().await.json()["disabled_at"], Value::Null);
}

#[rstest]
#[tokio::test]
async fn where_the_operator_says_so_administrators_alone_delete_accounts(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::with(database, |config| config.reach.accounts.deletion = Deletion::Closed).await;
    let mut browser = scene.browser().await;
    let page = browser.open("/account/data").await;
    assert!(
        page.text().contains("id=\"no-deletion\"")
            && !page.text().contains("href=\"/account/data/deletion\"")
    );
    assert_eq!(browser.get(PAGE).await.status, 404);
    let forged = the_form(&page, "download-form");
    let forged = Form { action: PAGE.to_owned(), ..forged };
    assert_eq!(browser.submit(&forged.with("confirmation", "ada")).await.status, 404);
    assert_eq!(scene.account().await.json()["disabled_at"], Value::Null);
}

#[rstest]
#[tokio::test]
async fn an_administrator_keeps_an_account_or_keeps_its_owner_from_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let (admin, account) = (&scene.server.admin, format!("/users/{}", scene.ada.id));
    let deletion = format!("{account}/deletion");
    let unknown = admin.send(Method::DELETE, &deletion, &Value::Null).await;
    assert_eq!(unknown.status, 404, "nobody asked for it: {}", unknown.text());

    assert_eq!(scene.asked().await.status, 200);
    let kept = admin.send(Method::DELETE, &deletion, &Value::Null).await;
    assert_eq!((kept.status.as_u16(), &kept.json()["disabled_at"]), (200, &Value::Null));
    assert_eq!(scene.browser().await.get("/account").await.status, 200);

    assert_eq!(scene.asked().await.status, 200);
    let mut browser = scene.server.visitor();
    let page = scene.arrives(&mut browser).await;
    scene.server.wait(A_WHILE);
    let off = admin.send(Method::POST, &format!("{account}/disable"), &Value::Null).await.json();
    assert_eq!(off["deletion"]["owner_keeps"], json!(false), "{off}");
    assert_eq!(browser.submit(&the_form(&page, "keep-form")).await.status, 410);
    assert_eq!(scene.password(&mut scene.server.visitor()).await.status, 422, "as for everybody who is off");
    let kept = admin.send(Method::DELETE, &deletion, &Value::Null).await.json();
    assert!(kept["deletion"].is_null() && kept["disabled_at"].is_string(), "it stays off: {kept}");

    let on = admin.send(Method::POST, &format!("{account}/enable"), &Value::Null).await.json();
    assert!(on["deletion"].is_null() && on["disabled_at"].is_null(), "{on}");
    assert_eq!(scene.asked().await.status, 200);
    let on = admin.send(Method::POST, &format!("{account}/enable"), &Value::Null).await.json();
    assert!(on["deletion"].is_null() && on["disabled_at"].is_null(), "{on}");
    assert_eq!(scene.events("user.deletion_withdrawn").await.len(), 3);
}

/// Whoever asked again takes another proof to keep the account.
#[rstest]
#[tokio::test]
async fn a_proof_keeps_the_account_from_the_wish_that_it_was_given_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let deletion = format!("/users/{}/deletion", scene.ada.id);
    assert_eq!(scene.asked().await.status, 200);
    let mut browser = scene.server.visitor();
    let page = scene.arrives(&mut browser).await;
    assert_eq!(scene.server.admin.send(Method::DELETE, &deletion, &Value::Null).await.status, 200);
    scene.server.wait(A_WHILE);
    assert_eq!(scene.asked().await.status, 200);
    assert_eq!(browser.submit(&the_form(&page, "keep-form")).await.status, 410);
    assert!(scene.account().await.json()["deletion"].is_object());
}

#[tokio::test]
async fn nobody_goes_and_comes_back_all_day() {
    let scene = Scene::on(Sqlite).await;
    let deletion = format!("/users/{}/deletion", scene.ada.id);
    for _ in 0..5 {
        assert_eq!(scene.asked().await.status, 200);
        assert_eq!(scene.server.admin.send(Method::DELETE, &deletion, &Value::Null).await.status, 200);
        // Signing in so often takes a while, too.
        scene.server.wait(A_WHILE);
    }
    let mut browser = scene.browser().await;
    assert_eq!(browser.get("/account").await.status, 200);
    let refused = ask(&mut browser, "ada").await;
    assert_eq!(refused.status, 429);
    assert!(!refused.header("retry-after").is_empty());
    assert!(scene.account().await.json()["deletion"].is_null());
    assert_eq!(scene.letters().await.len(), 5, "each wish was told");
}

#[rstest]
#[tokio::test]
async fn of_two_last_owners_who_go_at_once_one_stays(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let owner = scene.server.admin.administrator("owner").await;
    let admin_api = scene.server.admin.admin_api().await;
    scene.server.admin.assign(&admin_api, "owner", &scene.ada.id).await;
    let (mut one, mut other) = (scene.browser().await, scene.server.visitor());
    other.sign_in(&owner).await;
    let first = the_form(&one.open(PAGE).await, "deletion-form").with("confirmation", "ada");
    let second = the_form(&other.open(PAGE).await, "deletion-form").with("confirmation", &owner.username);
    let (first, second) = tokio::join!(one.submit(&first), other.submit(&second));
    let mut came = [first.status.as_u16(), second.status.as_u16()];
    came.sort_unstable();
    assert_eq!(came, [200, 422]);
}
