//! What a guard decided, on its way to the server, and rules that are tried on it.

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::decisions::{batch, decision, send};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn rules_are_tried_on_what_a_service_was_really_asked(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read\np, editor, *, orders, create\n").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &machine.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    for _ in 0..3 {
        assert_eq!(service.get("/orders", Some(&token)).await.status, 200);
    }
    assert_eq!(service.post("/orders", Some(&token)).await.status, 403);
    service.flush_decisions().await;

    let path = format!("/apis/{}/policy", orders.id);
    let draft = json!({ "rules": "p, editor, *, orders, create\np, viewer, *, orders, create\n" });
    let saved = server
        .admin
        .request(Method::PUT, &format!("{path}/draft"))
        .await
        .header("if-match", "*")
        .json(&draft);
    assert_eq!(Answer::to(saved).await.status, 200);
    let replayed = server.admin.get(&format!("{path}/replay")).await.json();
    let texts: Vec<&str> = replayed["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["text"].as_str().unwrap())
        .collect();
    let expected = [
        "viewer loses orders read: 3 decisions, 1 caller",
        "viewer gains orders create: 1 decision, 1 caller",
    ];
    assert_eq!(texts, expected, "{replayed}");
    let loss = &replayed["changes"][0];
    assert_eq!(
        (&loss["change"], &loss["grantee"], &loss["examples"][0]["subject"], &loss["examples"][0]["before"]),
        (&json!("allow-to-deny"), &json!("viewer"), &json!(machine.id), &json!(1))
    );
    assert_eq!(replayed["all"], json!({ "decisions": 4, "requests": 2 }));
    assert_eq!((&replayed["from"]["revision"], &replayed["to"]["draft_version"]), (&json!(2), &json!(2)));
    assert_eq!(replayed["rules"], json!({ "total": 2, "used": 1, "unused": [1] }));
    let expected = json!({ "days": 1, "lost": 0, "pseudonymous": 0, "partial": false, "conditional": 0 });
    assert_eq!(replayed["recorded"], expected);

    // What a token showed is not recorded, so a condition neither takes nor gives.
    let asking = json!({ "rules": "p, viewer, *, orders, read, allow, max_age=300\n" });
    let saved = server.admin.request(Method::PUT, &format!("{path}/draft")).await;
    assert_eq!(Answer::to(saved.header("if-match", "*").json(&asking)).await.status, 200);
    let replayed = server.admin.get(&format!("{path}/replay")).await.json();
    let [change] = replayed["changes"].as_array().unwrap().as_slice() else { panic!("one: {replayed}") };
    assert_eq!((&change["change"], &change["decisions"]), (&json!("condition"), &json!(3)));
    assert_eq!((&replayed["denied"]["decisions"], &replayed["losers"]), (&json!(0), &json!(0)));
    assert_eq!(replayed["recorded"]["conditional"], 3);
    let same = server.admin.get(&format!("{path}/replay?from=active&to=active&days=1")).await.json();
    assert_eq!(same["changes"], json!([]));
}

#[rstest]
#[tokio::test]
async fn a_batch_that_cannot_be_read_is_refused_at_its_place(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let many: Vec<Value> = (0..1_001).map(|number| decision(&number.to_string())).collect();
    let mut negative = decision("alice");
    negative["count"] = json!(-1);
    for (body, pointer) in [
        (batch("", &json!([])), "/batch"),
        (batch("a b", &json!([])), "/batch"),
        (batch(&"x".repeat(65), &json!([])), "/batch"),
        (batch("g-1", &json!(many)), "/decisions"),
        (batch("g-1", &json!([negative])), "/decisions/0/count"),
        (json!({ "batch": "g-1" }), ""),
    ] {
        let refused = send(&server, &guard, &body).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status.as_u16(), &problem["errors"][0]["pointer"]),
            (400, &json!(pointer)),
            "{problem}"
        );
    }
    let odd = batch("g-2", &json!([decision("a\u{0}b"), decision("alice")]));
    assert_eq!(
        send(&server, &guard, &odd).await.status,
        204,
        "what is no record does not hold up the others"
    );
    let replay = format!("/apis/{}/policy/replay?to=active", orders.id);
    let replayed = server.admin.get(&replay).await.json();
    assert_eq!((&replayed["all"]["decisions"], &replayed["recorded"]["lost"]), (&json!(2), &json!(2)));
}

