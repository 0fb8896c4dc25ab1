//! What is logged of a refusal, and told to the application.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{any, get, post};
use http::{Method, Request, StatusCode};
use portcullis_guard::{
    AccessDenied, Caps, Decider, Guard, GuardExt, GuardedRouter, Limits, Policy, Quota, Rejection,
    RouteTable, SharedPolicy, authenticated, rbac, scope,
};
use serde_json::json;
use tower::ServiceExt;
use tracing::Level;

use crate::outages::Log;
use crate::service::{fetch, guard_of, policy, request, send};
use crate::signer::Signer;

const RULES: &str = "p, viewer, *, orders, read";

async fn with_policy(signer: &Signer) -> Guard {
    let policy = Policy::shared(SharedPolicy::new(policy(RULES, 3)));
    guard_of(signer).policy(policy).build().await.unwrap()
}

async fn app(signer: &Signer) -> Router {
    let deciding = async |Path(id): Path<String>, decider: Decider| {
        decider.decide(&rbac(format!("folders/{id}"), "read"))?;
        Ok::<_, Rejection>("shown")
    };
    GuardedRouter::new()
        .route("/orders/{id}", any(async || "order").guard(rbac("orders", "delete")))
        .route("/folders/{id}", get(deciding).guard(authenticated()))
        .route("/scoped", get(async || "scoped").guard(scope("other")))
        .route("/echo", post(async |body: String| body).guard(authenticated()))
        .guarded_by(&with_policy(signer).await)
}

/// The only line that says that somebody was refused.
fn refused(log: &Log) -> String {
    let mut lines = log.lines();
    lines.retain(|line| line.contains("refused"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn the_line_of_a_refusal_has_the_decision_the_route_and_the_method() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    let (log, _set) = Log::begin();
    let token = signer.token(&json!({}));
    for (method, path, route) in [
        ("DELETE", "/orders/7", "/orders/{id}"),
        ("GET", "/orders/9", "/orders/{id}"),
        ("GET", "/folders/secret", "/folders/{id}"),
        ("GET", "/scoped", "/scoped"),
    ] {
        let asked = request(method, path, &token).body(Body::empty()).unwrap();
        let answer = send(&app, asked).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        let line = refused(&log);
        let decision = answer.header("x-decision-id");
        assert!(decision.starts_with("dec_") && answer.problem()["decision"] == decision, "{decision}");
        for said in [
            format!("decision={decision}"),
            format!("http.route=\"{route}\""),
            format!("http.request.method=\"{method}\""),
            "subject=\"alice\"".to_owned(),
        ] {
            assert!(line.contains(&said), "{said}: {line}");
        }
        assert!(!line.contains(&token) && !line.contains(path) || path == route, "{line}");
    }
}

#[tokio::test]
async fn the_application_is_told_the_route_and_the_method() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    for (method, path, route) in [
        (Method::PATCH, "/orders/7", "/orders/{id}"),
        (Method::GET, "/folders/secret", "/folders/{id}"),
        (Method::GET, "/scoped", "/scoped"),
    ] {
        let asked = request(method.as_str(), path, &signer.token(&json!({}))).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(asked).await.unwrap();
        let denied = answer.extensions().get::<AccessDenied>().unwrap();
        assert_eq!((denied.route(), denied.method()), (Some(route), Some(&method)));
    }
}

#[tokio::test]
async fn who_is_refused_before_a_decision_is_logged_with_the_route_for_debugging_only() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    for (level, lines) in [(Level::INFO, 0), (Level::DEBUG, 1)] {
        let (log, _set) = Log::begin_at(level);
        let anonymous = Request::get("/scoped").body(Body::empty()).unwrap();
        assert_eq!(send(&app, anonymous).await.status, StatusCode::UNAUTHORIZED);
        let broken =
            request("POST", "/echo", &signer.token(&json!({}))).header("content-type", "application/json");
        assert_eq!(send(&app, broken.body(Body::from("{")).unwrap()).await.status, StatusCode::BAD_REQUEST);
        let told: Vec<String> = log.lines().into_iter().filter(|line| line.contains("refused")).collect();
        assert_eq!(told.len(), 2 * lines, "{told:?}");
        for (line, said) in told.iter().zip([
            r#"http.request.method="GET" http.route="/scoped""#,
            r#"http.request.method="POST" http.route="/echo""#,
        ]) {
            assert!(line.contains(said), "{line}");
        }
    }
}

#[tokio::test]
async fn who_is_over_a_limit_is_named_for_debugging_only() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).limits(Limits::new().by_identity(Quota::per_minute(1)));
    let app = GuardedRouter::new()
        .route("/me", get(async || "me").guard(authenticated()))
        .guarded_by(&guard.build().await.unwrap());
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&app, "/me", &token).await.status, StatusCode::OK);
    for (level, lines) in [(Level::INFO, 0), (Level::DEBUG, 1)] {
        let (log, _set) = Log::begin_at(level);
        assert_eq!(fetch(&app, "/me", &token).await.status, StatusCode::TOO_MANY_REQUESTS);
        let told: Vec<_> = log.lines().into_iter().filter(|line| line.contains("over a limit")).collect();
        assert_eq!(told.len(), lines, "{told:?}");
        assert!(told.iter().all(|line| line.contains("subject=\"alice\"")), "{told:?}");
    }
}

