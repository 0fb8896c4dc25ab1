//! Security headers, on answers and on refusals.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Html;
use axum::routing::{get, post};
use http::{Request, Response, StatusCode};
use portcullis_guard::{
    CspNonce, Entropy, Guard, GuardExt, GuardedRouter, InputPolicy, Limits, Quota, RouteTable,
    SecurityHeaders, authenticated, public, rbac, scope,
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{Answer, fetch, guard_of, request, send};
use crate::signer::Signer;

const API: &str = "default-src 'none'; frame-ancestors 'none'";

async fn page(nonce: CspNonce) -> Html<String> {
    Html(nonce.to_string())
}

fn app(guard: &Guard) -> Router {
    let pages = SecurityHeaders::html().build().unwrap();
    GuardedRouter::new()
        .route("/open", get(async || "open").guard(public()))
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/admin", get(async || "admin").guard(scope("admin")))
        .route("/orders", get(async || "orders").guard(rbac("orders", "read")))
        .route("/echo", post(async |body: String| body).guard(authenticated()))
        .route("/kept", get(async || ([("cache-control", "max-age=60")], "kept")).guard(public()))
        .route("/nonce", get(page).guard(public()))
        .route("/page", get(page).guard(authenticated()).headers(&pages))
        .guarded_by(guard)
}

fn assert_api(answer: &Answer) {
    for (name, value) in [
        ("content-security-policy", API),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("strict-transport-security", "max-age=63072000"),
    ] {
        let all: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(all, [value], "{name} of {answer:?}");
    }
}

// HT-17
#[tokio::test]
async fn every_answer_and_every_refusal_carries_the_headers() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer)
        .headers(SecurityHeaders::api().hsts(std::time::Duration::from_hours(2 * 365 * 24)))
        .limits(Limits::new().by_identity(Quota::per_minute(3)))
        .input(InputPolicy::strict().max_body(10));
    let app = app(&guard.build().await.unwrap());
    let token = |sub: &str| signer.token(&json!({ "sub": sub }));
    let (alice, bob) = (token("alice"), token("bob"));
    for (path, token, status) in [
        ("/open", "", 200),
        ("/me", "", 401),
        ("/me", "a.b.c", 401),
        ("/me", &alice, 200),
        ("/admin", &alice, 403),
        ("/orders", &alice, 403),
        ("/me", &alice, 429),
        ("/open?a=%00", "", 422),
        ("/nowhere", &bob, 404),
    ] {
        let answer = if token.is_empty() {
            send(&app, Request::get(path).body(Body::empty()).unwrap()).await
        } else {
            fetch(&app, path, token).await
        };
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_api(&answer);
    }
    let long = request("POST", "/echo", &bob).header("content-type", "application/json");
    let answer = send(&app, long.body(Body::from("[1,2,3,4,5,6,7]")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_api(&answer);
    let answer = send(&app, request("DELETE", "/me", &bob).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_api(&answer);
    // What an API says of its own answers, and only that.
    assert_eq!(fetch(&app, "/kept", &bob).await.header("cache-control"), "max-age=60");
}

#[tokio::test]
async fn a_page_of_an_api_has_headers_of_its_own_and_a_nonce_that_never_comes_again() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).headers(SecurityHeaders::api()).build().await.unwrap();
    let (app, token) = (app(&guard), signer.token(&json!({})));
    let mut nonces = HashSet::new();
    for _ in 0..50 {
        let answer = fetch(&app, "/page", &token).await;
        let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
        let marked = format!("script-src 'nonce-{}' 'strict-dynamic';", answer.body);
        assert!(policies.len() == 1 && policies[0].to_str().unwrap().contains(&marked), "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(nonces.insert(answer.body));
    }
    let refused = fetch(&app, "/page", "a.b.c").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(!refused.header("content-security-policy").contains("nonce"));
    let unmarked = send(&app, Request::get("/nonce").body(Body::empty()).unwrap()).await;
    assert_eq!((unmarked.status, unmarked.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
}

#[tokio::test]
async fn pages_of_a_whole_service_draw_from_the_randomness_that_is_given() {
    let (signer, drawn) = (Signer::es256("a"), AtomicU8::new(0));
    let entropy = Entropy::from_fn(move |bytes| bytes.fill(drawn.fetch_add(1, Ordering::Relaxed)));
    let guard = guard_of(&signer).headers(SecurityHeaders::html()).entropy(entropy).build().await.unwrap();
    let app = app(&guard).layer(guard.edge());
    for nonce in ["AAAAAAAAAAAAAAAAAAAAAAAA", "AQEBAQEBAQEBAQEBAQEBAQEB"] {
        // What nobody marks draws nothing.
        let plain = send(&app, Request::get("/kept").body(Body::empty()).unwrap()).await;
        assert_eq!(plain.header("cache-control"), "max-age=60");
        assert!(plain.header("content-security-policy").contains("script-src 'none'"));
        let answer = send(&app, Request::get("/nonce").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.body, nonce);
        assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "of two edges, one");
        assert!(answer.header("content-security-policy").contains(nonce));
    }
}

#[tokio::test]
async fn a_table_brings_the_headers_to_a_service_that_is_not_of_axum() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).headers(SecurityHeaders::api()).build().await.unwrap();
    let pages = SecurityHeaders::html().build().unwrap();
    let service = service_fn(async |request: Request<portcullis_guard::Body>| {
        let nonce = CspNonce::of(request.extensions()).map(|nonce| nonce.to_string());
        Ok::<_, Infallible>(Response::new(Body::from(nonce.unwrap_or_default())))
    });
    let table = RouteTable::new().route("/data", public()).route("/page", public()).headers(&pages);
    let service = table.guarded_by(&guard).unwrap().layer(service);
    for (path, policy) in
        [("/data", API), ("/page", "default-src 'none'; script-src 'nonce-"), ("/none", API)]
    {
        let asked = Request::get(path).body(Body::empty()).unwrap();
        let answer = service.clone().oneshot(asked).await.unwrap();
        let written = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(written.starts_with(policy), "{path}: {written}");
    }
}

#[tokio::test]
async fn headers_that_would_not_protect_build_no_guard() {
    let signer = Signer::es256("a");
    let open = SecurityHeaders::html().directive("script-src", ["https:"]);
    let error = guard_of(&signer).headers(open).build().await.unwrap_err();
    assert!(error.to_string().contains("`https:`"), "{error}");
}