#[rstest]
#[tokio::test]
async fn only_the_guard_of_an_api_tells_of_it_and_only_with_its_credentials(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let body = batch("g-1", &json!([decision("alice")]));
    let refused = send(&server, &machine, &body).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["type"], "urn:portcullis:problem:serves-nothing");
    let url = format!("{}/policies/decisions", server.issuer);
    let anonymous = Answer::to(agent().post(&url).json(&body)).await;
    assert_eq!(anonymous.status, 401);
    let wrong = agent().post(&url).basic_auth(&guard.id, Some("wrong")).json(&body);
    assert_eq!(Answer::to(wrong).await.status, 401);
    let form = agent().post(&url).basic_auth(&guard.id, guard.secret.as_deref()).body("batch=g-1");
    assert_eq!(Answer::to(form).await.status, 415);
    let read = agent().get(&url).basic_auth(&guard.id, guard.secret.as_deref());
    assert_eq!(Answer::to(read).await.status, 405);
    let replayed = server.admin.get(&format!("/apis/{}/policy/replay?to=active", orders.id)).await.json();
    assert_eq!(replayed["all"]["requests"], 0, "nothing of it was taken");
}

#[rstest]
#[tokio::test]
async fn a_question_that_cannot_be_answered_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let path = format!("/apis/{}/policy/replay", orders.id);
    for (query, status) in [
        ("days=0", 422),
        ("days=367", 422),
        ("days=x", 400),
        ("to=newest", 422),
        ("to=99", 404),
        ("hours=1", 400),
    ] {
        assert_eq!(server.admin.get(&format!("{path}?{query}")).await.status, status, "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn a_service_tries_the_draft_answers_by_what_is_in_force_and_tells_the_difference(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, viewer, *, orders, read\np, viewer, *, orders, create\n").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &machine.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    let path = format!("/apis/{}/policy", orders.id);
    let put = async |path: &str, body: Option<&Value>| {
        let request = server.admin.request(Method::PUT, path).await.header("if-match", "*");
        Answer::to(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    };
    let asks = async || {
        assert_eq!(service.get("/orders", Some(&token)).await.status, 200);
        assert_eq!(service.post("/orders", Some(&token)).await.status, 200);
        service.flush_decisions().await;
    };
    assert_eq!(
        put(&format!("{path}/draft"), Some(&json!({ "rules": "p, viewer, *, orders, create\n" })))
            .await
            .status,
        200
    );
    assert_eq!(put(&format!("{path}/shadow"), None).await.status, 200);
    service.refresh_policy().await;
    for _ in 0..2 {
        asks().await;
    }
    let report = server.admin.get(&format!("{path}/shadow")).await.json();
    let told: Vec<&Value> =
        report["changes"].as_array().unwrap().iter().map(|change| &change["text"]).collect();
    assert_eq!(told, [&json!("viewer loses orders read: 2 decisions, 1 caller")], "{report}");
    let shadow = &report["shadow"];
    assert_eq!(
        (&shadow["requests"], &shadow["decisions"], &shadow["lost"], &shadow["untried"]),
        (&json!(1), &json!(2), &json!(0), &json!(0))
    );
    let mut untried = batch("g-1", &json!([]));
    (untried["lost"], untried["shadow"]) = (json!(7), shadow["sha256"].clone());
    for _ in 0..2 {
        assert_eq!(send(&server, &guard, &untried).await.status, 204);
    }
    let report = server.admin.get(&format!("{path}/shadow")).await.json();
    assert_eq!((&report["shadow"]["lost"], &report["shadow"]["untried"]), (&json!(0), &json!(7)));

    let stopped = server.admin.send(Method::DELETE, &format!("{path}/shadow"), &Value::Null).await;
    assert_eq!(stopped.status, 204);
    service.refresh_policy().await;
    asks().await;
    assert_eq!(server.admin.get(&format!("{path}/shadow")).await.status, 404);
    let snapshot = format!("{}/policies/shadow", server.issuer);
    let asked = agent().get(snapshot).basic_auth(&guard.id, guard.secret.as_deref());
    assert_eq!(Answer::to(asked).await.status, 404);
}

#[rstest]
#[tokio::test]
async fn a_trial_needs_a_version_and_a_difference_needs_a_name(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let path = format!("/apis/{}/policy/shadow", orders.id);
    let unconditional = Answer::to(server.admin.request(Method::PUT, &path).await).await;
    assert_eq!(unconditional.status, 428);
    let stale = server.admin.request(Method::PUT, &path).await.header("if-match", "\"99\"");
    assert_eq!(Answer::to(stale).await.status, 412);
    let same = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    assert_eq!(Answer::to(same).await.status, 409, "the draft is what is in force");
    let guard = server.admin.guard_client(&orders).await;
    let mut body = batch("g-1", &json!([decision("alice")]));
    body["shadow"] = json!("abc");
    let refused = send(&server, &guard, &body).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]), (400, &json!("/shadow")));
    body["shadow"] = json!("00".repeat(32));
    assert_eq!(send(&server, &guard, &body).await.status, 204, "it was on trial once, perhaps");
}
