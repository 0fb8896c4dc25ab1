//! What services say about their routes, on its way to the server and to administrators.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";

/// The text that a guard would send for one route, and its name.
pub(crate) fn document(api: &str, path: &str) -> (String, String) {
    let need = portcullis_policy::Need::Public;
    let routes = vec![portcullis_policy::Route::every_method(path, need)];
    let document = portcullis_policy::RouteDocument::new(api, None, routes);
    let text = serde_json::to_string(&document).unwrap();
    (portcullis_server::domain::secret::Digest32::of(text.as_bytes()).hex(), text)
}

/// Announces as a client.
pub(crate) async fn announce(server: &TestServer, client: &Registered, name: &str, text: &str) -> Answer {
    let request = server.machine.request(Method::PUT, &format!("/policies/routes/{name}"));
    let request = request.header("authorization", basic(&client.id, client.secret.as_deref().unwrap()));
    Answer::to(request.header("content-type", "application/json").body(text.to_owned())).await
}

async fn asked(server: &TestServer, client: &Registered, name: &str) -> Answer {
    let request = server.machine.request(Method::GET, &format!("/policies/routes/{name}"));
    Answer::to(request.header("authorization", basic(&client.id, client.secret.as_deref().unwrap()))).await
}

async fn inventories(server: &TestServer, api: &RegisteredApi) -> Vec<Value> {
    let listed = server.admin.get(&format!("/apis/{}/policy/routes", api.id)).await.json();
    listed["items"].as_array().unwrap().clone()
}

