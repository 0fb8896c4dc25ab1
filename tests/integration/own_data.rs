//! What is kept about a person, for that person.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::Authenticator;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/data";

async fn download(browser: &mut Visitor) -> Answer {
    let page = browser.open(PAGE).await;
    browser.submit(&the_form(&page, "download-form")).await
}

/// Somebody with all that an account can have but passkeys, and somebody else.
struct Scene {
    server: TestServer,
    ada: Person,
    zoe: Person,
    browser: Visitor,
    app: Authenticator,
    shop: Registered,
    refresh_token: String,
}

fn profile() -> Value {
    json!({ "given_name": "Ada", "address": { "country": "England" } })
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        // No identifier has such a name in it.
        let (ada, zoe) = (server.admin.user("ada").await, server.admin.user("zoe-x").await);
        let account = format!("/users/{}", ada.id);
        let change = server.admin.request(Method::PUT, &account).await.header("if-match", "*");
        let changed =
            json!({ "username": "ada", "name": "Ada", "email": "ada@example.net", "profile": profile() });
        assert_eq!(Answer::to(change.json(&changed)).await.status, 200);
        let orders = server.admin.api("https://orders.test").await;
        server.admin.assign(&orders, "viewer", &ada.id).await;
        server.admin.assign(&orders, "viewer", &zoe.id).await;
        let shop = server.admin.web_client(&[&orders]).await;
        let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
        server.visitor().authorize(&request, &zoe).await;
        let mut browser = server.visitor();
        let callback = browser.authorize(&request, &ada).await;
        let tokens = server.machine.redeem(&shop, &request, &callback).await;
        server.visitor().sign_in(&ada).await;
        let app = Authenticator::add(&mut browser, &server).await;
        let refresh_token = tokens.member("refresh_token");
        Self { server, ada, zoe, browser, app, shop, refresh_token }
    }
}

#[rstest]
#[tokio::test]
async fn somebody_gets_all_that_is_kept_about_them(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let page = scene.browser.open(PAGE).await;
    let before = scene.server.statements();
    let got = scene.browser.submit(&the_form(&page, "download-form")).await;
    let statements = scene.server.statements() - before;
    assert!(statements <= 13, "{statements}");
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("content-disposition"), "attachment; filename=\"account-data.json\"");
    assert_eq!(got.header("cache-control"), "no-store");
    let data = got.json();
    assert_eq!(data["format"], json!("portcullis-account-data/1"));
    assert_eq!(data["issuer"], json!(scene.server.issuer));
    let account = &data["account"];
    assert_eq!((&account["id"], &account["sub"]), (&json!(scene.ada.id), &json!(scene.ada.sub)));
    assert_eq!((&account["email"], &account["profile"]), (&json!("ada@example.net"), &profile()));
    assert_eq!(data["organisation"]["name"], json!("Default"));
    let role = &data["roles"]["items"][0];
    assert_eq!((&role["role"], &role["api"]), (&json!("viewer"), &json!("https://orders.test")));
    assert_eq!(data["sign_in"]["password"], json!(true));
    assert_eq!(data["sign_in"]["second_step"]["recovery_codes_left"], json!(10));
    assert_eq!(data["sign_in"]["passkeys"], json!([]));
    let sessions = data["sessions"]["items"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "adding the second step ended the other");
    let methods = json!(["pwd", "otp", "mfa"]);
    assert_eq!((&sessions[0]["current"], &sessions[0]["methods"]), (&json!(true), &methods));
    let apps = data["applications"]["items"].as_array().unwrap();
    assert_eq!((apps.len(), &apps[0]["client_id"]), (1, &json!(scene.shop.id)));
    let log = data["security_log"]["items"].as_array().unwrap();
    assert_eq!(log[0]["what"], json!("data_downloaded"));
    let has = |what: &str| log.iter().any(|entry| entry["what"] == json!(what));
    assert!(["sign_in", "second_step_added", "consent_granted", "created"].into_iter().all(has), "{log:?}");
    for list in ["roles", "sessions", "applications", "security_log"] {
        assert_eq!(data[list]["complete"], json!(true), "{list}");
    }
}

#[rstest]
#[tokio::test]
async fn the_document_has_no_secret_and_nothing_of_others(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let got = download(&mut scene.browser).await;
    let session = scene.browser.session().unwrap().to_owned();
    let mut secrets = vec![session, scene.ada.password.clone(), scene.refresh_token, "$argon2".to_owned()];
    secrets.extend(scene.app.recovery);
    secrets.extend([scene.zoe.id.clone(), scene.zoe.sub.clone(), "zoe-x".to_owned()]);
    for secret in secrets {
        assert!(!got.text().contains(&secret), "{secret}");
    }
    let mut hers = scene.server.visitor();
    hers.sign_in(&scene.zoe).await;
    let of_zoe = download(&mut hers).await;
    assert_eq!(of_zoe.json()["account"]["username"], json!("zoe-x"));
    let text = of_zoe.text();
    assert!(!text.contains(&scene.ada.id) && !text.contains("ada@"), "{text}");
    let events = scene.server.admin.get("/audit?limit=200").await.json()["items"].clone();
    let noted =
        |event: &&Value| event["action"] == "user.data_downloaded" && event["target"] == json!(scene.ada.id);
    assert_eq!(events.as_array().unwrap().iter().filter(noted).count(), 1);
}

#[rstest]
#[tokio::test]
async fn only_who_signed_in_just_now_gets_it_and_only_now_and_then(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut browser = server.visitor();
    assert_eq!(browser.get(PAGE).await.location().unwrap().query(), Some("next=data"), "nobody is signed in");
    browser.sign_in(&ada).await;
    let form = the_form(&browser.open(PAGE).await, "download-form");
    server.wait(Duration::from_mins(6));
    let late = browser.submit(&form).await;
    assert_eq!(late.location().unwrap().query(), Some("next=data&switch"), "sign in again");
    let form = form.without("csrf_token");
    assert_eq!(browser.submit(&form).await.status, 403, "no page of ours sends that");
    let mut fresh = server.visitor();
    fresh.sign_in(&ada).await;
    for _ in 0..5 {
        assert_eq!(download(&mut fresh).await.status, 200);
    }
    let refused = download(&mut fresh).await;
    assert_eq!(refused.status, 429);
    assert!(!refused.header("retry-after").is_empty());
    server.wait(Duration::from_hours(1));
    let mut later = server.visitor();
    later.sign_in(&ada).await;
    assert_eq!(download(&mut later).await.status, 200);
}

/// However much happened, the document is made of a bounded number of statements, and a log that does not fit one part is joined of several.
#[rstest]
#[case(Sqlite, 30, 15)]
#[case(Postgres, 30, 15)]
#[case(Sqlite, 1_050, 17)]
#[tokio::test]
async fn a_long_log_is_read_in_parts(#[case] database: Database, #[case] happened: usize, #[case] most: u64) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let change = format!("/users/{}/sign-out", ada.id);
    for _ in 0..happened {
        server.admin.send(Method::POST, &change, &Value::Null).await;
    }
    let mut browser = server.visitor();
    browser.sign_in(&ada).await;
    let page = browser.open(PAGE).await;
    let before = server.statements();
    let got = browser.submit(&the_form(&page, "download-form")).await;
    let statements = server.statements() - before;
    assert!(statements <= most, "{statements}");
    let log = got.json()["security_log"].clone();
    let ends = log["items"].as_array().unwrap().iter().filter(|entry| entry["what"] == json!("signed_out"));
    assert_eq!((ends.count(), &log["complete"]), (happened, &json!(true)));
}
