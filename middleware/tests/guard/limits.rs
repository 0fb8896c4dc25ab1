//! Rate limits, as a client sees them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis_guard::{
    ClientAddress, Entropy, GuardExt, GuardedRouter, Issuer, Key, Limit, Limits, Proxies, Quota,
    authenticated, optional, public,
};
use serde_json::json;

use crate::service::{Answer, Dial, builder, fetch, send, service};
use crate::signer::{ISSUER, Signer, b64, jwks};

/// A limit that nobody could keep.
const NOTHING: Limit = Limit::new("nothing", Key::subject(), Quota::per_day(0));

/// A limit that only one route has.
const EXPORTS: Limit = Limit::new("exports", Key::subject(), Quota::per_day(12));

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
        .route("/open", get(async || "open").guard(optional()))
        .route("/things/{id}", get(async || "thing").guard(authenticated()))
        .route("/closed", get(async || "closed").guard(authenticated().limit(NOTHING)))
        .route("/export", get(async || "export").guard(authenticated().cost(5).limit(EXPORTS)))
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
async fn asking_without_a_token_spends_the_limit_by_address() {
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

async fn with_token(service: &Router, path: &str, token: &str) -> Answer {
    let mut request =
        Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new([192, 0, 2, 1].into(), 1)));
    send(service, request).await
}

