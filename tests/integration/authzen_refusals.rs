//! What `AuthZEN` refuses: each refusal in the form of a problem, under the name that the caller gave the request.

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::{Value, json};

use crate::authzen::{ACTIONS, EVALUATION, EVALUATIONS, RESOURCES, SUBJECTS};

const ENDPOINTS: [&str; 5] = [EVALUATION, EVALUATIONS, ACTIONS, RESOURCES, SUBJECTS];
const NAME: &str = "bfe9eb29-ab87";

/// The answer, which repeats the name and may not be kept.
async fn named(request: RequestBuilder) -> Answer {
    let answer = Answer::to(request.header("x-request-id", NAME)).await;
    assert_eq!(answer.header("x-request-id"), NAME, "{}: {}", answer.url, answer.text());
    assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.url);
    answer
}

async fn refused(request: RequestBuilder) -> (u16, String) {
    let answer = named(request).await;
    (answer.status.as_u16(), answer.problem())
}

fn is(status: u16, problem: &str) -> (u16, String) {
    (status, problem.to_owned())
}

#[rstest]
#[tokio::test]
async fn whatever_is_wrong_is_told_as_a_problem_under_the_name_of_the_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let service = server.admin.guard_client(&orders).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    let whole = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" },
        "resource": { "type": "orders", "id": "17" },
    });
    let credentials = basic(&service.id, service.secret.as_deref().unwrap());
    let unread = server.admin.guard_client(&orders).await;
    let post = |path: &str| {
        server.machine.request(Method::POST, path).header("authorization", &credentials).json(&whole)
    };
    for path in ENDPOINTS {
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = named(server.machine.request(method.clone(), path)).await;
            assert_eq!((answer.status.as_u16(), answer.problem()), is(405, "method-not-allowed"), "{path}");
            assert_eq!(answer.header("allow"), "POST", "{method} {path}");
        }
        let nowhere =
            [format!("{path}/"), format!("{path}/x"), path.to_uppercase().replace("/ACCESS", "/access")];
        for nowhere in nowhere {
            assert_eq!(refused(post(&nowhere)).await, is(404, "not-found"), "{nowhere}");
        }
        let large = json!({ "context": "x".repeat(1_100_000) }).to_string();
        assert_eq!(refused(post(path).body(large)).await, is(413, "too-large"), "{path}");
        let text = server.machine.request(Method::POST, path).header("authorization", &credentials);
        let text = text.body(whole.to_string());
        assert_eq!(refused(text).await, is(415, "unsupported-media-type"), "{path}");
        for unreadable in ["", "{", "[]", "{} {}", "\"x\""] {
            assert_eq!(refused(post(path).body(unreadable)).await, is(400, "malformed"), "{path}");
        }
        let as_robot = server.machine.request(Method::POST, path).json(&whole);
        let as_robot = as_robot.header("authorization", basic(&robot.id, robot.secret.as_deref().unwrap()));
        assert_eq!(refused(as_robot).await, is(403, "serves-nothing"), "{path}");
        let anonymous = named(server.machine.request(Method::POST, path).json(&whole)).await;
        assert_eq!(
            (anonymous.status.as_u16(), anonymous.error().as_str()),
            (401, "invalid_client"),
            "{path}"
        );
    }
    assert_eq!(refused(server.machine.request(Method::GET, "/access/")).await, is(404, "not-found"));
    server.app().store().close().await;
    for path in ENDPOINTS {
        let away = named(post(path)).await;
        assert_eq!((away.status.as_u16(), away.problem()), is(503, "busy"), "{path}");
        assert_eq!(away.header("retry-after"), "1", "{path}");
        let request = server.machine.request(Method::POST, path).json(&whole);
        let credentials = basic(&unread.id, unread.secret.as_deref().unwrap());
        let away = named(request.header("authorization", credentials)).await;
        let told = (away.status.as_u16(), away.error(), away.header("retry-after"));
        assert_eq!(told, (503, "temporarily_unavailable".to_owned(), "1"), "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn every_answer_of_the_server_has_a_name_and_elsewhere_it_is_ours(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let large = || "x".repeat(1_100_000);
    let request = |method: &Method, path: &str| {
        server.machine.request(method.clone(), path).header("x-request-id", NAME)
    };
    for (path, form) in [
        ("/token", "application/json"),
        ("/.well-known/nothing", "application/json"),
        ("/login", "text/html; charset=utf-8"),
        ("/nothing", "text/html; charset=utf-8"),
        ("/policies/nothing", "application/problem+json"),
        ("/policies/decisions", "application/problem+json"),
        ("/api/nothing", "application/problem+json"),
    ] {
        for (method, body, statuses) in
            [(Method::PATCH, String::new(), &[404, 405][..]), (Method::POST, large(), &[413])]
        {
            let answer = Answer::to(request(&method, path).body(body)).await;
            assert!(statuses.contains(&answer.status.as_u16()), "{path}: {}", answer.status);
            assert_eq!(answer.header("content-type"), form, "{path}");
            let name = answer.header("x-request-id");
            assert!(!name.is_empty() && name != NAME, "{path}: {name}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn everything_that_a_request_lacks_is_listed_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let service = server.admin.guard_client(&orders).await;
    let credentials = basic(&service.id, service.secret.as_deref().unwrap());
    let (bare, page) = (json!({}), json!({ "page": { "limit": 0 } }));
    let parts = json!({ "resource": {}, "action": {}, "subject": { "type": "" } });
    let batch = json!({ "action": { "name": "read" }, "evaluations": [{}, { "subject": {} }] });
    for (path, document, expected) in [
        (EVALUATION, &bare, &["/subject missing", "/action missing", "/resource missing"][..]),
        (EVALUATIONS, &bare, &["/subject missing", "/action missing", "/resource missing"]),
        (
            EVALUATION,
            &parts,
            &[
                "/subject/type malformed",
                "/subject/id missing",
                "/action/name missing",
                "/resource/type missing",
                "/resource/id missing",
            ],
        ),
        (
            EVALUATIONS,
            &batch,
            &[
                "/evaluations/0/subject missing",
                "/evaluations/0/resource missing",
                "/evaluations/1/subject/type missing",
                "/evaluations/1/subject/id missing",
                "/evaluations/1/resource missing",
            ],
        ),
        (
            SUBJECTS,
            &page,
            &["/subject missing", "/action missing", "/resource missing", "/page/limit malformed"],
        ),
        (
            SUBJECTS,
            &parts,
            &[
                "/subject/type malformed",
                "/action/name missing",
                "/resource/type missing",
                "/resource/id missing",
            ],
        ),
        (RESOURCES, &bare, &["/subject missing", "/action missing", "/resource missing"]),
        (ACTIONS, &bare, &["/subject missing", "/resource missing"]),
    ] {
        let request = server.machine.request(Method::POST, path).header("authorization", &credentials);
        let answer = named(request.json(document)).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), is(400, "malformed"), "{path}");
        let errors = answer.json()["errors"].as_array().cloned().unwrap();
        let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
        let listed: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", text(error, "pointer"), text(error, "code")))
            .collect();
        assert_eq!(listed, expected, "{path}");
        assert!(errors.iter().all(|error| !text(error, "detail").is_empty()), "{path}");
    }
}