#[rstest]
#[tokio::test]
async fn a_guard_tells_of_its_routes_and_an_administrator_sees_what_does_not_fit(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read\np, viewer, *, bills, read\n").await;
    let guard = server.admin.guard_client(&orders).await;
    let start = || GuardedService::start_with(&server.issuer, ORDERS, &guard, |it| it.service_version("1.0"));
    let (one, two) = (start().await, start().await);
    for service in [&one, &two, &one] {
        service.refresh_policy().await;
    }
    let found = inventories(&server, &orders).await;
    assert_eq!(found.len(), 1, "the replicas say the same: {found:?}");
    let pending = &found[0];
    assert_eq!((&pending["state"], &pending["version"]), (&json!("pending"), &json!("1.0")));
    assert_eq!((&pending["route_count"], &pending["announced_by"]), (&json!(2), &json!(guard.id)));

    let place = format!("/apis/{}/policy/routes/{}", orders.id, pending["digest"].as_str().unwrap());
    let shown = server.admin.get(&place).await;
    assert_eq!(shown.json()["routes"][1]["methods"], json!(["POST"]));
    let approve = server.admin.request(Method::POST, &format!("{place}/approve")).await;
    let approved = Answer::to(approve.header("if-match", shown.header("etag"))).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    let typed = json!({ "rules": "p, viewer, *, ordres, raed" });
    let validate = server.admin.request(Method::POST, &format!("/apis/{}/policy/validate", orders.id)).await;
    let checked = Answer::to(validate.json(&typed)).await.json();
    let fixes: Vec<_> = checked["findings"].as_array().unwrap().iter().map(|found| &found["fix"]).collect();
    assert_eq!(fixes, ["orders", "read"], "{checked}");
    let report = server.admin.get(&format!("/apis/{}/policy/route-report", orders.id)).await.json();
    let gap = &report["unruled"][0];
    assert_eq!(
        (&gap["path"], &gap["action"], &gap["closed"]),
        (&json!("/orders"), &json!("create"), &json!(true))
    );
    assert_eq!(
        (&report["unrouted"][0]["line"], &report["unrouted"][0]["object"]),
        (&json!(2), &json!("bills"))
    );

    let next =
        GuardedService::start_with(&server.issuer, ORDERS, &guard, |it| it.service_version("1.1")).await;
    next.refresh_policy().await;
    let found = inventories(&server, &orders).await;
    let is_there =
        |version: &str, state: &str| found.iter().any(|it| it["version"] == version && it["state"] == state);
    assert!(is_there("1.0", "approved") && is_there("1.1", "pending"), "{found:?}");
    let hidden = GuardedService::start_with(&server.issuer, ORDERS, &guard, |it| {
        it.service_version("1.2").hide_routes()
    });
    hidden.await.refresh_policy().await;
    assert_eq!(inventories(&server, &orders).await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn an_announcement_is_the_same_however_often_it_is_made(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let (name, text) = document(ORDERS, "/a");
    assert_eq!(asked(&server, &guard, &name).await.status, 404);
    let all = futures_util::future::join_all((0..8).map(|_| announce(&server, &guard, &name, &text))).await;
    let mut statuses: Vec<u16> = all.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    // Some asked before the first was there, and more than may be new at once are told to come back.
    statuses.retain(|status| ![200, 201, 429].contains(status));
    assert_eq!(statuses, [0; 0]);
    let again = announce(&server, &guard, &name, &text).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "digest": name, "state": "pending" })));
    assert_eq!(asked(&server, &guard, &name).await.json(), again.json());
    assert_eq!(inventories(&server, &orders).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn what_is_no_announcement_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (orders, bills) = (server.admin.api(ORDERS).await, server.admin.api("https://bills.test").await);
    let (guard, other) = (server.admin.guard_client(&orders).await, server.admin.guard_client(&bills).await);
    let machine = server.admin.machine_client(&[&orders]).await;
    let (name, text) = document(ORDERS, "/a");

    let nobody = server.machine.request(Method::PUT, &format!("/policies/routes/{name}"));
    assert_eq!(
        Answer::to(nobody.header("content-type", "application/json").body(text.clone())).await.status,
        401
    );
    assert_eq!(server.machine.get(&format!("/policies/routes/{name}")).await.status, 401);
    let serves_nothing = announce(&server, &machine, &name, &text).await;
    assert_eq!(serves_nothing.status, 403, "{}", serves_nothing.text());
    assert_eq!(serves_nothing.json()["type"], "urn:portcullis:problem:serves-nothing");
    assert_eq!(asked(&server, &machine, &name).await.status, 403);
    let foreign = announce(&server, &other, &name, &text).await;
    assert_eq!((foreign.status.as_u16(), &foreign.json()["errors"][0]["pointer"]), (422, &json!("/api")));

    let (other_name, _) = document(ORDERS, "/b");
    let long = format!("{}{text}", " ".repeat(1024 * 1024));
    let (huge_name, huge) = {
        let need = portcullis_policy::Need::Public;
        let route =
            |at| portcullis_policy::Route::every_method(format!("/{at}/{}", "x".repeat(900)), need.clone());
        let document = portcullis_policy::RouteDocument::new(ORDERS, None, (0..300).map(route).collect());
        let text = serde_json::to_string(&document).unwrap();
        (portcullis_server::domain::secret::Digest32::of(text.as_bytes()).hex(), text)
    };
    let deep =
        text.replace("\"public\"", &format!("{}\"public\"{}", "{\"all\":[".repeat(200), "]}".repeat(200)));
    for (name, text, status) in [
        (other_name.as_str(), text.as_str(), 422),
        ("x", &text, 404),
        (&name.to_uppercase(), &text, 404),
        (&name, "{}", 400),
        (&name, "", 400),
        (&name, &text.replace("/a", "a"), 422),
        (&name, &text.replace("public", "open"), 400),
        (&name, &text.replace("{\"api\"", "{\"more\":1,\"api\""), 400),
        (&name, &deep, 400),
        (&name, &long, 413),
        (&huge_name, &huge, 413),
    ] {
        let refused = announce(&server, &guard, name, text).await;
        assert_eq!(refused.status, status, "{name}: {}", refused.text());
        assert_eq!(refused.header("content-type"), "application/problem+json", "{name}");
    }
    let request = server.machine.request(Method::PUT, &format!("/policies/routes/{name}"));
    let request = request.header("authorization", basic(&guard.id, guard.secret.as_deref().unwrap()));
    assert_eq!(Answer::to(request.header("content-type", "text/plain").body(text.clone())).await.status, 415);
    for method in [Method::POST, Method::DELETE] {
        let request = server.machine.request(method, &format!("/policies/routes/{name}"));
        let request = request.header("authorization", basic(&guard.id, guard.secret.as_deref().unwrap()));
        assert_eq!(Answer::to(request).await.status, 405);
    }
    assert!(inventories(&server, &orders).await.is_empty() && inventories(&server, &bills).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn new_inventories_are_taken_at_a_slow_pace(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let mut answers = Vec::new();
    for at in 0..5 {
        let (name, text) = document(ORDERS, &format!("/{at}"));
        answers.push(announce(&server, &guard, &name, &text).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201, 201, 201, 201, 429]);
    assert_eq!(answers[4].json()["type"], "urn:portcullis:problem:throttled");
    assert!(answers[4].header("retry-after").parse::<u64>().unwrap() <= 300);
    let (known, text) = document(ORDERS, "/0");
    assert_eq!(announce(&server, &guard, &known, &text).await.status, 200, "what is known costs nothing");
}
