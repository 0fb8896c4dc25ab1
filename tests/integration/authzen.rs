//! Decisions for services that have no guard of ours: `AuthZEN`, as a plain HTTP client asks.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const RULES: &str =
    "p, viewer, *, orders, read\np, viewer, *, /v1/orders/{id}, read\np, banned, *, orders, *, deny\n";
pub(crate) const EVALUATION: &str = "/access/v1/evaluation";
pub(crate) const EVALUATIONS: &str = "/access/v1/evaluations";
pub(crate) const ACTIONS: &str = "/access/v1/search/action";
pub(crate) const RESOURCES: &str = "/access/v1/search/resource";
pub(crate) const SUBJECTS: &str = "/access/v1/search/subject";

/// A server, an API with rules, and the service that asks.
struct Scene {
    server: TestServer,
    orders: RegisteredApi,
    service: Registered,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let orders = server.admin.api("https://orders.test").await;
        let role = json!({ "name": "banned", "description": "May nothing." });
        server.admin.post(&format!("/apis/{}/roles", orders.id), &role).await;
        server.admin.activate(&orders, RULES).await;
        let service = server.admin.guard_client(&orders).await;
        Self { server, orders, service }
    }

    async fn ask_as(&self, client: &Registered, path: &str, document: &Value) -> Answer {
        let secret = client.secret.as_deref().unwrap();
        let request = self.server.machine.request(Method::POST, path).json(document);
        Answer::to(request.header("authorization", basic(&client.id, secret))).await
    }

    /// The answer, without the name of the decision: that one never comes again.
    async fn ask(&self, subject: Value, action: &str, resource: Value) -> Value {
        let document = json!({ "subject": subject, "action": { "name": action }, "resource": resource });
        let answer = self.ask_as(&self.service, EVALUATION, &document).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut answer = answer.json();
        let id = answer["context"].as_object_mut().unwrap().remove("decision_id").unwrap();
        assert!(id.as_str().is_some_and(|id| id.ends_with("-1")), "{id}");
        answer
    }
}

/// The last part of the type of a problem.
fn kind(refused: &Answer) -> String {
    let whole = refused.member("type");
    whole.rsplit([':', '/', '#']).next().unwrap_or_default().to_owned()
}

fn orders() -> Value {
    json!({ "type": "orders", "id": "17" })
}

#[rstest]
#[tokio::test]
async fn users_clients_and_roles_are_judged_by_what_they_hold_now(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let admin = &scene.server.admin;
    let ada = admin.user("ada").await;
    let user = || json!({ "type": "user", "id": ada.sub });
    let nobody = scene.ask(json!({ "type": "user", "id": "nobody" }), "read", orders()).await;
    assert_eq!(scene.ask(user(), "read", orders()).await, nobody, "unknown and without a role: the same");
    assert_eq!(nobody["decision"], false);

    admin.assign(&scene.orders, "viewer", &ada.id).await;
    let allowed = scene.ask(user(), "read", orders()).await;
    let context = json!({ "reason": "a rule allows it", "rule_line": 1, "revision": 2 });
    assert_eq!(allowed, json!({ "decision": true, "context": context }));
    assert_eq!(scene.ask(user(), "delete", orders()).await, nobody, "another action");
    let path = |id: &str| json!({ "type": "object", "id": id });
    assert_eq!(scene.ask(user(), "read", path("/v1/orders/17")).await["context"]["rule_line"], 2);
    for hostile in
        ["/v1/orders/17/../../stock", "/v1/orders/", "/v1/orders/a\u{0}b", "/V1/orders/17", "orders\n"]
    {
        assert_eq!(scene.ask(user(), "read", path(hostile)).await["decision"], false, "{hostile:?}");
    }

    let banned = admin.assign(&scene.orders, "banned", &ada.id).await;
    let denied = scene.ask(user(), "read", orders()).await;
    assert_eq!(denied["decision"], false);
    assert_eq!(denied["context"]["reason"], "a rule denies it");
    let taken =
        admin.request(Method::DELETE, &format!("/apis/{}/assignments/{banned}", scene.orders.id)).await;
    assert_eq!(Answer::to(taken).await.status, 204);
    assert_eq!(scene.ask(user(), "read", orders()).await["decision"], true);
    admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    assert_eq!(scene.ask(user(), "read", orders()).await, nobody, "switched off");

    let machine = admin.machine_client(&[&scene.orders]).await;
    admin.assign(&scene.orders, "viewer", &machine.id).await;
    let client = json!({ "type": "client", "id": machine.id });
    assert_eq!(scene.ask(client, "read", orders()).await["decision"], true);
    let role = json!({ "type": "role", "id": "viewer" });
    assert_eq!(scene.ask(role, "read", orders()).await["decision"], true);
}

