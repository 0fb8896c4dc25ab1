//! Searches for services that have no guard of ours: `AuthZEN`, as a plain HTTP client asks.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const RULES: &str = "p, viewer, *, orders, read\np, viewer, *, /v1/orders/{id}, read\np, editor, *, orders, write\n\
                     g, editor, viewer, *\np, banned, *, orders, *, deny\n";
const EVALUATION: &str = "/access/v1/evaluation";
const ACTIONS: &str = "/access/v1/search/action";
const RESOURCES: &str = "/access/v1/search/resource";
const SUBJECTS: &str = "/access/v1/search/subject";

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

    async fn ask(&self, path: &str, document: &Value) -> Value {
        let answer = self.ask_as(&self.service, path, document).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    /// Every result, `limit` at a time. Each is asked about again, and allowed.
    async fn walk(&self, path: &str, document: &Value, limit: u64) -> Vec<Value> {
        let open = path.rsplit('/').next().unwrap_or_default();
        let (mut results, mut token) = (Vec::new(), String::new());
        loop {
            let document = with(document, "page", json!({ "limit": limit, "token": token }));
            let answer = self.ask(path, &document).await;
            let page = answer.pointer("/results").and_then(Value::as_array).cloned().unwrap();
            assert_eq!(answer.pointer("/page/count"), Some(&json!(page.len())));
            assert!(page.len() as u64 <= limit);
            for result in &page {
                let question = with(&document, open, result.clone());
                let decided = self.ask(EVALUATION, &question).await;
                assert_eq!(decided.pointer("/decision"), Some(&json!(true)), "{question}");
            }
            results.extend(page);
            token = answer.pointer("/page/next_token").and_then(Value::as_str).unwrap().to_owned();
            if token.is_empty() {
                return results;
            }
        }
    }
}

/// The document with another value for a member.
fn with(document: &Value, member: &str, value: Value) -> Value {
    let mut document = document.clone();
    document.as_object_mut().unwrap().insert(member.to_owned(), value);
    document
}

fn kind(refused: &Answer) -> String {
    refused.member("type").rsplit(':').next().unwrap_or_default().to_owned()
}

fn orders() -> Value {
    json!({ "type": "orders", "id": "17" })
}

fn readers(kind: &str) -> Value {
    json!({ "subject": { "type": kind }, "action": { "name": "read" }, "resource": orders() })
}

fn user(sub: &str) -> Value {
    json!({ "type": "user", "id": sub })
}

#[rstest]
#[tokio::test]
async fn who_may_do_something_is_found_by_what_everybody_holds_now(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let admin = &scene.server.admin;
    assert_eq!(scene.walk(SUBJECTS, &readers("user"), 10).await, [json!(null); 0]);
    let (ada, bob, eve) = (admin.user("ada").await, admin.user("bob").await, admin.user("eve").await);
    admin.assign(&scene.orders, "viewer", &ada.id).await;
    admin.assign(&scene.orders, "editor", &bob.id).await;
    admin.assign(&scene.orders, "viewer", &eve.id).await;
    admin.assign(&scene.orders, "banned", &eve.id).await;
    let mut expected = vec![user(&ada.sub), user(&bob.sub)];
    expected.sort_by_key(|one| one["id"].as_str().unwrap().to_owned());
    for limit in [1, 2, 10] {
        assert_eq!(scene.walk(SUBJECTS, &readers("user"), limit).await, expected, "{limit} at a time");
    }
    let mut named = readers("user");
    named["subject"]["id"] = json!("ignored");
    assert_eq!(scene.walk(SUBJECTS, &named, 10).await, expected, "the id of what is looked for is ignored");

    let machine = admin.machine_client(&[&scene.orders]).await;
    admin.assign(&scene.orders, "viewer", &machine.id).await;
    let clients = [json!({ "type": "client", "id": machine.id })];
    assert_eq!(scene.walk(SUBJECTS, &readers("client"), 10).await, clients);
    let roles = ["editor", "viewer"].map(|role| json!({ "type": "role", "id": role }));
    assert_eq!(scene.walk(SUBJECTS, &readers("role"), 1).await, roles);

    admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    admin.post(&format!("/clients/{}/disable", machine.id), &json!({})).await;
    assert_eq!(scene.walk(SUBJECTS, &readers("user"), 10).await, [user(&bob.sub)], "ada is switched off");
    assert_eq!(scene.walk(SUBJECTS, &readers("client"), 10).await, [json!(null); 0]);
    admin.activate(&scene.orders, &format!("p, user:{}, *, orders, read\n", eve.sub)).await;
    let named = scene.walk(SUBJECTS, &readers("user"), 10).await;
    assert_eq!(named, [user(&eve.sub)], "by the new rules, and by a rule that names them");
}

