//! A policy on its way from the admin API to a guarded service.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::{GuardedService, REVISION};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn a_rule_that_is_activated_reaches_the_service_without_a_restart(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read, allow\n").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &machine.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");

    assert_eq!(service.get("/orders", None).await.status, 401);
    assert_eq!(service.get("/orders", Some(&token)).await.status, 200);
    assert_eq!(service.post("/orders", Some(&token)).await.status, 403);

    server.admin.activate(&orders, "p, viewer, *, orders, create, allow\n").await;
    service.refresh_policy().await;
    assert_eq!(service.get("/orders", Some(&token)).await.status, 403, "the same token, another policy");
    assert_eq!(service.post("/orders", Some(&token)).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_rule_that_begins_to_ask_how_people_signed_in_has_the_service_ask_for_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read\n").await;
    let (shop, guard) = (server.admin.web_client(&[&orders]).await, server.admin.guard_client(&orders).await);
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    assert_eq!(service.get("/orders", Some(&token)).await.status, 200);

    server.admin.activate(&orders, "p, viewer, *, orders, read, allow, acr=phrh, max_age=300\n").await;
    service.refresh_policy().await;
    let asked = service.get("/orders", Some(&token)).await;
    assert_eq!((asked.status.as_u16(), asked.header(REVISION)), (401, "3"));
    let challenge = asked.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.ends_with("acr_values=\"phrh\", max_age=\"300\""), "{challenge}");

    // A server that does not know a condition says so, and what is in force stays.
    let draft = format!("/apis/{}/policy", orders.id);
    let unknown = json!({ "rules": "p, viewer, *, orders, read, allow, amr=pin\n" });
    let report = server.admin.post(&format!("{draft}/validate"), &unknown).await;
    assert_eq!(
        (&report["usable"], &report["findings"][0]["code"]),
        (&json!(false), &json!("unknown-condition"))
    );
    let why = format!("{draft}/explain?roles=viewer&object=orders&action=read");
    let why = server.admin.get(&why).await.json();
    assert_eq!((&why["allowed"], &why["reason"]), (&json!(false), &json!("conditional")), "{why}");
    assert_eq!(why["rule"]["condition"]["acr"], json!(["phrh"]));
    let shown = format!("{draft}/explain?roles=viewer&object=orders&action=read&acr=phrh&age=299");
    assert_eq!(server.admin.get(&shown).await.json()["allowed"], json!(true));
    let unread = format!("{draft}/explain?roles=viewer&object=orders&action=read&age=old");
    assert_eq!(server.admin.get(&unread).await.status, 400);
    assert_eq!(
        why["text"],
        "conditional: allowed by line 1, by viewer, if the user signed in by phrh within 300 s"
    );

    server.admin.activate(&orders, "p, viewer, *, orders, read, allow, max_age=300\n").await;
    service.refresh_policy().await;
    assert_eq!(service.get("/orders", Some(&token)).await.status, 200, "ada has signed in just now");
}

#[rstest]
#[tokio::test]
async fn a_role_that_a_person_lacks_is_refused_by_the_service(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, editor, *, orders, read, allow\n").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &machine.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    assert_eq!(service.get("/orders", Some(&token)).await.status, 403);
}

#[rstest]
#[tokio::test]
async fn a_policy_with_mistakes_is_never_activated(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read, allow\n").await;
    let active = server.admin.get(&format!("/apis/{}/policy", orders.id)).await.json();
    let path = format!("/apis/{}/policy", orders.id);
    for wrong in [
        "p, viewer, orders\n",
        "p, viewer, *, /a(, read, allow\n",
        "nonsense",
        // CB-03: a field that would be two lines, the second of them a rule, once it is written down and read again.
        "p, viewer, *, \"orders\np, mallory, *, orders, read\", read, allow\n",
        "p, \"viewer\np, mallory, *, orders, read, allow\n\", *, orders, read, allow\n",
        "p, viewer, *, orders\u{2028}p, mallory, *, orders, read, allow\n",
        "p, viewer, *, orders\rp, mallory, read, allow\n",
    ] {
        let known = server.admin.get(&format!("{path}/draft")).await;
        let save = server.admin.request(Method::PUT, &format!("{path}/draft")).await;
        let saved =
            Answer::to(save.header("if-match", known.header("etag")).json(&json!({ "rules": wrong }))).await;
        assert_eq!(saved.status, 200, "a draft may hold mistakes: {}", saved.text());
        let report = server.admin.post(&format!("{path}/validate"), &json!({ "rules": wrong })).await;
        assert_eq!(report["usable"], false, "{wrong}");
        let activate = server.admin.request(Method::POST, &format!("{path}/activate")).await;
        let activate = activate.header("if-match", saved.header("etag")).json(&json!({ "message": "no" }));
        let refused = Answer::to(activate).await;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.status);
    }
    assert_eq!(server.admin.get(&path).await.json()["number"], active["number"]);
}

