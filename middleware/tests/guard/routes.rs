//! Routes and what they require.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{any, get, post};
use http::{Request, StatusCode};
use portcullis_guard::{
    Claims, Decision, Guard, GuardExt, GuardedRouter, OptionalPrincipal, Policy, Principal, SharedPolicy,
    authenticated, optional, public, rbac, scope,
};
use serde_json::json;

use crate::service::{fetch, guard_of, policy, request, send, service};
use crate::signer::Signer;

const RULES: &str = "p, viewer, *, orders, read\np, viewer, *, admin, read";

async fn with_policy(signer: &Signer) -> Guard {
    let policy = Policy::shared(SharedPolicy::new(policy(RULES, 3)));
    guard_of(signer).policy(policy).build().await.unwrap()
}

/// A handler that counts how often it ran.
fn counting() -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<&'static str> + Clone) {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let handler = move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready("ran")
    };
    (ran, handler)
}

#[tokio::test]
async fn a_route_that_states_nothing_is_403_under_a_policy_and_its_handler_does_not_run() {
    let signer = Signer::es256("a");
    let (ran, handler) = counting();
    let app = Router::new().route("/forgotten", any(handler)).layer(with_policy(&signer).await);
    let token = signer.token(&json!({ "roles": ["viewer", "admin"] }));
    for method in ["GET", "POST", "DELETE", "HEAD", "OPTIONS"] {
        let answer = send(&app, request(method, "/forgotten", &token).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method}");
    }
    assert_eq!(
        send(&app, Request::get("/forgotten").body(Body::empty()).unwrap()).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_a_policy_a_good_token_is_enough_for_a_route_that_states_nothing() {
    let signer = Signer::es256("a");
    let (ran, handler) = counting();
    let guard = guard_of(&signer).build().await.unwrap();
    let app = Router::new().route("/any", get(handler)).layer(guard);
    assert_eq!(fetch(&app, "/any", &signer.token(&json!({}))).await.status, StatusCode::OK);
    assert_eq!(fetch(&app, "/any", "x").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_handler() {
    let signer = Signer::es256("a");
    let (ran, handler) = counting();
    let guard = with_policy(&signer).await;
    let app: Router = GuardedRouter::new()
        .route("/delete", post(handler).guard(rbac("orders", "delete").and(scope("orders:write"))))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    let answer = send(&app, request("POST", "/delete", &token).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let wrong_method = fetch(&app, "/delete", &token).await;
    assert_eq!(wrong_method.status, StatusCode::FORBIDDEN, "what is not allowed is not described either");
    assert_eq!(fetch(&app, "/unknown", &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn methods_of_one_path_have_requirements_of_their_own() {
    let signer = Signer::es256("a");
    let app = service(&with_policy(&signer).await);
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&app, "/orders", &token).await.body, "orders");
    let create = send(&app, request("POST", "/orders", &token).body(Body::empty()).unwrap()).await;
    assert_eq!(create.status, StatusCode::FORBIDDEN);
}

// CB-13
#[tokio::test]
async fn the_method_is_the_one_of_the_request_line() {
    let signer = Signer::es256("a");
    let app = service(&with_policy(&signer).await);
    let token = signer.token(&json!({}));
    for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let disguised = request("POST", "/orders?_method=GET", &token).header(name, "GET");
        assert_eq!(
            send(&app, disguised.body(Body::empty()).unwrap()).await.status,
            StatusCode::FORBIDDEN,
            "{name}"
        );
    }
    let head = send(&app, request("HEAD", "/orders", &token).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::OK, "HEAD is decided as GET");
    let other = signer.token(&json!({ "roles": [] }));
    let head = send(&app, request("HEAD", "/orders", &other).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, StatusCode::FORBIDDEN);
    for method in ["TRACE", "get", "GETX", "PROPFIND"] {
        let odd = send(&app, request(method, "/orders", &token).body(Body::empty()).unwrap()).await;
        assert!(odd.status.is_client_error(), "{method}: {}", odd.status);
    }
}

// CB-09, CB-12
#[tokio::test]
async fn a_spelling_of_a_path_is_decided_as_the_handler_would_serve_it_or_refused() {
    let signer = Signer::es256("a");
    let guard = with_policy(&signer).await;
    let served = async |Path(id): Path<String>| format!("item {id}");
    let app: Router = GuardedRouter::new()
        .route("/admin", get(async || "admin").guard(rbac("admin", "write")))
        .route("/{id}", get(served).guard(rbac("orders", "read")))
        .route("/admin/{id}", get(served).guard(rbac("admin", "write")))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    for (path, status) in [
        ("/admin", StatusCode::FORBIDDEN),
        ("/ADMIN", StatusCode::OK),
        ("/admin.", StatusCode::OK),
        ("/%61dmin", StatusCode::BAD_REQUEST),
        ("/admin;x=1", StatusCode::BAD_REQUEST),
        ("/admin%00", StatusCode::BAD_REQUEST),
        ("/admin%5c", StatusCode::BAD_REQUEST),
        ("/admin%2fusers", StatusCode::BAD_REQUEST),
        ("/1%2f2", StatusCode::BAD_REQUEST),
        ("/..", StatusCode::BAD_REQUEST),
        ("/%2e%2e", StatusCode::BAD_REQUEST),
        ("/x%252f", StatusCode::BAD_REQUEST),
        ("/a?x=%2f..//", StatusCode::OK),
        ("/f%C3%B6o", StatusCode::OK),
        ("/admin/", StatusCode::NOT_FOUND),
        ("//admin", StatusCode::NOT_FOUND),
        ("/./admin", StatusCode::NOT_FOUND),
        ("/x/../admin", StatusCode::NOT_FOUND),
        ("/admin/..", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(fetch(&app, path, &token).await.status, status, "{path}");
    }
    let whole = Router::new().nest("/api", app);
    assert_eq!(fetch(&whole, "/api/7", &token).await.body, "item 7");
    assert_eq!(fetch(&whole, "/api/%61", &token).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn public_routes_do_not_look_at_tokens_and_optional_ones_do() {
    let signer = Signer::es256("a");
    let guard = with_policy(&signer).await;
    let who = async |OptionalPrincipal(who): OptionalPrincipal| match who {
        Some(who) => who.subject().to_owned(),
        None => "nobody".to_owned(),
    };
    let app: Router = GuardedRouter::new()
        .route("/public", get(who).guard(public()))
        .route("/optional", get(who).guard(optional()))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    for (path, token, expected) in [
        ("/public", Some(token.as_str()), Some("nobody")),
        ("/public", Some("bad"), Some("nobody")),
        ("/public", None, Some("nobody")),
        ("/optional", Some(&token), Some("alice")),
        ("/optional", Some("bad"), None),
        ("/optional", None, Some("nobody")),
    ] {
        let answer = match token {
            Some(token) => fetch(&app, path, token).await,
            None => send(&app, Request::get(path).body(Body::empty()).unwrap()).await,
        };
        match expected {
            Some(expected) => assert_eq!(answer.body, expected, "{path} {token:?}"),
            None => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {token:?}"),
        }
    }
}

#[tokio::test]
async fn mcp_section_error_handling_no_good_token_is_401_too_little_is_403_and_what_is_malformed_400() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let app: Router = GuardedRouter::new()
        .route("/orders", get(async || "orders").guard(scope("orders:write")))
        .guarded_by(&guard);
    let good = signer.token(&json!({ "scope": "orders:write" }));
    let poor = signer.token(&json!({ "scope": "orders:read" }));
    let bare = Request::get("/orders").body(Body::empty()).unwrap();
    assert_eq!(send(&app, bare).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(fetch(&app, "/orders", "x.y.z").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(fetch(&app, "/orders", &poor).await.status, StatusCode::FORBIDDEN);
    let bearer = format!("Bearer {good}");
    let twice = Request::get("/orders").header("authorization", &bearer).header("authorization", &bearer);
    assert_eq!(send(&app, twice.body(Body::empty()).unwrap()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(fetch(&app, "/orders", &good).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_missing_scope_is_named_in_the_challenge() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let app: Router = GuardedRouter::new()
        .route("/orders", get(async || "orders").guard(scope("orders:write")))
        .guarded_by(&guard);
    let answer = fetch(&app, "/orders", &signer.token(&json!({}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "insufficient_scope"));
    assert_eq!(
        answer.header("www-authenticate"),
        r#"Bearer error="insufficient_scope", scope="orders:write""#
    );
}

#[tokio::test]
async fn a_decision_has_a_name_in_the_refusal_and_in_the_handler() {
    let signer = Signer::es256("a");
    let guard = with_policy(&signer).await;
    let told = async |decision: Option<Decision>| {
        let decision = decision.unwrap();
        format!("{} {:?} {:?}", decision.id(), decision.revision(), decision.rule_line())
    };
    let app: Router = GuardedRouter::new()
        .route("/orders", get(told).guard(rbac("orders", "read")))
        .route("/admin", get(told).guard(rbac("admin", "write")))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    let allowed = fetch(&app, "/orders", &token).await;
    assert!(
        allowed.body.starts_with("dec_") && allowed.body.ends_with(" Some(3) Some(1)"),
        "{}",
        allowed.body
    );
    let refused = fetch(&app, "/admin", &token).await;
    let problem = refused.problem();
    assert_eq!((problem["status"].as_u64(), problem["title"].as_str()), (Some(403), Some("Forbidden")));
    assert!(problem["decision"].as_str().unwrap().starts_with("dec_"), "{problem}");
    let again = fetch(&app, "/admin", &token).await.problem();
    assert_ne!(again["decision"], problem["decision"]);
}

#[tokio::test]
async fn handlers_take_their_own_claims() {
    #[derive(serde::Deserialize)]
    struct Own {
        tier: String,
        sub: String,
    }
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let told = async |Claims(own): Claims<Own>| format!("{} {}", own.sub, own.tier);
    let app: Router = GuardedRouter::new().route("/own", get(told).guard(authenticated())).guarded_by(&guard);
    assert_eq!(fetch(&app, "/own", &signer.token(&json!({ "tier": "gold" }))).await.body, "alice gold");
    let answer = fetch(&app, "/own", &signer.token(&json!({}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "claims_mismatch"));
}

#[tokio::test]
async fn a_handler_that_asks_who_is_calling_is_closed_without_a_guard() {
    let app = Router::new().route("/me", get(async |who: Principal| who.subject().to_owned()));
    let answer = fetch(&app, "/me", &Signer::es256("a").token(&json!({}))).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_rule_without_a_policy_is_403() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    assert_eq!(
        fetch(&service(&guard), "/orders", &signer.token(&json!({}))).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn the_requirements_of_a_router_read_like_a_table() {
    let router: GuardedRouter = GuardedRouter::new()
        .route(
            "/orders",
            get(async || "").guard(rbac("orders", "read")).merge(post(async || "").guard(scope("w"))),
        )
        .merge(GuardedRouter::new().route("/health", get(async || "").guard(public())));
    let table: Vec<String> = router.requirements().map(|(path, needs)| format!("{path} {needs}")).collect();
    assert_eq!(table, ["/orders rbac(orders, read)", "/orders scope(w)", "/health public"]);
}

#[tokio::test]
async fn who_is_calling_is_what_the_token_says() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let told = async |who: Principal| {
        json!([
            who.subject(),
            who.client_id(),
            who.issuer(),
            who.scopes().collect::<Vec<_>>(),
            who.roles(),
            who.organisation(),
            who.session_id(),
            who.token_id(),
            who.auth_time(),
            who.authentication_class(),
            who.expires_at(),
        ])
        .to_string()
    };
    let app: Router = GuardedRouter::new().route("/me", get(told).guard(authenticated())).guarded_by(&guard);
    let changes =
        json!({ "org": "acme", "sid": "s", "auth_time": 5, "acr": "phr", "scope": "a  b", "roles": ["x"] });
    let expected = json!([
        "alice",
        "web",
        "https://id.test",
        ["a", "b"],
        ["x"],
        "acme",
        "s",
        "token-1",
        5,
        "phr",
        1_800_000_300_u64
    ]);
    assert_eq!(fetch(&app, "/me", &signer.token(&changes)).await.body, expected.to_string());
}
