//! What refused callers are told: which scopes, which sign-in, and where to get a token.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis_guard::{
    BuildError, Guard, GuardBuilder, GuardExt, GuardedRouter, Policy, ProtectedResource, Requirement,
    SharedPolicy, authenticated, optional, public, rbac, scope,
};
use serde_json::{Value, json};

use crate::service::{Answer, fetch, guard_of, policy, send};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer};

const METADATA: &str = "/.well-known/oauth-protected-resource";

async fn app(guard: GuardBuilder, requirement: Requirement) -> Router {
    let guard = guard.build().await.unwrap();
    GuardedRouter::new().route("/", get(async || "served").guard(requirement)).guarded_by(&guard)
}

async fn anonymous(app: &Router, path: &str) -> Answer {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

// RFC 9470 §3
#[tokio::test]
async fn rfc_9470_section_3_a_sign_in_that_is_too_weak_or_too_old_is_asked_for_again() {
    let signer = Signer::es256("a");
    let strong = authenticated().acr("phrh").acr("phr").max_age(Duration::from_mins(5));
    let app = app(guard_of(&signer), strong).await;
    for fine in [
        json!({ "acr": "phrh", "auth_time": NOW - 300 }),
        json!({ "acr": "phr", "auth_time": NOW - 329 }),
        json!({ "acr": "phr", "auth_time": NOW + 5 }),
    ] {
        assert_eq!(fetch(&app, "/", &signer.token(&fine)).await.status, StatusCode::OK, "{fine}");
    }
    for weak in [
        json!({ "acr": "phrh", "auth_time": NOW - 331 }),
        json!({ "acr": "phrh" }),
        json!({ "acr": "phrh", "auth_time": 0 }),
        json!({ "acr": "pwd", "auth_time": NOW }),
        json!({ "acr": "PHR", "auth_time": NOW }),
        json!({ "acr": "phrh phr", "auth_time": NOW }),
        json!({ "auth_time": NOW }),
    ] {
        let answer = fetch(&app, "/", &signer.token(&weak)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{weak}");
        let expected = "Bearer error=\"insufficient_user_authentication\", \
                        error_description=\"This needs a more recent or a stronger sign-in\", \
                        acr_values=\"phrh phr\", max_age=\"300\"";
        assert_eq!(answer.header("www-authenticate"), expected);
        assert_eq!(answer.code(), "insufficient_user_authentication");
        assert!(answer.problem()["decision"].as_str().unwrap().starts_with("dec_"), "{answer:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_is_not_asked_to_sign_in_again_and_a_stranger_is_asked_for_a_token() {
    let signer = Signer::es256("a");
    let rules = Policy::shared(SharedPolicy::new(policy("p, clerk, *, payments, create", 1)));
    let app = app(guard_of(&signer).policy(rules), rbac("payments", "create").acr("phr")).await;
    let weak = json!({ "roles": ["clerk"], "acr": "pwd" });
    assert_eq!(fetch(&app, "/", &signer.token(&weak)).await.code(), "insufficient_user_authentication");
    let other = json!({ "roles": ["viewer"], "acr": "pwd" });
    assert_eq!(fetch(&app, "/", &signer.token(&other)).await.code(), "forbidden");
    let stranger = anonymous(&app, "/").await;
    assert_eq!(
        (stranger.status, stranger.header("www-authenticate")),
        (StatusCode::UNAUTHORIZED, r#"Bearer realm="https://api.test""#)
    );
}

#[tokio::test]
async fn a_route_for_everybody_with_a_strong_sign_in_is_for_nobody_without_a_token() {
    let signer = Signer::es256("a");
    for requirement in [public(), optional()] {
        let app = app(guard_of(&signer), requirement.acr("phr")).await;
        assert_eq!(anonymous(&app, "/").await.status, StatusCode::UNAUTHORIZED);
        let token = signer.token(&json!({ "acr": "phr" }));
        assert_eq!(fetch(&app, "/", &token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn one_of_two_ways_may_ask_for_a_strong_sign_in() {
    let signer = Signer::es256("a");
    let app =
        app(guard_of(&signer), scope("robots").or(authenticated().max_age(Duration::from_mins(1)))).await;
    for (claims, status) in [
        (json!({ "scope": "robots" }), 200),
        (json!({ "auth_time": NOW }), 200),
        (json!({ "scope": "people" }), 401),
    ] {
        assert_eq!(fetch(&app, "/", &signer.token(&claims)).await.status, status, "{claims}");
    }
    let app = self::app(guard_of(&signer), authenticated().acr("phr").or(scope("robots"))).await;
    let weak = fetch(&app, "/", &signer.token(&json!({}))).await;
    assert_eq!(weak.code(), "insufficient_user_authentication", "which they can do something about");
}

fn described() -> ProtectedResource {
    ProtectedResource::new().name("Orders").documentation("https://orders.test/docs")
}

async fn described_app(signer: &Signer) -> Router {
    let guard = guard_of(signer).protected_resource(described()).build().await.unwrap();
    let orders = scope("orders").and(scope("read").or(scope("write")));
    GuardedRouter::new()
        .route("/", get(async || "served").guard(orders))
        .route("/any", get(async || "served").guard(authenticated()))
        .guarded_by(&guard)
}

// RFC 9728 §3.2
#[tokio::test]
async fn the_metadata_names_the_issuers_and_every_scope_that_a_route_mentions() {
    let signer = Signer::es256("a");
    let app = described_app(&signer).await;
    let answer = anonymous(&app, METADATA).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let expected = json!({
        "resource": AUDIENCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["orders", "read", "write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Orders",
        "resource_documentation": "https://orders.test/docs",
    });
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected);
}

// RFC 9728 §3.2
#[tokio::test]
async fn what_there_is_none_of_is_left_out_of_the_metadata() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).protected_resource(ProtectedResource::new()).build().await.unwrap();
    let app =
        GuardedRouter::new().route("/", get(async || "served").guard(authenticated())).guarded_by(&guard);
    let answer = anonymous(&app, METADATA).await;
    let expected = json!({
        "resource": AUDIENCE,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected);
}

// RFC 9728 §5.1
#[tokio::test]
async fn every_challenge_says_where_the_metadata_is_and_what_to_ask_for() {
    let signer = Signer::es256("a");
    let app = described_app(&signer).await;
    let place = format!("resource_metadata=\"{AUDIENCE}{METADATA}\"");
    let challenge = async |path: &str, token: Option<String>| match token {
        Some(token) => fetch(&app, path, &token).await.header("www-authenticate").to_owned(),
        None => anonymous(&app, path).await.header("www-authenticate").to_owned(),
    };
    assert_eq!(challenge("/", None).await, format!("Bearer scope=\"orders\", {place}"));
    assert_eq!(challenge("/any", None).await, format!("Bearer {place}"));
    let bad = challenge("/", Some("x".to_owned())).await;
    assert!(
        bad.starts_with("Bearer error=\"invalid_token\"")
            && bad.ends_with(&format!("scope=\"orders\", {place}")),
        "{bad}"
    );
    let poor = challenge("/", Some(signer.token(&json!({ "scope": "orders" })))).await;
    let write = "which it lacks: the last one that would do";
    assert_eq!(
        poor,
        format!("Bearer error=\"insufficient_scope\", scope=\"orders write\", {place}"),
        "{write}"
    );
}

#[tokio::test]
async fn without_a_description_there_is_no_metadata_and_no_word_of_it() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let app =
        GuardedRouter::new().route("/", get(async || "served").guard(scope("orders"))).guarded_by(&guard);
    assert_eq!(anonymous(&app, METADATA).await.status, StatusCode::NOT_FOUND);
    assert_eq!(anonymous(&app, "/").await.header("www-authenticate"), r#"Bearer realm="https://api.test""#);
}

#[tokio::test]
async fn what_is_no_identifier_of_a_resource_is_refused_at_the_start() {
    let signer = Signer::es256("a");
    let built = async |guard: GuardBuilder| -> Result<Guard, BuildError> { guard.build().await };
    for identifier in
        ["orders", "http://orders.test", "https://orders.test/?tenant=1", "https://orders.test/#x"]
    {
        let resource = ProtectedResource::new().identifier(identifier);
        let refused = built(guard_of(&signer).protected_resource(resource)).await;
        assert!(matches!(refused, Err(BuildError::NotAResource(_))), "{identifier}");
    }
    let named =
        built(guard_of(&signer).audience("orders").protected_resource(ProtectedResource::new())).await;
    assert!(named.unwrap_err().to_string().contains("`orders` is not the identifier"));
}
