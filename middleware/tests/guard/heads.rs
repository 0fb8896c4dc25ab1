//! Parameters of the path, and headers, as a client sends them.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::{Method, Request, Response, StatusCode};
use portcullis_guard::{
    BuildError, Duplicates, Field, FieldFault, Guard, GuardExt, GuardedRouter, InputError, InputPolicy,
    InputReport, RouteFault, RouteTable, authenticated, public,
};
use serde_json::json;
use tower::{Layer, service_fn};

use crate::outages::Log;
use crate::service::{Answer, fetch, guard_of, request, send};
use crate::signer::Signer;

fn numbered() -> InputPolicy {
    InputPolicy::strict().path("id", Field::integer(1..=999))
}

async fn guard(signer: &Signer, input: InputPolicy) -> Guard {
    guard_of(signer).input(input).build().await.unwrap()
}

fn orders() -> GuardedRouter {
    let show = get(async |Path(id): Path<String>| id);
    GuardedRouter::new()
        .route("/orders/{id}", show.clone().guard(authenticated()))
        .route("/users/{user}", show.guard(authenticated()))
        .route("/me", get(async |request: Request<Body>| told(&request)).guard(authenticated()))
}

/// What a handler is told of a request.
fn told(request: &Request<Body>) -> String {
    let report = request.extensions().get::<InputReport>().cloned().unwrap_or_default();
    let told = report.reported.iter().map(|field| format!("{} {}", field.pointer, field.rule));
    told.collect::<Vec<_>>().join(", ")
}

fn assert_refused(answer: &Answer, status: u16, code: &str, place: &serde_json::Value) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.problem()["errors"], json!([place]));
}

#[tokio::test]
async fn a_parameter_is_held_to_its_kind_wherever_a_route_has_it() {
    let signer = Signer::eddsa("a");
    let app = orders().guarded_by(&guard(&signer, numbered()).await);
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&app, "/orders/7", &token).await.body, "7");
    let out = json!({ "parameter": "id", "kind": "integer", "rule": "range" });
    assert_refused(&fetch(&app, "/orders/1000", &token).await, 422, "invalid_path", &out);
    let secret = fetch(&app, "/orders/hunter%202", &token).await;
    let none = json!({ "parameter": "id", "kind": "integer", "rule": "number" });
    assert_refused(&secret, 422, "invalid_path", &none);
    assert!(!secret.body.contains("hunter"));
    // Routes without it are as they were, and a path with two readings is refused before anything is read from it.
    assert_eq!(fetch(&app, "/users/1000", &token).await.body, "1000");
    let twice = fetch(&app, "/orders/%37", &token).await;
    assert_eq!((twice.status, twice.problem().get("errors")), (StatusCode::BAD_REQUEST, None));
    assert_eq!(
        fetch(&app, "/orders/1000", "bad").await.status,
        StatusCode::UNAUTHORIZED,
        "who asks comes first"
    );
}

#[tokio::test]
async fn what_a_handler_decodes_is_what_was_checked() {
    let signer = Signer::eddsa("a");
    let short = InputPolicy::strict().path("id", Field::line().length(..=3));
    let app = orders().guarded_by(&guard(&signer, short).await);
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&app, "/orders/%C3%A4%20b", &token).await.body, "ä b");
    let long = json!({ "parameter": "id", "kind": "line", "rule": "too-long" });
    assert_refused(&fetch(&app, "/orders/%C3%A4%20bc", &token).await, 422, "invalid_path", &long);
    let line = json!({ "parameter": "id", "kind": "line", "rule": "line-break" });
    assert_refused(&fetch(&app, "/orders/a%E2%80%A8", &token).await, 422, "invalid_path", &line);
}

#[tokio::test]
async fn parameters_of_routers_around_a_route_are_its_own() {
    let signer = Signer::eddsa("a");
    let guard = guard(&signer, numbered().path("tenant", Field::one_of(["acme"]))).await;
    let token = signer.token(&json!({}));
    let show = get(async |Path((tenant, id)): Path<(String, String)>| format!("{tenant} {id}"));
    let inner = || GuardedRouter::new().route("/orders/{id}", show.clone().guard(authenticated()));
    let nested = Router::new().nest("/of/{tenant}", inner().guarded_by(&guard));
    let around = Router::new().route("/of/{tenant}/orders/{id}", show.clone()).layer(guard.clone());
    let own = guard.require(authenticated()).input(&numbered().build().unwrap());
    let owned =
        Router::new().nest("/of/{tenant}", Router::new().route("/orders/{id}", show.clone().layer(own)));
    for app in [&nested, &around, &owned] {
        assert_eq!(fetch(app, "/of/acme/orders/7", &token).await.body, "acme 7");
        let out = json!({ "parameter": "id", "kind": "integer", "rule": "range" });
        assert_refused(&fetch(app, "/of/acme/orders/0", &token).await, 422, "invalid_path", &out);
    }
    for app in [&nested, &around] {
        let other = json!({ "parameter": "tenant", "kind": "enum", "rule": "choice" });
        assert_refused(&fetch(app, "/of/other/orders/7", &token).await, 422, "invalid_path", &other);
    }
}

