//! What the server decided for services that have no guard of ours, and rules that are tried on it.

use std::time::Duration;

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::unescape;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::authzen::{ACTIONS, EVALUATION, EVALUATIONS, RESOURCES, SUBJECTS};
use crate::rules_page::{administrator, path};

/// A server, an API with rules and a draft that takes reading away, and the service that asks.
struct Scene {
    server: TestServer,
    orders: RegisteredApi,
    service: Registered,
}

impl Scene {
    async fn of(server: TestServer) -> Self {
        let orders = server.admin.api("https://orders.test").await;
        let rules = "p, viewer, *, orders, read\np, editor, *, orders, create\n";
        server.admin.activate(&orders, rules).await;
        let service = server.admin.guard_client(&orders).await;
        let draft = json!({ "rules": "p, editor, *, orders, create\n" });
        let path = format!("/apis/{}/policy/draft", orders.id);
        let saved = server.admin.request(Method::PUT, &path).await.header("if-match", "*").json(&draft);
        assert_eq!(Answer::to(saved).await.status, 200);
        Self { server, orders, service }
    }

    async fn ask(&self, path: &str, document: &Value) -> Answer {
        let secret = self.service.secret.as_deref().unwrap();
        let request = self.server.machine.request(Method::POST, path).json(document);
        Answer::to(request.header("authorization", basic(&self.service.id, secret))).await
    }

    /// What the draft would change, once everything is recorded.
    async fn replay(&self) -> Value {
        self.server.app().record_decisions().await.unwrap();
        self.server.admin.get(&format!("/apis/{}/policy/replay", self.orders.id)).await.json()
    }
}

fn orders() -> Value {
    json!({ "type": "orders", "id": "17" })
}

fn reading(subject: &Value) -> Value {
    json!({ "subject": subject, "action": { "name": "read" }, "resource": orders() })
}

fn role(name: &str) -> Value {
    json!({ "type": "role", "id": name })
}

#[rstest]
#[tokio::test]
async fn a_draft_is_tried_on_what_was_asked_and_names_the_client_that_asked(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::of(TestServer::start_on(database).await)).await;
    let admin = &scene.server.admin;
    let ada = admin.user("ada").await;
    admin.assign(&scene.orders, "viewer", &ada.id).await;
    let user = json!({ "type": "user", "id": ada.sub });
    for _ in 0..3 {
        assert_eq!(scene.ask(EVALUATION, &reading(&user)).await.status, 200);
    }
    let batch = json!({
        "action": { "name": "read" }, "resource": orders(),
        "evaluations": [{ "subject": user }, { "subject": role("editor") }, { "subject": role("viewer") }],
        "options": { "evaluations_semantic": "deny_on_first_deny" },
    });
    assert_eq!(scene.ask(EVALUATIONS, &batch).await.status, 200);
    let replayed = scene.replay().await;
    assert_eq!(
        replayed["all"],
        json!({ "decisions": 5, "requests": 2 }),
        "up to the first denial: {replayed}"
    );
    assert_eq!(replayed["changes"].as_array().unwrap().len(), 1, "{replayed}");
    let change = &replayed["changes"][0];
    assert_eq!(change["text"], "viewer loses orders read: 4 decisions, 1 caller");
    let example = &change["examples"][0];
    assert_eq!(example["asked_by"], json!({ "client": scene.service.id, "name": "Test guard" }));
    assert_eq!((&example["subject"], &example["roles"]), (&json!(ada.sub), &json!(["viewer"])));

    // Programs have their names for everybody who may see rules, people for those who may read users.
    for (role, name) in [("owner", "(ada)"), ("policy-editor", &*ada.sub)] {
        let mut visitor = administrator(&scene.server, role).await;
        let page = unescape(&visitor.get(&format!("{}/try", path(&scene.orders))).await.text());
        assert!(page.contains("asked by “Test guard”") && page.contains(name), "{role}: {page}");
    }

    let again = scene.replay().await;
    assert_eq!(again["all"], replayed["all"], "nothing is recorded twice");
    scene.server.wait(Duration::from_hours(24));
    scene.ask(EVALUATION, &reading(&user)).await;
    // The first flush of a day may still be of the day before.
    let next_day = scene.replay().await;
    assert_eq!(next_day["all"]["decisions"], 6);

    let gone = admin.send(Method::DELETE, &format!("/clients/{}", scene.service.id), &Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    let unknown = scene.replay().await;
    assert_eq!(unknown["changes"][0]["examples"][0]["asked_by"]["name"], json!(scene.service.id));
    let gone = admin.send(Method::DELETE, &format!("/users/{}", ada.id), &Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!(scene.replay().await["changes"], json!([]), "what was asked about somebody goes with them");
}

#[rstest]
#[tokio::test]
async fn searches_refusals_and_strangers_are_no_decisions_of_the_rules(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::of(TestServer::start_on(database).await)).await;
    let action = json!({ "name": "read" });
    for (path, document, status) in [
        (ACTIONS, json!({ "subject": role("viewer"), "resource": orders() }), 200),
        (
            RESOURCES,
            json!({ "subject": role("viewer"), "action": action, "resource": { "type": "object" } }),
            200,
        ),
        (
            RESOURCES,
            json!({ "subject": role("viewer"), "action": action, "resource": { "type": "orders" } }),
            200,
        ),
        (SUBJECTS, json!({ "subject": { "type": "role" }, "action": action, "resource": orders() }), 200),
        (EVALUATION, json!({}), 400),
        (EVALUATION, reading(&json!({ "type": "user", "id": "nobody" })), 200),
        (EVALUATION, reading(&json!({ "type": "client", "id": "nobody" })), 200),
    ] {
        assert_eq!(scene.ask(path, &document).await.status, status, "{path}");
    }
    let replayed = scene.replay().await;
    assert_eq!((&replayed["all"]["decisions"], &replayed["recorded"]["lost"]), (&json!(0), &json!(0)));
    let long = "x".repeat(2_040);
    assert_eq!(scene.ask(EVALUATION, &reading(&role(&long))).await.status, 200);
    let replayed = scene.replay().await;
    assert_eq!(
        (&replayed["all"]["decisions"], &replayed["recorded"]["lost"]),
        (&json!(0), &json!(1)),
        "too long"
    );
}