#[rstest]
#[tokio::test]
async fn what_somebody_may_do_and_with_what_is_found(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let admin = &scene.server.admin;
    let ada = admin.user("ada").await;
    admin.assign(&scene.orders, "viewer", &ada.id).await;
    let within = |subject: Value, kind: &str| json!({ "subject": subject, "action": { "name": "read" }, "resource": { "type": kind } });
    let object = |id: &str| json!({ "type": "object", "id": id });
    for subject in [user(&ada.sub), json!({ "type": "role", "id": "editor" })] {
        for limit in [1, 100] {
            let found = scene.walk(RESOURCES, &within(subject.clone(), "object"), limit).await;
            assert_eq!(found, [object("/v1/orders/{id}"), object("orders")]);
        }
        let every = scene.walk(RESOURCES, &within(subject.clone(), "orders"), 1).await;
        assert_eq!(every, [json!({ "type": "orders", "id": "*" })], "each of that type");
        assert_eq!(scene.walk(RESOURCES, &within(subject, "stock"), 1).await, [json!(null); 0]);
    }
    let on = |subject: Value, resource: Value| json!({ "subject": subject, "resource": resource });
    let name = |name: &str| json!({ "name": name });
    assert_eq!(scene.walk(ACTIONS, &on(user(&ada.sub), orders()), 10).await, [name("read")]);
    let editor = || json!({ "type": "role", "id": "editor" });
    assert_eq!(scene.walk(ACTIONS, &on(editor(), orders()), 1).await, [name("read"), name("write")]);
    let path = object("/v1/orders/17");
    assert_eq!(scene.walk(ACTIONS, &on(editor(), path), 1).await, [name("read")]);
    for hostile in
        ["/v1/orders/17/../../stock", "/v1/orders/..", "/v1/orders/", "/v1/orders/a\u{0}b", "orders\n"]
    {
        let nothing = scene.walk(ACTIONS, &on(editor(), object(hostile)), 1).await;
        assert_eq!(nothing, [json!(null); 0], "{hostile:?}");
    }

    // Nobody is told apart by what is not found: unknown, without a role, switched off.
    let unknown = scene.ask(ACTIONS, &on(user("nobody"), orders())).await;
    assert_eq!(unknown["results"], json!([]));
    let eve = admin.user("eve").await;
    assert_eq!(scene.ask(ACTIONS, &on(user(&eve.sub), orders())).await, unknown);
    admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    assert_eq!(scene.ask(ACTIONS, &on(user(&ada.sub), orders())).await, unknown);
    let off = scene.ask(RESOURCES, &within(user(&ada.sub), "object")).await;
    assert_eq!(off, scene.ask(RESOURCES, &within(user("nobody"), "object")).await);
}