#[tokio::test]
async fn without_a_template_nobody_passes() {
    let signer = Signer::eddsa("a");
    let guard = guard(&signer, numbered()).await;
    let token = signer.token(&json!({}));
    let plain = service_fn(async |_: Request<portcullis_guard::Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let fallback = Router::new().fallback(async || "any").layer(guard.require(public()));
    let nested = Router::new().nest_service("/orders/{id}", guard.layer(plain));
    let unrouted = Router::new().fallback_service(guard.layer(plain));
    let (log, _set) = Log::begin();
    // What a service takes from the rest of a path that it is nested at, nobody knows.
    for (app, path) in [(&fallback, "/orders/7"), (&nested, "/orders/7/lines"), (&unrouted, "/orders/7")] {
        let answer = fetch(app, path, &token).await;
        assert_refused(&answer, 500, "internal", &json!({ "rule": "no-template" }));
    }
    let told =
        || log.lines().iter().filter(|line| line.contains("ERROR") && line.contains("no-template")).count();
    assert_eq!(told(), 3, "{:?}", log.lines());
    // Whoever asks again and again does not fill the log.
    for _ in 1..100 {
        fetch(&fallback, "/orders/7", "").await;
    }
    assert_eq!(told(), 6, "the second, fourth, and so on until the 64th");
    assert_eq!(fetch(&nested, "/orders/0", &token).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let strict = InputPolicy::strict().build().unwrap();
    let fallback = Router::new().fallback(async || "any").layer(guard.require(public()).input(&strict));
    assert_eq!(fetch(&fallback, "/orders/7", &token).await.body, "any");
}

#[tokio::test]
async fn a_route_has_what_its_own_policy_declares() {
    let signer = Signer::eddsa("a");
    let guard = guard(&signer, InputPolicy::strict()).await;
    let token = signer.token(&json!({}));
    let own = numbered().build().unwrap();
    let (log, _set) = Log::begin();
    let show = get(async |Path(id): Path<String>| id);
    let app = GuardedRouter::new()
        .route("/orders/{id}", show.clone().guard(authenticated()).input(&own))
        .route("/users/{user}", show.clone().guard(authenticated()).input(&own))
        .route("/open/{id}", show.guard(authenticated()))
        .guarded_by(&guard);
    let start = log.lines();
    assert!(start.len() == 1 && start[0].contains("/users/{user}"), "{start:?}");
    assert_eq!(fetch(&app, "/orders/7", &token).await.body, "7");
    assert_eq!(fetch(&app, "/orders/0", &token).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fetch(&app, "/open/0", &token).await.body, "0", "the policy is that of the other routes");
    let missing = json!({ "parameter": "id", "rule": "no-parameter" });
    assert_refused(&fetch(&app, "/users/7", &token).await, 500, "internal", &missing);
    let table = RouteTable::new().route("/users/{user}", public()).input(&own);
    match table.guarded_by(&guard) {
        Err(RouteFault::Parameter { path, name }) => {
            assert_eq!((path.as_str(), name.as_str()), ("/users/{user}", "id"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_tells_parameters_apart_by_its_own_templates() {
    let signer = Signer::eddsa("a");
    let guard = guard(&signer, numbered().path("rest", Field::pattern("[a-z/ ]+"))).await;
    let echo = service_fn(async |request: Request<portcullis_guard::Body>| {
        Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
    });
    let table = RouteTable::new()
        .methods([Method::GET], "/orders/{id}", authenticated())
        .route("/files/{*rest}", public())
        .guarded_by(&guard)
        .unwrap();
    let token = signer.token(&json!({}));
    let service = table.layer(echo);
    // A router around the table knows another template, which says nothing of what the service does.
    let around = Router::new().route_service("/{*id}", table.layer(echo));
    let bare = Router::new().fallback_service(service);
    for app in [&bare, &around] {
        assert_eq!(fetch(app, "/orders/7", &token).await.body, "/orders/7");
        let out = json!({ "parameter": "id", "kind": "integer", "rule": "range" });
        assert_refused(&fetch(app, "/orders/0", &token).await, 422, "invalid_path", &out);
        assert_eq!(fetch(app, "/files/a%20b/c", &token).await.body, "/files/a%20b/c");
        let other = json!({ "parameter": "rest", "kind": "pattern", "rule": "pattern" });
        assert_refused(&fetch(app, "/files/a/B", &token).await, 422, "invalid_path", &other);
        assert_eq!(fetch(app, "/unlisted/0", &token).await.status, StatusCode::FORBIDDEN);
    }
}

async fn with_headers(input: InputPolicy, lines: &[(&str, &[u8])]) -> Answer {
    let signer = Signer::eddsa("a");
    let app = orders().guarded_by(&guard(&signer, input).await);
    let asked =
        lines.iter().fold(request("GET", "/me", &signer.token(&json!({}))), |asked, (name, value)| {
            asked.header(*name, *value)
        });
    send(&app, asked.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_header_is_held_to_its_kind() {
    let policy = || InputPolicy::strict().header("X-Tenant", Field::ident().length(..=8));
    let good: [&[(&str, &[u8])]; 3] = [&[], &[("x-tenant", b"acme")], &[("x-other", b"\xff")]];
    for lines in good {
        assert_eq!(with_headers(policy(), lines).await.status, StatusCode::OK, "{lines:?}");
    }
    let place = |rule: &str| json!({ "header": "x-tenant", "kind": "ident", "rule": rule });
    for (lines, status, rule) in [
        ([("x-tenant", b"hunter 2".as_slice())].as_slice(), 422, "identifier"),
        (&[("x-tenant", b"hunter222")], 422, "too-long"),
        (&[("x-tenant", b"hunter\xff")], 400, "encoding"),
        (&[("x-tenant", b"hunter"), ("X-Tenant", b"hunter")], 400, "duplicate-header"),
    ] {
        let answer = with_headers(policy(), lines).await;
        assert_refused(&answer, status, "invalid_header", &place(rule));
        assert!(!answer.body.contains("hunter"), "{answer:?}");
    }
    let list = policy().header_duplicates(Duplicates::Allow);
    assert_eq!(with_headers(list, &[("x-tenant", b"a"), ("x-tenant", b"b")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_header_that_has_to_be_there_is_missed() {
    let policy = || InputPolicy::strict().required_header("x-tenant", Field::ident());
    assert_eq!(with_headers(policy(), &[("x-tenant", b"acme")]).await.status, StatusCode::OK);
    let missing = json!({ "header": "x-tenant", "kind": "ident", "rule": "missing" });
    assert_refused(&with_headers(policy(), &[]).await, 422, "invalid_header", &missing);
}

#[tokio::test]
async fn what_only_reports_passes_and_is_told_and_counted() {
    let signer = Signer::eddsa("a");
    let policy = InputPolicy::strict()
        .path("id", Field::integer(1..=9).report())
        .header("x-tenant", Field::ident().report())
        .query("page", Field::integer(1..=9).report());
    let guard = guard(&signer, policy).await;
    let show = get(async |request: Request<Body>| told(&request));
    let app = GuardedRouter::new().route("/orders/{id}", show.guard(authenticated())).guarded_by(&guard);
    let token = signer.token(&json!({}));
    let asked = request("GET", "/orders/x?page=0", &token).header("x-tenant", "a b").body(Body::empty());
    let (log, _set) = Log::begin();
    assert_eq!(send(&app, asked.unwrap()).await.body, "{id} number, x-tenant: identifier, ?page range");
    let lines = log.lines();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.contains("only reports")), "{lines:?}");
    for (line, (field, kind, rule)) in lines.iter().zip([
        ("{id}", "integer", "number"),
        ("x-tenant:", "ident", "identifier"),
        ("?page", "integer", "range"),
    ]) {
        let said = [("field", field), ("kind", kind), ("rule", rule)];
        let said = said.map(|(name, value)| format!("input.{name}=\"{value}\""));
        assert!(said.iter().all(|said| line.contains(said)), "{said:?}: {line}");
        assert!(!line.contains("a b"), "where and why and not what: {line}");
    }
    let counts: Vec<_> =
        guard.status().input_reports.into_iter().map(|field| (field.field, field.count)).collect();
    let one = |field: &str| (field.to_owned(), 1);
    assert_eq!(counts, [one("?page"), one("{id}"), one("x-tenant:")]);
}

#[tokio::test]
async fn what_would_change_them_is_not_built() {
    let signer = Signer::eddsa("a");
    for (policy, name) in [
        (InputPolicy::strict().path("id", Field::ident().rewrite()), "{id}"),
        (InputPolicy::strict().header("X-Name", Field::line().trimmed().rewrite()), "x-name:"),
    ] {
        match guard_of(&signer).input(policy).build().await {
            Err(BuildError::Input(InputError::Field { place, fault: FieldFault::Unchanging })) => {
                assert_eq!(place, name);
            }
            other => panic!("{other:?}"),
        }
    }
}
