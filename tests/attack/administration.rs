//! Group AD: what an administrator with a part of the work may do, and what would make an owner of him.

use portcullis_tests::admin::Admin;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// The redirect URI of an attacker who has a role in the admin API.
const HIS: &str = "https://evil.test/cb";

/// A program with one role in the admin API, and the id of that API.
async fn delegate(server: &TestServer, role: &str) -> (Admin, String) {
    let api = server.app().apis().admin_api().await.unwrap().id.to_string();
    let program = json!({ "name": "Delegate", "preset": "m2m", "apis": [api] });
    let program = server.admin.client(program).await;
    let assignment = json!({ "role": role, "subject": program.id });
    server.admin.post(&format!("/apis/{api}/assignments"), &assignment).await;
    (Admin::new(&server.issuer, program), api)
}

fn application(apis: &[&str], redirect_uri: &str) -> Value {
    json!({
        "name": "Console", "preset": "spa", "redirect_uris": [redirect_uri], "apis": apis,
        "options": { "first_party": true },
    })
}

fn assert_owners_only(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    assert_eq!(answer.member("type"), "urn:portcullis:problem:owners-only", "{what}");
}

/// Replaces a client, whatever its version.
async fn replace(admin: &Admin, client: &str, document: &Value) -> Answer {
    let request = admin.request(Method::PUT, &format!("/clients/{client}")).await.header("if-match", "*");
    Answer::to(request.json(document)).await
}

#[rstest]
#[tokio::test]
async fn ad_15_a_delegate_makes_no_client_that_reaches_the_admin_api(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (delegate, api) = delegate(&server, "client-admin").await;
    let before = server.admin.get("/clients?limit=200").await.json();
    for document in [
        application(&[&api], HIS),
        json!({ "name": "Shop", "preset": "web", "redirect_uris": [HIS], "apis": [api] }),
        json!({ "name": "App", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"], "apis": [api] }),
        json!({ "name": "Robot", "preset": "m2m", "apis": [api] }),
        json!({ "name": "Guard", "preset": "service", "serves": api }),
        json!({ "name": "Guard", "preset": "service", "serves": server.admin.api("https://o.test").await.id, "apis": [api] }),
    ] {
        assert_owners_only(&delegate.send(Method::POST, "/clients", &document).await, &document.to_string());
    }
    assert_eq!(server.admin.get("/clients?limit=200").await.json(), before, "nothing was made");
    server.admin.client(application(&[&api], "https://console.test/cb")).await;
}

#[rstest]
#[tokio::test]
async fn ad_16_a_delegate_changes_no_client_that_reaches_the_admin_api(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (delegate, api) = delegate(&server, "client-admin").await;
    let console = server.admin.client(application(&[&api], "https://console.test/cb")).await.id;
    let guard = json!({ "name": "Guard", "preset": "service", "serves": api });
    let guard = server.admin.client(guard).await.id;
    let other = server.admin.api("https://orders.test").await.id;
    let elsewhere = json!({ "name": "Guard", "preset": "service", "serves": other });
    for (client, document, what) in [
        (&console, application(&[&api], HIS), "another redirect URI"),
        (&console, application(&[], HIS), "the admin API taken away"),
        (&guard, elsewhere, "a guard that serves another API from now on"),
    ] {
        assert_owners_only(&replace(&delegate, client, &document).await, what);
    }
    let robot = json!({ "name": "Robot", "preset": "m2m", "apis": [api] });
    let robot = server.admin.client(robot).await.id;
    for (client, step) in [(&robot, "secret"), (&guard, "secret"), (&console, "disable"), (&guard, "disable")]
    {
        let answer = delegate.send(Method::POST, &format!("/clients/{client}/{step}"), &json!({})).await;
        assert_owners_only(&answer, step);
    }
    server.admin.post(&format!("/clients/{console}/disable"), &json!({})).await;
    let enabled = delegate.send(Method::POST, &format!("/clients/{console}/enable"), &json!({})).await;
    assert_owners_only(&enabled, "enable");
    let kept = server.admin.get(&format!("/clients/{console}")).await.json();
    assert_eq!(kept["redirect_uris"], json!(["https://console.test/cb"]));
}

#[rstest]
#[tokio::test]
async fn ad_17_a_delegate_gives_the_admin_api_to_no_client_and_works_on_with_the_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (delegate, api) = delegate(&server, "client-admin").await;
    let shop = delegate.client(application(&[], "https://shop.test/cb")).await.id;
    assert_owners_only(&replace(&delegate, &shop, &application(&[&api], HIS)).await, "given afterwards");
    let orders = delegate.api("https://orders.test").await;
    let guard = delegate.guard_client(&orders).await.id;
    let served = json!({ "name": "Guard", "preset": "service", "serves": api });
    assert_owners_only(&replace(&delegate, &guard, &served).await, "served afterwards");
    let changed = replace(&delegate, &shop, &application(&[&orders.id], "https://shop.test/new")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for path in [format!("/clients/{shop}/disable"), format!("/clients/{shop}/enable")] {
        delegate.post(&path, &json!({})).await;
    }
    delegate.post(&format!("/clients/{guard}/secret"), &json!({})).await;
}

#[rstest]
#[tokio::test]
async fn ad_no_api_takes_the_place_of_the_server(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for audience in ["", "/", "/api", "/api/", "/api/v1"] {
        let document = json!({ "audience": format!("{}{audience}", server.issuer), "name": "Me" });
        let refused = server.admin.send(Method::POST, "/apis", &document).await;
        assert_eq!(refused.status, 422, "{audience}: {}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn ad_08_the_last_owner_is_one_who_can_sign_in(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let admin_api = server.admin.admin_api().await;
    let root = server.admin.administrator("owner").await;
    let ghost = server.admin.post("/users", &json!({ "username": "ghost" })).await;
    server.admin.assign(&admin_api, "owner", ghost["id"].as_str().unwrap()).await;
    let disable = format!("/users/{}/disable", root.id);
    let refused = server.admin.send(Method::POST, &disable, &json!({})).await;
    assert_eq!(refused.status, 409, "the other owner has no password: {}", refused.text());
    let password = json!({ "password": "violet anchor harbour" });
    let path = format!("/users/{}/password", ghost["id"].as_str().unwrap());
    assert_eq!(server.admin.send(Method::PUT, &path, &password).await.status, 204);
    assert_eq!(server.admin.send(Method::POST, &disable, &json!({})).await.status, 200);
}

/// Its roles are looked up each time, and so is what was taken from the program.
#[rstest]
#[tokio::test]
async fn ad_a_program_that_may_ask_no_tokens_for_the_admin_api_any_more_is_refused_with_those_that_it_has(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.admin_api().await;
    let program = server.admin.machine_client(&[&api]).await;
    server.admin.assign(&api, "user-admin", &program.id).await;
    let token = Admin::new(&server.issuer, program.clone()).token().await;
    let ask = async || {
        let request = server.machine.request(Method::GET, "/api/v1/users").bearer_auth(&token);
        Answer::to(request).await.status.as_u16()
    };
    assert_eq!(ask().await, 200);
    let less = json!({ "name": "Robot", "preset": "m2m" });
    let changed = replace(&server.admin, &program.id, &less).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(ask().await, 401);
}