#[rstest]
#[tokio::test]
async fn a_service_finds_nothing_of_another_api(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let admin = &scene.server.admin;
    let ada = admin.user("ada").await;
    admin.assign(&scene.orders, "viewer", &ada.id).await;
    let stock = admin.api("https://stock.test").await;
    admin.activate(&stock, "p, keeper, *, shelves, count\n").await;
    let other = admin.guard_client(&stock).await;
    let subject = user(&ada.sub);
    let read = json!({ "name": "read" });
    let objects = json!({ "subject": subject, "action": read, "resource": { "type": "object" } });
    let actions = json!({ "subject": { "type": "role", "id": "viewer" }, "resource": orders() });
    let searches =
        [(SUBJECTS, readers("user")), (SUBJECTS, readers("role")), (RESOURCES, objects), (ACTIONS, actions)];
    let machine = admin.machine_client(&[&scene.orders]).await;
    for (path, document) in &searches {
        let own = scene.ask(path, document).await;
        assert_ne!(own["results"], json!([]), "{path}: {own}");
        let foreign = scene.ask_as(&other, path, document).await;
        assert_eq!((foreign.status.as_u16(), &foreign.json()["results"]), (200, &json!([])), "{path}");
        let refused = scene.ask_as(&machine, path, document).await;
        assert_eq!((refused.status.as_u16(), kind(&refused)), (403, "serves-nothing".to_owned()), "{path}");
    }
    // The page of one is not the page of another.
    let mut first = readers("role");
    first["page"] = json!({ "limit": 1 });
    let token = scene.ask(SUBJECTS, &first).await["page"]["next_token"].clone();
    first["page"]["token"] = token;
    assert_eq!(scene.ask_as(&other, SUBJECTS, &first).await.status, 400);
    assert_eq!(scene.ask_as(&scene.service, SUBJECTS, &first).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_search_that_cannot_be_read_is_refused_with_its_place(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let refused = async |path: &str, document: &Value, place: &str| {
        let refused = scene.ask_as(&scene.service, path, document).await;
        assert_eq!((refused.status.as_u16(), kind(&refused)), (400, "malformed".to_owned()), "{document}");
        assert_eq!(refused.json()["errors"][0]["pointer"], place, "{}", refused.text());
    };
    let whole = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    for (path, needed) in [
        (
            SUBJECTS,
            &["/subject", "/subject/type", "/action", "/action/name", "/resource", "/resource/id"][..],
        ),
        (
            RESOURCES,
            &["/subject", "/subject/type", "/subject/id", "/action/name", "/resource", "/resource/type"],
        ),
        (
            ACTIONS,
            &["/subject", "/subject/type", "/subject/id", "/resource", "/resource/type", "/resource/id"],
        ),
    ] {
        for place in needed {
            let (parent, member) = place.rsplit_once('/').unwrap();
            let mut document = whole.clone();
            document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member);
            refused(path, &document, place).await;
            if whole.pointer(place).is_some_and(Value::is_string) {
                for bad in [json!(""), json!("x".repeat(2049)), json!(17)] {
                    let mut document = whole.clone();
                    *document.pointer_mut(place).unwrap() = bad;
                    refused(path, &document, place).await;
                }
            }
        }
        for (page, place) in [
            (json!({ "limit": 0 }), "/page/limit"),
            (json!({ "limit": -1 }), "/page/limit"),
            (json!({ "limit": 1.5 }), "/page/limit"),
            (json!({ "token": 7 }), "/page/token"),
            (json!({ "token": "made up" }), "/page/token"),
        ] {
            let mut document = whole.clone();
            document["page"] = page;
            refused(path, &document, place).await;
        }
        assert_eq!(scene.server.machine.get(path).await.status, 405);
        let secret = scene.service.secret.as_deref().unwrap();
        let post = |body: String| {
            let request = scene.server.machine.request(Method::POST, path).body(body);
            request.header("authorization", basic(&scene.service.id, secret))
        };
        assert_eq!(Answer::to(post(whole.to_string())).await.status, 415, "it does not say that it is JSON");
        let broken = post("{".to_owned()).header("content-type", "application/json");
        assert_eq!(Answer::to(broken).await.status, 400);
        let huge = post(" ".repeat(1024 * 1024 + 1)).header("content-type", "application/json");
        assert_eq!(Answer::to(huge).await.status, 413);
    }
    let device = json!({ "type": "device", "id": "1" });
    let mut document = whole.clone();
    document["subject"] = device;
    refused(SUBJECTS, &document, "/subject/type").await;
    refused(ACTIONS, &document, "/subject/type").await;
}

#[rstest]
#[tokio::test]
async fn only_the_token_differs_from_page_to_page(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let mut document = readers("role");
    document["page"] = json!({ "limit": 1 });
    document["context"] = json!({ "time": "2024-10-26T01:22-07:00" });
    let token = scene.ask(SUBJECTS, &document).await["page"]["next_token"].as_str().unwrap().to_owned();
    assert!(!token.is_empty());
    document["page"] = json!({ "token": token });
    let second = scene.ask(SUBJECTS, &document).await;
    assert_eq!(second["results"], json!([{ "type": "role", "id": "viewer" }]), "the limit stays as it was");
    assert_eq!(second["page"], json!({ "next_token": "", "count": 1 }));
    for (place, other) in [
        ("/action/name", json!("write")),
        ("/resource/id", json!("18")),
        ("/subject/type", json!("user")),
        ("/context/time", json!("later")),
        ("/page", json!({ "token": token, "limit": 2 })),
    ] {
        let mut changed = document.clone();
        *changed.pointer_mut(place).unwrap() = other;
        let refused = scene.ask_as(&scene.service, SUBJECTS, &changed).await;
        assert_eq!((refused.status.as_u16(), kind(&refused)), (400, "malformed".to_owned()), "{place}");
    }
}

#[rstest]
#[tokio::test]
async fn a_policy_under_another_model_decides_and_is_not_searched(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Box::pin(Scene::on(database)).await;
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                 [policy_effect]\ne = some(where (p.eft == allow))\n\
                 [matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act";
    let policy = format!("/apis/{}/policy", scene.orders.id);
    let draft = json!({ "model": model, "rules": "p, viewer, orders, read\n" });
    let admin = &scene.server.admin;
    let saved =
        admin.request(Method::PUT, &format!("{policy}/draft")).await.header("if-match", "*").json(&draft);
    assert_eq!(Answer::to(saved).await.status, 200);
    let activation = admin.request(Method::POST, &format!("{policy}/activate")).await.header("if-match", "*");
    let activated = Answer::to(activation.json(&json!({ "message": "Another model" }))).await;
    assert_eq!(activated.status, 200, "{}", activated.text());
    let question = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" }, "resource": orders()
    });
    assert_eq!(scene.ask(EVALUATION, &question).await["decision"], true);
    for path in [ACTIONS, SUBJECTS] {
        let refused = scene.ask_as(&scene.service, path, &question).await;
        assert_eq!(
            (refused.status.as_u16(), kind(&refused)),
            (422, "model-unsupported".to_owned()),
            "{path}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_name_that_nobody_can_have_is_nobody(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Box::pin(Scene::on(database)).await;
    let reading =
        |subject: Value| json!({ "subject": subject, "action": { "name": "read" }, "resource": orders() });
    let decided = async |subject: &Value| {
        let mut answer = scene.ask(EVALUATION, &reading(subject.clone())).await;
        answer["context"].as_object_mut().unwrap().remove("decision_id");
        answer
    };
    let nobody = decided(&user("nobody")).await;
    for id in ["\u{0}", "a\u{0}b", "\u{ffff}", "' OR 1=1 --", "../admin", "%2e%2e%2f", "\n"] {
        for kind in ["user", "client", "role"] {
            let subject = json!({ "type": kind, "id": id });
            assert_eq!(decided(&subject).await, nobody, "{kind} {id:?}");
            assert_eq!(scene.ask(ACTIONS, &reading(subject)).await["results"], json!([]), "{kind} {id:?}");
        }
    }
}