#[rstest]
#[tokio::test]
async fn a_rule_with_a_condition_does_not_allow_and_the_answer_says_what_it_asks_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let rules = "p, viewer, *, orders, read, allow, acr=phrh|phr, dpop\np, banned, *, orders, *, deny\n\
                 p, viewer, *, stock, read\n";
    scene.server.admin.activate(&scene.orders, rules).await;
    let viewer = json!({ "type": "role", "id": "viewer", "properties": { "acr": "phrh" } });
    let asked = scene.ask(viewer.clone(), "read", orders()).await;
    let context = json!({
        "reason": "a rule allows it under a condition, and nothing shows that it is met", "rule_line": 1, "revision": 3,
        "condition": { "acr": ["phrh", "phr"], "dpop": true },
    });
    assert_eq!(asked, json!({ "decision": false, "context": context }));
    let search = json!({ "subject": { "type": "role" }, "action": { "name": "read" }, "resource": orders() });
    let found = scene.ask_as(&scene.service, SUBJECTS, &search).await.json();
    assert_eq!(found["results"], json!([]), "what comes back would be allowed if it were asked about");
    let stock = json!({ "type": "stock", "id": "1" });
    assert_eq!(scene.ask(viewer, "read", stock).await["decision"], true);
}

#[rstest]
#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_ends_where_it_is_told_to(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let batch = |semantic: &str| {
        json!({
            "subject": { "type": "role", "id": "viewer" },
            "resource": orders(),
            "evaluations": [
                { "action": { "name": "read" } }, { "action": { "name": "delete" } },
                { "action": { "name": "read" }, "subject": { "type": "role", "id": "banned" } },
                { "action": { "name": "read" } },
            ],
            "options": { "evaluations_semantic": semantic },
        })
    };
    for (semantic, decisions) in [
        ("execute_all", &[true, false, false, true][..]),
        ("deny_on_first_deny", &[true, false]),
        ("permit_on_first_permit", &[true]),
    ] {
        let answer = scene.ask_as(&scene.service, EVALUATIONS, &batch(semantic)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listed = answer.json()["evaluations"].as_array().cloned().unwrap();
        let listed: Vec<_> = listed.iter().map(|one| one["decision"].as_bool().unwrap()).collect();
        assert_eq!(listed, decisions, "{semantic}");
    }
    let refused = scene.ask_as(&scene.service, EVALUATIONS, &batch("whatever")).await;
    assert_eq!(refused.status, 400);
    let one = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    let alone = scene.ask_as(&scene.service, EVALUATIONS, &one).await.json();
    assert_eq!(alone["decision"], true, "without a list it is one question: {alone}");
}

