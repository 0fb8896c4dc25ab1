//! Scripts of other origins, as their browser sees the guard.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, options};
use http::{Method, Request, StatusCode};
use portcullis_guard::{
    Cors, Dpop, Guard, GuardExt, GuardedRouter, Limits, Quota, SecurityHeaders, authenticated, public, scope,
};
use serde_json::json;

use crate::service::{Answer, guard_of, send};
use crate::signer::Signer;

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.example";

fn app(guard: &Guard) -> Router {
    let evil = [("access-control-allow-origin", EVIL), ("access-control-allow-credentials", "true")];
    let all = [("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")];
    GuardedRouter::new()
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/admin", get(async || "admin").guard(scope("admin")))
        .route("/options", options(async || "mine").guard(public()))
        .route("/evil", get(async move || (evil, "evil")).guard(public()))
        .route("/all", get(async move || (all, "all")).guard(public()))
        .guarded_by(guard)
}

async fn ask(app: &Router, origin: &str, path: &str, token: Option<&str>) -> Answer {
    let request = Request::get(path).header("origin", origin);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    send(app, request.body(Body::empty()).unwrap()).await
}

async fn preflight(app: &Router, origin: &str, path: &str) -> Answer {
    let request = Request::builder().method("OPTIONS").uri(path).header("origin", origin);
    let request = request
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "authorization");
    send(app, request.body(Body::empty()).unwrap()).await
}

async fn of(signer: &Signer, cors: Cors) -> Router {
    let guard = guard_of(signer).cors(cors).limits(Limits::new().by_identity(Quota::per_minute(2)));
    app(&guard.build().await.unwrap())
}

// HT-13
#[tokio::test]
async fn a_preflight_is_answered_without_a_token_and_only_names_who_may() {
    let app = of(&Signer::es256("a"), Cors::origins([APP]).credentials()).await;
    for path in ["/me", "/nowhere"] {
        let answer = preflight(&app, APP, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), APP);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-max-age"), "7200");
        assert!(answer.header("access-control-allow-methods").contains("DELETE"));
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
        assert!(answer.header("vary").contains("origin"));
    }
    for stranger in [EVIL, "null", "https://app.example.com.evil.example", "http://app.example.com", "*"] {
        let answer = preflight(&app, stranger, "/me").await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{stranger}: {answer:?}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{stranger}: {answer:?}");
    }
}

#[tokio::test]
async fn a_script_sees_why_it_was_refused() {
    let signer = Signer::es256("a");
    let app = of(&signer, Cors::origins([APP])).await;
    let token = signer.token(&json!({}));
    for (path, token, status) in [
        ("/me", None, 401),
        ("/me", Some(&token), 200),
        ("/admin", Some(&token), 403),
        ("/me", Some(&token), 429),
        ("/nowhere", None, 404),
    ] {
        let answer = ask(&app, APP, path, token.map(String::as_str)).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), APP, "{path}");
        let exposed = answer.header("access-control-expose-headers").to_owned();
        for name in [
            "www-authenticate",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "dpop-nonce",
            "x-decision-id",
        ] {
            assert!(exposed.split(',').any(|own| own == name), "{name}: {exposed}");
        }
        let stranger = ask(&app, EVIL, path, None).await;
        assert!(!stranger.headers.contains_key("access-control-allow-origin"), "{stranger:?}");
    }
    let refused = ask(&app, APP, "/admin", Some(&signer.token(&json!({ "sub": "bob" })))).await;
    assert_eq!(refused.header("x-decision-id"), refused.problem()["decision"].as_str().unwrap());
}

#[tokio::test]
async fn a_handler_cannot_let_in_who_is_not_named() {
    let app = of(&Signer::es256("a"), Cors::origins([APP]).credentials()).await;
    let evil = ask(&app, EVIL, "/evil", None).await;
    assert_eq!(evil.body, "evil");
    assert!(!evil.headers.contains_key("access-control-allow-origin"), "{evil:?}");
    let all = ask(&app, EVIL, "/all", None).await;
    assert_eq!(all.header("access-control-allow-origin"), "*");
    assert!(!all.headers.contains_key("access-control-allow-credentials"), "{all:?}");
    let named = ask(&app, APP, "/all", None).await;
    assert_eq!(named.header("access-control-allow-origin"), APP);
    assert_eq!(named.header("access-control-allow-credentials"), "true");
}

#[tokio::test]
async fn options_that_are_no_preflight_are_for_the_service() {
    let app = of(&Signer::es256("a"), Cors::origins([APP])).await;
    for origin in [None, Some(APP)] {
        let request = Request::builder().method(Method::OPTIONS).uri("/options");
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        assert_eq!(send(&app, request.body(Body::empty()).unwrap()).await.body, "mine");
    }
    let silent = send(&app, Request::get("/all").body(Body::empty()).unwrap()).await;
    assert_eq!(silent.body, "all", "no script, no rules");
}

#[tokio::test]
async fn everybody_may_read_and_nobody_with_cookies() {
    let signer = Signer::es256("a");
    let app = of(&signer, Cors::any_origin()).await;
    let answer = ask(&app, EVIL, "/me", Some(&signer.token(&json!({})))).await;
    assert_eq!((answer.body.as_str(), answer.header("access-control-allow-origin")), ("me", "*"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    assert_eq!(preflight(&app, "null", "/me").await.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn rules_for_others_stand_beside_headers_and_a_second_edge() {
    let signer = Signer::es256("a");
    let guard =
        guard_of(&signer).cors(Cors::origins([APP])).headers(SecurityHeaders::api()).dpop(Dpop::new());
    let guard = guard.build().await.unwrap();
    let app = app(&guard).layer(guard.edge());
    let answer = preflight(&app, APP, "/me").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, APP));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let refused = ask(&app, APP, "/me", None).await;
    assert_eq!(refused.headers.get_all("access-control-allow-origin").iter().count(), 1);
    assert_eq!(refused.headers.get_all("www-authenticate").iter().count(), 2, "{refused:?}");
}

#[tokio::test]
async fn rules_that_would_let_everybody_in_build_no_guard() {
    let signer = Signer::es256("a");
    for cors in [Cors::any_origin().credentials(), Cors::origins(["null"])] {
        let error = guard_of(&signer).cors(cors).build().await.unwrap_err();
        assert!(matches!(error, portcullis_guard::BuildError::Cors(_)), "{error}");
    }
}