// CB-03: roles and whom they are given to are fields of lines, too.
#[rstest]
#[tokio::test]
async fn a_field_with_a_line_break_is_given_to_nobody(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let path = format!("/apis/{}/assignments", orders.id);
    let before = server.admin.get(&path).await.json();
    let injected = |field: &str| format!("{field}\np, mallory, *, orders, read, allow");
    for (role, subject, organisation) in [
        (injected("viewer"), machine.id.clone(), None),
        ("viewer".to_owned(), injected(&machine.id), None),
        ("viewer".to_owned(), machine.id.clone(), Some(injected("acme"))),
    ] {
        let document = json!({ "role": role, "subject": subject, "organisation": organisation });
        let refused = server.admin.send(Method::POST, &path, &document).await;
        assert!(refused.status.is_client_error(), "{document}: {} {}", refused.status, refused.text());
    }
    assert_eq!(server.admin.get(&path).await.json(), before);
}

/// No field of a policy is held to what the guard allows strings of which nobody said what they are.
#[rstest]
#[tokio::test]
async fn a_policy_may_be_as_long_as_a_body(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let rules: Vec<String> =
        (0..8_000).map(|number| format!("p, viewer, *, orders/{number}, read\n")).collect();
    let rules = rules.concat();
    assert!(rules.len() > 200_000);
    let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", orders.id)).await;
    let saved = Answer::to(draft.header("if-match", "*").json(&json!({ "rules": rules }))).await;
    assert_eq!(saved.status, 200, "{}", saved.text());
}

#[rstest]
#[tokio::test]
async fn of_two_who_activate_the_same_one_makes_a_revision(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let path = format!("/apis/{}/policy", orders.id);
    let draft = server.admin.request(Method::PUT, &format!("{path}/draft")).await;
    let rules = json!({ "rules": "p, viewer, *, orders, read\n" });
    assert_eq!(Answer::to(draft.header("if-match", "*").json(&rules)).await.status, 200);
    let activate = async |order: &Value| {
        let request = server.admin.request(Method::POST, &format!("{path}/activate")).await;
        Answer::to(request.header("if-match", "*").json(order)).await
    };
    let order = json!({ "message": "Viewers read" });
    let mut answers: Vec<Answer> = join_all((0..4).map(|_| activate(&order))).await;
    answers.sort_by_key(|answer| answer.status);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 409, 409, 409]);
    for late in &answers[1..] {
        assert_eq!(late.json()["type"], "urn:portcullis:problem:nothing-changed", "{}", late.text());
    }
    assert_eq!(server.admin.get(&path).await.json()["number"], 2);
    // Nor is it put off; but a rollback to what is in force is a decision of its own.
    let at = server.clock.now().plus(Duration::from_hours(1)).rfc3339();
    let later = activate(&json!({ "message": "Later", "activate_at": at })).await;
    assert_eq!((later.status.as_u16(), &later.json()["type"]), (409, &answers[1].json()["type"]));
    let back = format!("{path}/revisions/2/rollback");
    assert_eq!(server.admin.send(Method::POST, &back, &json!({ "message": "It stays" })).await.status, 200);
    assert_eq!(server.admin.get(&path).await.json()["number"], 3);
}

#[rstest]
#[tokio::test]
async fn the_snapshot_is_for_the_guard_of_the_api_alone(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (orders, bills) = (server.admin.api(ORDERS).await, server.admin.api("https://bills.test").await);
    let (guard, other) = (server.admin.guard_client(&orders).await, server.admin.guard_client(&bills).await);
    let machine = server.admin.machine_client(&[&orders]).await;
    let snapshot = async |client: &portcullis_tests::registered::Registered| {
        let secret = client.secret.as_deref().unwrap();
        let request = server.machine.request(Method::GET, "/policies/snapshot");
        Answer::to(request.header("authorization", portcullis_tests::token::basic(&client.id, secret))).await
    };
    let mine = snapshot(&guard).await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    assert_ne!(snapshot(&other).await.text(), mine.text());
    assert!(snapshot(&machine).await.status.is_client_error(), "a client that serves no API gets none");
    assert_eq!(server.machine.get("/policies/snapshot").await.status, 401);
}