#[rstest]
#[tokio::test]
async fn a_service_asks_about_its_own_api_and_nobody_else_asks_at_all(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let admin = &scene.server.admin;
    let document = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    let stock = admin.api("https://stock.test").await;
    admin.activate(&stock, "p, viewer, *, stock, read\n").await;
    let other = admin.guard_client(&stock).await;
    let foreign = scene.ask_as(&other, EVALUATION, &document).await;
    assert_eq!(foreign.json()["decision"], false, "its own rules decide, not those of orders");
    let machine = admin.machine_client(&[&scene.orders]).await;
    let refused = scene.ask_as(&machine, EVALUATION, &document).await;
    assert_eq!((refused.status.as_u16(), kind(&refused)), (403, "serves-nothing".to_owned()));
    let wrong = Registered { secret: Some("pck_wrong".to_owned()), ..scene.service.clone() };
    for path in [EVALUATION, EVALUATIONS, ACTIONS, RESOURCES, SUBJECTS] {
        let refused = scene.ask_as(&wrong, path, &document).await;
        assert_eq!((refused.status.as_u16(), refused.error()), (401, "invalid_client".to_owned()));
        assert!(refused.header("www-authenticate").starts_with("Basic"), "{path}");
        let anonymous = scene.server.machine.request(Method::POST, path).json(&document);
        assert_eq!(Answer::to(anonymous).await.status, 401);
    }
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_place(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let whole = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    for member in ["subject", "action", "resource"] {
        let mut document = whole.clone();
        document.as_object_mut().unwrap().remove(member);
        let refused = scene.ask_as(&scene.service, EVALUATION, &document).await;
        assert_eq!((refused.status.as_u16(), kind(&refused)), (400, "malformed".to_owned()));
        assert!(refused.text().contains(&format!("/{member}")), "{}", refused.text());
    }
    let text = scene.server.machine.request(Method::POST, EVALUATION).body(whole.to_string());
    let secret = scene.service.secret.as_deref().unwrap();
    let text = text.header("authorization", basic(&scene.service.id, secret));
    let text = Answer::to(text).await;
    let refused = (text.status.as_u16(), text.problem());
    assert_eq!(refused, (415, "unsupported-media-type".to_owned()), "it does not say that it is JSON");
    assert_eq!(scene.server.machine.get(EVALUATION).await.status, 405);
}

#[rstest]
#[tokio::test]
async fn the_metadata_names_what_is_served_and_the_caller_its_requests(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let issuer = &scene.server.issuer;
    let answer = scene.server.machine.get("/.well-known/authzen-configuration").await;
    let described = json!({
        "policy_decision_point": issuer,
        "access_evaluation_endpoint": format!("{issuer}{EVALUATION}"),
        "access_evaluations_endpoint": format!("{issuer}{EVALUATIONS}"),
        "search_subject_endpoint": format!("{issuer}{SUBJECTS}"),
        "search_resource_endpoint": format!("{issuer}{RESOURCES}"),
        "search_action_endpoint": format!("{issuer}{ACTIONS}"),
    });
    assert_eq!(answer.json(), described);
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    let tag = answer.header("etag");
    for (known, status) in [(tag, 304), (&*format!("\"x\", W/{tag}"), 304), ("*", 304), ("\"x\"", 200)] {
        let path = "/.well-known/authzen-configuration";
        let asked = scene.server.machine.request(Method::GET, path).header("if-none-match", known);
        let again = Answer::to(asked).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (status, tag), "{known}");
        assert_eq!(again.header("cache-control"), "public, max-age=3600", "{known}");
        assert_eq!(again.text().is_empty(), status == 304, "{known}: {}", again.text());
    }
    let document = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    let request = scene.server.machine.request(Method::POST, EVALUATION).json(&document);
    let secret = scene.service.secret.as_deref().unwrap();
    let request = request.header("authorization", basic(&scene.service.id, secret));
    let named = Answer::to(request.header("x-request-id", "bfe9eb29-ab87")).await;
    assert_eq!((named.header("x-request-id"), named.header("cache-control")), ("bfe9eb29-ab87", "no-store"));
    for (path, status, credentials) in
        [(EVALUATION, 400, basic(&scene.service.id, secret)), (SUBJECTS, 401, basic(&scene.service.id, "x"))]
    {
        let request = scene.server.machine.request(Method::POST, path).json(&json!({}));
        let request = request.header("authorization", credentials).header("x-request-id", "of the caller");
        let refused = Answer::to(request).await;
        assert_eq!((refused.status.as_u16(), refused.header("x-request-id")), (status, "of the caller"));
    }
}

