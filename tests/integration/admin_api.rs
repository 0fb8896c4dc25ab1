//! The admin API, walked route by route from its own description.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// Every route of the description: method and path, with ids that name nothing.
async fn routes(server: &TestServer) -> Vec<(Method, String)> {
    let document = server.machine.get("/api/openapi.json").await;
    assert_eq!(document.status, 200);
    let document = document.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let base = document["servers"][0]["url"].as_str().unwrap_or_default().to_owned();
    let base = base.strip_prefix(&server.issuer).unwrap_or(&base).to_owned();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = if path.starts_with("/api/") { path.clone() } else { format!("{base}{path}") };
        for method in item.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            found.push((method, filled(&path)));
        }
    }
    assert!(found.len() >= 25, "{found:?}");
    found
}

fn filled(path: &str) -> String {
    let id = |prefix: &str| format!("{prefix}_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c");
    let names = [
        ("{user}", "usr"),
        ("{client}", "cli"),
        ("{api}", "api"),
        ("{role}", "rol"),
        ("{assignment}", "asg"),
    ];
    let path = names.iter().fold(path.to_owned(), |path, (name, prefix)| path.replace(name, &id(prefix)));
    path.replace("{organisation}", &id("org")).replace("{number}", "1")
}

/// Sends a request without or with a token and says what came of it.
async fn status(server: &TestServer, route: &(Method, String), token: Option<&str>) -> u16 {
    let request =
        server.machine.request(route.0.clone(), &route.1).header("if-match", "\"1\"").json(&json!({}));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    Answer::to(request).await.status.as_u16()
}

#[rstest]
#[tokio::test]
async fn no_route_opens_without_the_right_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let elsewhere = server.admin.machine_client(&[&orders]).await;
    let elsewhere =
        server.machine.client_credentials(&elsewhere, &orders.audience).await.member("access_token");
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let tokens = server.tokens(&shop, &request, &ada).await;
    let (access, id_token) = (tokens.member("access_token"), tokens.member("id_token"));
    for route in routes(&server).await {
        assert_eq!(status(&server, &route, None).await, 401, "{route:?} without a token");
        for (what, token) in [("other API", &elsewhere), ("user", &access), ("ID token", &id_token)] {
            let status = status(&server, &route, Some(token)).await;
            assert!(matches!(status, 401 | 403), "{route:?} with the token of {what}: {status}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn somebody_who_may_only_look_changes_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let admin_api = server.app().apis().admin_api().await.unwrap();
    let viewer = server
        .admin
        .client(json!({ "name": "Viewer", "preset": "m2m", "apis": [admin_api.id.to_string()] }))
        .await;
    let assignments = format!("/apis/{}/assignments", admin_api.id);
    server.admin.post(&assignments, &json!({ "role": "auditor", "subject": viewer.id })).await;
    let audience = format!("{}/api", server.issuer);
    let token = server.machine.client_credentials(&viewer, &audience).await.member("access_token");
    for route in routes(&server).await {
        let status = status(&server, &route, Some(&token)).await;
        if route.0 == Method::GET {
            // Some ask for what a question lacks here.
            assert!(matches!(status, 200 | 400 | 404 | 422), "{route:?}: {status}");
        } else {
            assert_eq!(status, 403, "{route:?}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_user_is_made_shown_changed_and_switched_off(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let path = format!("/users/{}", ada.id);
    let shown = server.admin.get(&path).await;
    assert_eq!(shown.json()["username"], "ada");
    assert!(!shown.text().contains(&ada.password));
    let change = json!({ "username": "ada", "name": "Ada Lovelace" });
    let stale =
        server.admin.request(Method::PUT, &path).await.header("if-match", "\"nothing\"").json(&change);
    assert_eq!(Answer::to(stale).await.status, 412);
    let unconditional = server.admin.request(Method::PUT, &path).await.json(&change);
    let unconditional = Answer::to(unconditional).await;
    assert_eq!(
        (unconditional.status.as_u16(), unconditional.problem().as_str()),
        (428, "precondition-required")
    );
    assert_eq!(server.admin.get(&path).await.header("etag"), shown.header("etag"), "nothing was changed");
    let good =
        server.admin.request(Method::PUT, &path).await.header("if-match", shown.header("etag")).json(&change);
    let changed = Answer::to(good).await;
    assert_eq!((changed.status.as_u16(), changed.member("name").as_str()), (200, "Ada Lovelace"));
    server.admin.post(&format!("{path}/disable"), &json!({})).await;
    assert_eq!(server.visitor().sign_in(&ada).await.status, 422);
    server.admin.post(&format!("{path}/enable"), &json!({})).await;
    assert_eq!(server.visitor().sign_in(&ada).await.url.path(), "/account");
}

#[rstest]
#[tokio::test]
async fn a_taken_name_and_wrong_fields_are_told_by_pointer(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let taken = server.admin.send(Method::POST, "/users", &json!({ "username": "ADA" })).await;
    assert_eq!(taken.status, 422, "{}", taken.text());
    assert!(taken.text().contains("\"code\":\"taken\""), "{}", taken.text());
    let wrong = json!({ "username": "a b", "email": "nobody" });
    let wrong = server.admin.send(Method::POST, "/users", &wrong).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.header("content-type"), "application/problem+json");
    let pointers: Vec<Value> =
        wrong.json()["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("/username"), json!("/email")]);
}

#[rstest]
#[tokio::test]
async fn lists_are_read_page_by_page_and_capped(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for number in 0..5 {
        server.admin.post("/users", &json!({ "username": format!("user{number}") })).await;
    }
    let mut seen = Vec::new();
    let mut path = "/users?limit=2".to_owned();
    loop {
        let page = server.admin.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/users?limit=2&after={next}");
    }
    // The clock stands still here, so the order says nothing; that each comes once does.
    seen.sort();
    assert_eq!(seen, ["user0", "user1", "user2", "user3", "user4"]);
    for limit in ["0", "-1", "1000000000", "x"] {
        let status = server.admin.get(&format!("/users?limit={limit}")).await.status.as_u16();
        assert!(matches!(status, 200 | 400 | 422), "limit={limit}: {status}");
    }
}