#[tokio::test]
async fn a_token_of_nobody_is_a_guess() {
    let limits = Limits::new().by_address(Quota::per_minute(60).burst(10));
    let Setup { service, .. } = setup(limits, Proxies::default()).await;
    let nameless = format!("{}.{}.AA", b64(br#"{"typ":"at+jwt","alg":"ES256","kid":"a"}"#), b64(b"{}"));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(with_token(&service, "/me", &nameless).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429]);
}

#[tokio::test]
async fn a_guess_at_a_token_costs_five_requests_and_a_token_that_was_good_costs_one() {
    let limits = Limits::new().by_address(Quota::per_minute(60).burst(20));
    let Setup { service, signer, dial } = setup(limits, Proxies::default()).await;
    let left = |answer: &Answer| {
        let field = answer.header("ratelimit").to_owned();
        field.split(";r=").nth(1).unwrap().split(';').next().unwrap().parse::<u32>().unwrap()
    };
    let stranger = Signer::es256("a");
    for (path, token, status, expected) in [
        ("/me", signer.token(&json!({})), 200, 19),
        ("/me", stranger.token(&json!({})), 401, 14),
        ("/me", "a.b.c".to_owned(), 401, 9),
        ("/me", signer.token(&json!({ "aud": "https://other.test" })), 401, 8),
        ("/me", signer.token(&json!({ "exp": 1, "iat": 0 })), 401, 7),
        ("/open", "nonsense".to_owned(), 401, 2),
        // A route that looks at no token cannot be guessed at.
        ("/address", "nonsense".to_owned(), 200, 1),
    ] {
        let answer = with_token(&service, path, &token).await;
        assert_eq!((answer.status.as_u16(), left(&answer)), (status, expected), "{path} {token}");
    }
    assert_eq!(with_token(&service, "/me", "a.b.c").await.status, StatusCode::UNAUTHORIZED);
    let good = signer.token(&json!({ "jti": "2" }));
    let refused = with_token(&service, "/me", &good).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    dial.turn(Duration::from_secs(1));
    assert_eq!(with_token(&service, "/me", &good).await.status, StatusCode::OK, "no debt was left");
}

#[tokio::test]
async fn a_route_costs_what_it_says_and_has_a_limit_that_others_do_not_have() {
    let limits = Limits::new().by_identity(Quota::per_hour(100));
    let Setup { service, signer, dial } = setup(limits, Proxies::default()).await;
    let token = signer.token(&json!({}));
    let plain = fetch(&service, "/me", &token).await;
    assert_eq!(plain.header("ratelimit-policy"), r#""identity";q=100;w=3600"#);
    let first = fetch(&service, "/export", &token).await;
    assert_eq!(first.header("ratelimit-policy"), r#""identity";q=100;w=3600, "exports";q=12;w=86400"#);
    assert_eq!(first.header("ratelimit"), r#""identity";r=94;t=216, "exports";r=7;t=57600"#);
    assert_eq!(fetch(&service, "/export", &token).await.status, StatusCode::OK);
    let refused = fetch(&service, "/export", &token).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.problem()["violated-policies"], json!(["exports"]));
    assert_eq!(
        (&refused.problem()["type"], &refused.problem()["title"]),
        (&json!("https://iana.org/assignments/http-problem-types#quota-exceeded"), &json!("Quota Exceeded"))
    );
    // It is eight in the morning, in UTC, and the day ends at midnight.
    assert_eq!(refused.header("retry-after"), "57600");
    dial.turn(Duration::from_hours(16));
    let token = signer.token(&json!({ "iat": 1_800_057_600, "exp": 1_800_057_900, "jti": "2" }));
    assert_eq!(fetch(&service, "/export", &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_route_whose_limit_cannot_be_kept_is_unavailable_and_that_is_no_quota_of_the_caller() {
    let Setup { service, signer, .. } = setup(Limits::new(), Proxies::default()).await;
    let answer = fetch(&service, "/closed", &signer.token(&json!({}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(answer.problem()["type"], json!("about:blank"));
    assert_eq!(answer.problem()["violated-policies"], json!(null));
}

#[tokio::test]
async fn limits_count_by_what_they_say() {
    let limits = Limits::new()
        .limit(Limit::new("organisation", Key::organisation(), Quota::per_day(4)))
        .limit(Limit::new("place", Key::subject().and(Key::route()), Quota::per_hour(2)));
    let Setup { service, signer, .. } = setup(limits, Proxies::default()).await;
    let token = |sub: &str, client: &str, jti: u32| {
        signer.token(&json!({ "sub": sub, "client_id": client, "org": "acme", "jti": jti.to_string() }))
    };
    let status = async |path, token: &str| fetch(&service, path, token).await.status.as_u16();
    assert_eq!(status("/things/1", &token("alice", "web", 1)).await, 200);
    assert_eq!(status("/things/2", &token("alice", "app", 2)).await, 200);
    let refused = fetch(&service, "/things/3", &token("alice", "web", 3)).await;
    assert_eq!(refused.problem()["violated-policies"], json!(["place"]), "one template is one route");
    assert_eq!(status("/me", &token("alice", "web", 4)).await, 200);
    assert_eq!(status("/things/1", &token("bob", "web", 5)).await, 200);
    let refused = fetch(&service, "/me", &token("carol", "web", 6)).await;
    assert_eq!(refused.problem()["violated-policies"], json!(["organisation"]));
    let alone = signer.token(&json!({ "sub": "carol", "jti": "7" }));
    assert_eq!(status("/me", &alone).await, 200, "who has no organisation is none of theirs");
}

#[tokio::test]
async fn a_partition_key_is_shown_where_it_is_wanted_and_names_nobody() {
    let limits = Limits::new().by_identity(Quota::per_hour(9)).partition_keys().secret([7; 32]);
    let Setup { service, signer, .. } = setup(limits, Proxies::default()).await;
    let answer = async |sub: &str| fetch(&service, "/me", &signer.token(&json!({ "sub": sub }))).await;
    let partition = |answer: &Answer, field| answer.header(field).split_once(";pk=:").unwrap().1.to_owned();
    let (alice, bob) = (answer("alice").await, answer("bob").await);
    assert_eq!(partition(&alice, "ratelimit"), partition(&alice, "ratelimit-policy"));
    assert_ne!(partition(&alice, "ratelimit"), partition(&bob, "ratelimit"));
    assert_eq!(partition(&alice, "ratelimit").len(), 13, "eight bytes");
    assert_eq!(partition(&alice, "ratelimit"), partition(&answer("alice").await, "ratelimit"));
}

#[tokio::test]
async fn without_a_secret_partition_keys_are_by_one_that_the_guard_draws() {
    let shown = async |drawn: u8| {
        let signer = Signer::eddsa("a");
        let limits = Limits::new().by_identity(Quota::per_hour(9)).partition_keys();
        let guard = builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, jwks([&signer])));
        let guard = guard.limits(limits).entropy(Entropy::from_fn(move |bytes| bytes.fill(drawn)));
        let answer =
            fetch(&service(&guard.build().await.unwrap()), "/orders", &signer.token(&json!({}))).await;
        answer.header("ratelimit").split_once(";pk=:").unwrap().1.to_owned()
    };
    assert_eq!(shown(1).await, shown(1).await);
    assert_ne!(shown(1).await, shown(2).await);
}

#[tokio::test]
async fn a_refusal_shows_the_count_of_the_caller_and_of_nobody_else() {
    let limits = Limits::new().by_identity(Quota::per_hour(5)).by_address(Quota::per_hour(50));
    let Setup { service, signer, .. } = setup(limits, Proxies::default()).await;
    for _ in 0..4 {
        with_token(&service, "/me", &signer.token(&json!({}))).await;
    }
    // Whoever names alice without her token learns nothing of how much she asks.
    let forged = Signer::es256("a").token(&json!({}));
    let answer = with_token(&service, "/me", &forged).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(!answer.header("ratelimit").contains("identity"), "{answer:?}");
}
