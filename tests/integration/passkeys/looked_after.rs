//! Who else has to do with passkeys: administrators, letters, programs that keep them.

use std::collections::BTreeSet;

use portcullis_tests::authenticator::ADD;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::passkey::{Manner, PASSKEYS, Passkey, passkey_form};
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Scene, form_of, is_in};

#[rstest]
#[tokio::test]
async fn each_change_is_told_by_mail(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    let mut here = server.visitor();
    here.sign_in(&ada).await;
    Passkey::add(&mut here, &server.issuer).await;
    let page = here.open(PASSKEYS).await;
    here.submit(&form_of(&page, "-remove-form")).await;
    server.app().send_letters().await.unwrap();
    for subject in ["A passkey was added to your account", "A passkey was removed from your account"] {
        let received = office.received();
        let found: Vec<_> =
            received.iter().filter(|letter| letter.header("Subject").as_deref() == Some(subject)).collect();
        assert_eq!(found.len(), 1, "{subject}: {received:?}");
        assert!(found[0].body().contains("From the address"), "{}", found[0].body());
    }
}

#[rstest]
#[tokio::test]
async fn administrators_see_and_remove_those_of_others(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let path = format!("/users/{}/passkeys", scene.ada.id);
    let listed = scene.server.admin.get(&path).await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed}");
    let members: BTreeSet<_> = items[0].as_object().unwrap().keys().map(String::as_str).collect();
    let members: Vec<_> = members.into_iter().collect();
    assert_eq!(members, ["backed_up_at", "created_at", "id", "last_used_at", "name"], "no key of it");
    let one = format!("{path}/{}", items[0]["id"].as_str().unwrap());
    assert_eq!(scene.server.admin.send(Method::DELETE, &one, &Value::Null).await.status, 204);
    assert_eq!(scene.server.admin.send(Method::DELETE, &one, &Value::Null).await.status, 404);
    assert!(!is_in(&mut scene.here).await);
    assert_eq!(scene.show(&Manner::default()).await.1.status, 422);
    assert_eq!(scene.server.admin.get(&path).await.json()["items"], json!([]));

    // Whoever lost all that proves more than a password.
    scene.here.sign_in(&scene.ada).await;
    scene.passkey = Passkey::add(&mut scene.here, &scene.server.issuer).await;
    let path = format!("/users/{}/second-step", scene.ada.id);
    assert_eq!(scene.server.admin.send(Method::DELETE, &path, &json!({})).await.status, 204);
    assert!(!is_in(&mut scene.here).await);
    assert_eq!(scene.show(&Manner::default()).await.1.status, 422);
}

#[rstest]
#[tokio::test]
async fn administrators_may_prove_themselves_by_one(#[values(Sqlite, Postgres)] database: Database) {
    const RULES: &str = "/admin/policies";
    let server = TestServer::start_with(database, |config| {
        config.sessions = portcullis_server::config::Sessions::default();
    })
    .await;
    let owner = server.admin.administrator("owner").await;
    let mut browser = server.visitor();
    browser.sign_in(&owner).await;
    assert_eq!(browser.open(RULES).await.url.path(), "/account/security");
    let passkey = Passkey::add(&mut browser, &server.issuer).await;
    assert_eq!(browser.open(RULES).await.url.path(), RULES);
    let mut there = server.visitor();
    there.show_passkey(&passkey, &server.issuer, &Manner::default()).await;
    assert_eq!(there.open(RULES).await.url.path(), RULES);
}

#[rstest]
#[tokio::test]
async fn whoever_keeps_passkeys_finds_where_to_add_and_look_after_them(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let found = server.machine.get("/.well-known/passkey-endpoints").await;
    assert_eq!((found.status.as_u16(), found.header("content-type")), (200, "application/json"));
    let place = format!("{}{PASSKEYS}", server.issuer);
    assert_eq!(found.json(), json!({ "enroll": place, "manage": place }));
}

#[rstest]
#[tokio::test]
async fn what_is_no_answer_of_an_authenticator_is_a_bad_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let mut stranger = scene.server.visitor();
    let page = stranger.open("/login").await;
    let question = stranger.passkey_question(&page).await;
    let own = scene.here.open(PASSKEYS).await;
    for nonsense in
        ["", "{}", "[", "null", &"[".repeat(10_000), "\"<script>alert(1)</script>\"", &"x".repeat(20_000)]
    {
        let refused = stranger.submit(&passkey_form(&page, &question, nonsense)).await;
        assert_eq!((refused.status.as_u16(), stranger.session()), (400, None), "{}", refused.text());
        assert!(!refused.text().contains("alert(1)"));
        let offer = scene.here.passkey_question(&own).await;
        let refused = scene.here.submit(&passkey_form(&own, &offer, nonsense)).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    // A megabyte does not get that far.
    let huge = stranger.submit(&passkey_form(&page, &question, &"x".repeat(1 << 20))).await;
    assert!(matches!(huge.status.as_u16(), 400 | 413), "{}", huge.status);
    // What was asked is still there.
    let answer = scene.passkey.sign(&question, &scene.server.issuer, &Manner::default());
    assert_eq!(stranger.give_passkey(&page, &question, &answer).await.status, 303);
    assert!(is_in(&mut scene.here).await);
    assert_eq!(stranger.get(ADD).await.status, 200, "a passkey is strong enough to add a second step");
}
