//! Rate limits, as a client sees them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis_guard::{
    ClientAddress, GuardExt, GuardedRouter, Issuer, Limits, Proxies, Quota, authenticated, public,
};
use serde_json::json;

use crate::service::{Answer, Dial, builder, fetch, send};
use crate::signer::{ISSUER, Signer, jwks};

struct Setup {
    signer: Signer,
    dial: Dial,
    service: Router,
}

async fn setup(limits: Limits, proxies: Proxies) -> Setup {
    let (signer, dial) = (Signer::es256("a"), Dial::new());
    let issuer = Issuer::static_jwks(ISSUER, jwks([&signer]));
    let guard = builder(&dial).issuer(issuer).limits(limits).proxies(proxies).build().await.unwrap();
    let service = GuardedRouter::new()
        .route("/me", get(async || "me").guard(authenticated()))
        .route(
            "/address",
            get(async |ClientAddress(address): ClientAddress| address.to_string()).guard(public()),
        )
        .guarded_by(&guard);
    Setup { signer, dial, service }
}

async fn from(service: &Router, peer: &str, forwarded: &str, path: &str) -> Answer {
    let mut request = Request::get(path).header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
    send(service, request).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_429_until_it_may_again() {
    let limits = Limits::new().by_address(Quota::per_minute(2));
    let Setup { service, dial, .. } = setup(limits, Proxies::default()).await;
    let first = from(&service, "192.0.2.1", "", "/address").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("ratelimit"), r#""address";r=1;t=30"#);
    assert_eq!(first.header("ratelimit-policy"), r#""address";q=2;w=60"#);
    from(&service, "192.0.2.1", "", "/address").await;
    let refused = from(&service, "192.0.2.1", "", "/address").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!(refused.problem()["violated-policies"], json!(["address"]));
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.header("ratelimit"), r#""address";r=0;t=30"#);
    assert_eq!(from(&service, "192.0.2.2", "", "/address").await.status, StatusCode::OK);
    dial.turn(Duration::from_secs(30));
    assert_eq!(from(&service, "192.0.2.1", "", "/address").await.status, StatusCode::OK);
}

// HT-01
#[tokio::test]
async fn a_client_cannot_choose_its_address() {
    let limits = Limits::new().by_address(Quota::per_minute(10));
    let Setup { service, .. } = setup(limits.clone(), Proxies::default()).await;
    let mut refused = 0;
    for round in 0..100 {
        let answer = from(&service, "192.0.2.1", &format!("203.0.113.{round}"), "/address").await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(refused, 90);
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let Setup { service, .. } = setup(limits, proxies).await;
    for round in 0..100 {
        let spoofed = format!("203.0.113.{round}, 198.51.100.7");
        let answer = from(&service, "10.0.0.1", &spoofed, "/address").await;
        assert_eq!(answer.status == StatusCode::OK, round < 10, "{round}");
    }
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_is_the_one_it_reports() {
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let Setup { service, .. } = setup(Limits::new(), proxies).await;
    assert_eq!(from(&service, "10.0.0.1", "6.6.6.6, 198.51.100.7", "/address").await.body, "198.51.100.7");
    assert_eq!(from(&service, "192.0.2.1", "198.51.100.7", "/address").await.body, "192.0.2.1");
}

#[tokio::test]
async fn a_limit_by_address_without_an_address_is_503() {
    let Setup { service, signer, .. } =
        setup(Limits::new().by_address(Quota::per_minute(10)), Proxies::default()).await;
    let answer = fetch(&service, "/me", &signer.token(&json!({}))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn guessing_tokens_spends_the_limit_by_address() {
    let Setup { service, .. } =
        setup(Limits::new().by_address(Quota::per_minute(3)), Proxies::default()).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(from(&service, "192.0.2.1", "", "/me").await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429]);
}

#[tokio::test]
async fn each_caller_has_a_limit_of_its_own_whatever_token_it_uses() {
    let Setup { service, signer, dial } =
        setup(Limits::new().by_identity(Quota::per_second(2)), Proxies::default()).await;
    let token = |sub: &str, client: &str, jti: &str| {
        signer.token(&json!({ "sub": sub, "client_id": client, "jti": jti }))
    };
    assert_eq!(
        fetch(&service, "/me", &token("alice", "web", "1")).await.header("ratelimit"),
        r#""identity";r=1;t=1"#
    );
    assert_eq!(fetch(&service, "/me", &token("alice", "web", "2")).await.status, StatusCode::OK);
    let refused = fetch(&service, "/me", &token("alice", "web", "3")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.problem()["violated-policies"], json!(["identity"]));
    assert_eq!(fetch(&service, "/me", &token("bob", "web", "4")).await.status, StatusCode::OK);
    assert_eq!(fetch(&service, "/me", &token("alice", "app", "5")).await.status, StatusCode::OK);
    dial.turn(Duration::from_millis(500));
    assert_eq!(fetch(&service, "/me", &token("alice", "web", "6")).await.status, StatusCode::OK);
}