#[rstest]
#[tokio::test]
async fn a_service_that_goes_on_with_a_wrong_secret_has_to_wait(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.client_failures_per_address_per_minute = 3;
    })
    .await;
    let orders = server.admin.api("https://orders.test").await;
    let service = server.admin.guard_client(&orders).await;
    let document = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" },
        "resource": { "type": "orders", "id": "17" },
    });
    let ask = async |secret: &str, path: &str| {
        let request = server.machine.request(Method::POST, path).json(&document);
        Answer::to(request.header("authorization", basic(&service.id, secret))).await
    };
    for path in [EVALUATION, EVALUATIONS, ACTIONS] {
        assert_eq!(ask("pck_wrong", path).await.status, 401, "{path}");
    }
    for path in [EVALUATION, EVALUATIONS, ACTIONS, RESOURCES, SUBJECTS] {
        let refused = ask("pck_wrong", path).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (429, "invalid_client"), "{path}");
        assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|secs| secs > 0), "{path}");
        assert!(!refused.text().contains("decision"), "{path}: {}", refused.text());
    }
    server.wait(std::time::Duration::from_mins(1));
    let secret = service.secret.as_deref().unwrap();
    assert_eq!(ask(secret, EVALUATION).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn the_name_of_a_decision_leads_to_its_line_in_the_log(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let role = |id: &str| json!({ "type": "role", "id": id });
    let one = json!({ "subject": role("viewer"), "action": { "name": "read" }, "resource": orders() });
    let ids = async |path: &str, document: &Value| {
        let answer = scene.ask_as(&scene.service, path, document).await;
        let (whole, name) = (answer.json(), answer.header("x-request-id").to_owned());
        let listed = whole["evaluations"].as_array().cloned().unwrap_or_else(|| vec![whole]);
        let id = |one: &Value| one["context"]["decision_id"].as_str().unwrap().to_owned();
        (name, listed.iter().map(id).collect::<Vec<_>>())
    };
    let line = |id: &str| scene.server.log.lines_with(&format!("decision.id=\"{id}")).concat();
    for path in [EVALUATION, EVALUATIONS] {
        let (name, one) = ids(path, &one).await;
        assert_eq!(one, [format!("{name}-1")], "{path}");
        let logged = line(&one[0]);
        assert!(logged.contains(&format!("request.id=\"{name}\"")), "{path}: {logged}");
        assert!(logged.contains(&format!("decision.id=\"{name}-1\" decision.allowed=1")), "{path}: {logged}");
    }
    let batch = json!({
        "action": { "name": "read" }, "resource": orders(),
        "evaluations": [{ "subject": role("viewer") }, { "subject": role("banned") }, { "subject": role("editor") }],
    });
    let (name, several) = ids(EVALUATIONS, &batch).await;
    assert_eq!(several, [1, 2, 3].map(|number| format!("{name}-{number}")));
    let logged = line(&several[0]);
    assert!(logged.contains(&format!("\"{name}-1..{name}-3\" decision.allowed=1")), "{logged}");
    let request = scene.server.machine.request(Method::POST, EVALUATION).json(&one);
    let secret = scene.service.secret.as_deref().unwrap();
    let request = request.header("authorization", basic(&scene.service.id, secret));
    let theirs = Answer::to(request.header("x-request-id", "theirs")).await;
    let id = theirs.json()["context"]["decision_id"].as_str().unwrap().to_owned();
    assert!(line(&id).contains("decision.allowed=1"), "whatever the caller calls its request: {id}");
}

#[rstest]
#[tokio::test]
async fn decisions_are_logged_for_debugging_only_and_refusals_for_everybody(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let (role, action) = (json!({ "type": "role", "id": "viewer" }), json!({ "name": "read" }));
    let lines = |path: &str| scene.server.log.lines_with(&format!("http.route=\"{path}\""));
    for (path, document) in [
        (EVALUATION, json!({ "subject": role, "action": action, "resource": orders() })),
        (EVALUATIONS, json!({ "subject": role, "action": action, "resource": orders() })),
        (ACTIONS, json!({ "subject": role, "resource": orders() })),
        (RESOURCES, json!({ "subject": role, "action": action, "resource": { "type": "object" } })),
        (SUBJECTS, json!({ "subject": { "type": "role" }, "action": action, "resource": orders() })),
    ] {
        let answer = scene.ask_as(&scene.service, path, &document).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let good = lines(path);
        assert!(!good.is_empty() && good.iter().all(|line| line.contains(" DEBUG ")), "{path}: {good:?}");
        assert_eq!(scene.ask_as(&scene.service, path, &json!({})).await.status, 400, "{path}");
        let refused = lines(path).into_iter().filter(|line| line.contains("http.status=400"));
        let refused: Vec<_> = refused.collect();
        assert!(!refused.is_empty() && refused.iter().all(|line| line.contains(" INFO ")), "{refused:?}");
    }
}