#[rstest]
#[tokio::test]
async fn a_server_that_keeps_no_records_keeps_none_of_these(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| config.journal.records.keep_days = 0).await;
    let scene = Box::pin(Scene::of(server)).await;
    assert_eq!(scene.ask(EVALUATION, &reading(&role("viewer"))).await.json()["decision"], true);
    assert_eq!(scene.replay().await["recorded"]["days"], 0);
}

#[rstest]
#[tokio::test]
async fn a_day_that_is_full_counts_what_it_does_not_keep(#[values(Sqlite, Postgres)] database: Database) {
    let server =
        TestServer::start_with(database, |config| config.journal.records.max_requests_per_day = 1).await;
    let scene = Box::pin(Scene::of(server)).await;
    for times in 0..2 {
        assert_eq!(scene.ask(EVALUATION, &reading(&role("viewer"))).await.status, 200);
        if times == 1 {
            assert_eq!(scene.ask(EVALUATION, &reading(&role("editor"))).await.status, 200);
        }
        scene.server.app().record_decisions().await.unwrap();
    }
    let replayed = scene.replay().await;
    assert_eq!((&replayed["all"]["requests"], &replayed["recorded"]["lost"]), (&json!(1), &json!(1)));
    assert_eq!(replayed["all"]["decisions"], 2);
}

#[rstest]
#[tokio::test]
async fn under_pseudonyms_the_records_do_not_say_about_whom_was_asked(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.journal.records.authzen_pseudonyms = true).await;
    let scene = Box::pin(Scene::of(server)).await;
    let ada = scene.server.admin.user("ada").await;
    scene.server.admin.assign(&scene.orders, "viewer", &ada.id).await;
    let user = json!({ "type": "user", "id": ada.sub });
    for subject in [&user, &user, &role("viewer")] {
        assert_eq!(scene.ask(EVALUATION, &reading(subject)).await.json()["decision"], true);
    }
    let replayed = scene.replay().await;
    assert_eq!(replayed["recorded"]["pseudonymous"], 2, "whoever is only a role is nobody: {replayed}");
    assert_eq!(replayed["changes"][0]["text"], "viewer loses orders read: 3 decisions, 2 callers");
    assert!(!replayed.to_string().contains(&ada.sub), "{replayed}");
}