#[tokio::test]
async fn refusals_are_counted_by_their_codes_wherever_they_were_made() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer)
        .limits(Limits::new().by_identity(Quota::per_minute(4)))
        .caps(Caps::new().head_within(Duration::from_mins(1)))
        .build()
        .await
        .unwrap();
    let app = GuardedRouter::new()
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/orders", get(async || "orders").guard(scope("orders")))
        .route("/items/{id}", get(async || "item").guard(authenticated()))
        .route("/panics", get(async || -> &'static str { panic!("on purpose") }).guard(authenticated()))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    let mut statuses = Vec::new();
    for (path, token) in [
        ("/me", "a.b.c"),
        ("/me", "a.b.c"),
        ("/orders", &token),
        ("/items/%2f", &token),
        ("/panics", &token),
        ("/me", &token),
        ("/me", &token),
        ("/me", &token),
    ] {
        statuses.push(fetch(&app, path, token).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 403, 400, 500, 200, 200, 429]);
    let expected = [
        ("insufficient_scope", 1),
        ("internal", 1),
        ("invalid_path", 1),
        ("invalid_token", 2),
        ("rate_limited", 1),
    ];
    assert_eq!(guard.refusals(), BTreeMap::from(expected));
}

#[tokio::test]
async fn a_body_that_the_edge_cuts_off_counts_once() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).caps(Caps::new().body(10)).build().await.unwrap();
    let app = GuardedRouter::new()
        .route("/echo", post(async |body: String| body).guard(authenticated()))
        .guarded_by(&guard);
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("[[[["));
    let long = request("POST", "/echo", &signer.token(&json!({}))).header("content-type", "application/json");
    let answer = send(&app, long.body(Body::from_stream(chunks)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(guard.refusals(), BTreeMap::from([("body_too_large", 1)]));
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_logged_as_any_other() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    let (log, _set) = Log::begin();
    let asked = request("PURGE", "/orders/7", &signer.token(&json!({}))).body(Body::empty()).unwrap();
    assert_eq!(send(&app, asked).await.status, StatusCode::FORBIDDEN);
    let line = refused(&log);
    assert!(line.contains(r#"http.request.method="_OTHER""#) && !line.contains("PURGE"), "{line}");
}

#[tokio::test]
async fn a_layer_takes_the_route_that_the_router_has_found() {
    let signer = Signer::es256("a");
    let guard = with_policy(&signer).await;
    let orders = get(async || "order").layer(guard.require(rbac("orders", "delete")));
    let app = Router::new().nest("/v1", Router::new().route("/orders/{id}", orders));
    let (log, _set) = Log::begin();
    let asked = request("GET", "/v1/orders/7", &signer.token(&json!({}))).body(Body::empty()).unwrap();
    assert_eq!(send(&app, asked).await.status, StatusCode::FORBIDDEN);
    let line = refused(&log);
    assert!(line.contains(r#"http.route="/v1/orders/{id}""#), "{line}");
}

#[tokio::test]
async fn what_is_in_no_table_has_no_route() {
    let signer = Signer::es256("a");
    let guard = with_policy(&signer).await;
    let table = RouteTable::new().route("/orders/{id}", rbac("orders", "delete")).guarded_by(&guard).unwrap();
    let app = Router::new().fallback(async || "served").layer(table);
    for (path, route) in [("/orders/7", Some("/orders/{id}")), ("/other", None)] {
        let (log, _set) = Log::begin();
        let asked = request("GET", path, &signer.token(&json!({}))).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(asked).await.unwrap();
        assert_eq!(answer.extensions().get::<AccessDenied>().unwrap().route(), route);
        let line = refused(&log);
        let said = route.map(|route| format!("http.route=\"{route}\""));
        assert_eq!(
            line.contains("http.route"),
            said.as_ref().is_some_and(|said| line.contains(said)),
            "{line}"
        );
    }
}

// GUARD 5: one name for the decision, the rule and the revision.
#[tokio::test]
async fn the_line_of_a_refusal_has_the_revision_and_the_line_of_the_rule_that_decided() {
    let signer = Signer::es256("a");
    let rules = "p, viewer, *, orders, *\n\np, user:alice, *, orders, delete, deny";
    let shared = Policy::shared(SharedPolicy::new(policy(rules, 7)));
    let guard = guard_of(&signer).policy(shared).build().await.unwrap();
    let app = GuardedRouter::new()
        .route("/orders", get(async || "orders").guard(rbac("orders", "delete")))
        .route("/bills", get(async || "bills").guard(rbac("bills", "read")))
        .route("/scoped", get(async || "scoped").guard(scope("other")))
        .guarded_by(&guard);
    let token = signer.token(&json!({ "roles": ["viewer"] }));
    for (path, revision, line) in [
        ("/orders", Some("policy.revision=7"), Some("policy.line=3")),
        ("/bills", Some("policy.revision=7"), None),
        ("/scoped", None, None),
    ] {
        let (log, _set) = Log::begin();
        let asked = request("GET", path, &token).body(Body::empty()).unwrap();
        assert_eq!(send(&app, asked).await.status, StatusCode::FORBIDDEN, "{path}");
        let told = refused(&log);
        for (field, said) in [("policy.revision", revision), ("policy.line", line)] {
            assert_eq!(told.contains(field), said.is_some(), "{path}: {told}");
            assert!(said.is_none_or(|said| told.split(' ').any(|word| word == said)), "{path}: {told}");
        }
    }
}

// GUARD 4: without a policy, a good token is enough, and the start says so.
#[tokio::test]
async fn a_guard_without_a_policy_warns_when_it_starts_and_one_with_a_policy_does_not() {
    let signer = Signer::es256("a");
    let warned = |log: &Log| {
        let lines = log.lines();
        lines.into_iter().filter(|line| line.starts_with("WARN") && line.contains("no policy")).count()
    };
    let (log, _set) = Log::begin();
    drop(with_policy(&signer).await);
    assert_eq!(warned(&log), 0);
    drop(guard_of(&signer).build().await.unwrap());
    assert_eq!(warned(&log), 1);
}
