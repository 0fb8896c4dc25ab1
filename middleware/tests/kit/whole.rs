//! The kit and a guard that is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use portcullis_guard::test_util::{Fault, Issuer, ProofKey, Target, attack_suite};
use portcullis_guard::{
    Clock, CookieTokens, Cors, Csrf, Dpop, Guard, GuardExt, GuardedRouter, Html, InputPolicy, Policy,
    PolicyEndpoint, Principal, SecurityHeaders, SharedPolicy, authenticated, rbac,
};
use portcullis_policy::{PolicySource, Snapshot};
use tower::ServiceExt;

const AUDIENCE: &str = "https://orders.test";
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn app(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route(
            "/v1/orders",
            get(async |who: Principal| who.subject().to_owned()).guard(rbac("orders", "read")),
        )
        .route("/v1/orders", post(async |body: String| body).guard(rbac("orders", "create")))
        .route("/me", get(async |who: Principal| who.subject().to_owned()).guard(authenticated()))
        .guarded_by(guard)
}

pub(crate) fn clock() -> (Arc<AtomicU64>, Clock) {
    let secs = Arc::new(AtomicU64::new(NOW));
    let hand = Arc::clone(&secs);
    (secs, Clock::from_fn(move || Duration::from_secs(hand.load(Ordering::Relaxed))))
}

pub(crate) async fn status(app: &Router, token: &str) -> StatusCode {
    let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn a_guard_refuses_every_attack_on_a_route_with_a_body_and_on_one_without() {
    let issuer = Issuer::start().await.unwrap();
    let rules = "p, clerk, *, orders, read\np, clerk, *, orders, create";
    let policy = SharedPolicy::new(Snapshot::compile(&PolicySource::with_default_model(rules), 1).unwrap());
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .policy(Policy::shared(policy))
        .dpop(Dpop::new());
    let app = app(&guard.build().await.unwrap());
    let token = issuer.mint(AUDIENCE).roles(["clerk"]).token();
    for (target, least) in [
        (Target::get("/v1/orders", &token), 180),
        (Target::post("/v1/orders", &token, r#"{"item":"a gate","amount":1}"#), 200),
    ] {
        let report = attack_suite(&app, &issuer, &target).await;
        report.assert_all_refused();
        assert!(report.attacks() >= least, "{}", report.attacks());
    }
}

#[tokio::test]
async fn a_guard_that_takes_cookies_refuses_pages_of_others() {
    let issuer = Issuer::start().await.unwrap();
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .cookie_tokens(CookieTokens::named("__Host-orders"))
        .csrf(Csrf::origins(["https://orders.test"]))
        .cors(Cors::origins(["https://app.test"]).credentials())
        .headers(SecurityHeaders::api());
    let guard = guard.build().await.unwrap();
    let app = GuardedRouter::new()
        .route("/v1/orders", get(async || "orders").guard(authenticated()))
        .route("/v1/orders", post(async |body: String| body).guard(authenticated()))
        .guarded_by(&guard);
    let token = issuer.mint(AUDIENCE).token();
    for (target, least) in [
        (Target::get("/v1/orders", &token), 205),
        (Target::post("/v1/orders", &token, r#"{"item":"a gate","amount":1}"#), 240),
    ] {
        let report =
            attack_suite(&app, &issuer, &target.cookie("__Host-orders", "https://orders.test")).await;
        report.assert_all_refused();
        assert!(report.attacks() >= least, "{}", report.attacks());
    }
}

/// A service that looks at cookies and takes everybody's word, and lets everybody read.
#[tokio::test]
async fn a_service_that_trusts_pages_of_others_is_found_out() {
    let issuer = Issuer::start().await.unwrap();
    let guard = Guard::oidc(issuer.url(), AUDIENCE).await.unwrap();
    let guarded = app(&guard);
    let service = tower::service_fn(move |mut request: Request<portcullis_guard::Body>| {
        let guarded = guarded.clone();
        async move {
            let headers = request.headers_mut();
            let origin = headers.get("origin").cloned();
            let cookie = headers.get("cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let token = cookie.split("__Host-orders=").nth(1).and_then(|rest| rest.split(';').next());
            if let Some(token) = token.map(str::to_owned) {
                headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let mut response = guarded.oneshot(request).await?;
            let allowed = origin.map(|origin| ("access-control-allow-origin".parse().unwrap(), origin));
            response.headers_mut().extend::<Option<(http::HeaderName, http::HeaderValue)>>(allowed);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let token = issuer.mint(AUDIENCE).token();
    let target = Target::get("/me", &token).cookie("__Host-orders", "https://orders.test");
    let report = attack_suite(&service, &issuer, &target).await;
    let found: Vec<&str> = report.unrefused().iter().map(|it| it.attack.as_str()).collect();
    for attack in [
        "a WebSocket with a cookie, from nowhere",
        "a preflight of https://evil.example",
        "a script of null without a token",
        "two tokens in the cookie",
    ] {
        assert!(found.contains(&attack), "{attack}: {report}");
    }
}

#[tokio::test]
async fn the_example_refuses_every_attack_under_rules_from_a_server() {
    let issuer = Issuer::start().await.unwrap();
    issuer.hand_out(AUDIENCE, "orders", "p, clerk, *, orders, *");
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url()), "orders", "secret");
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .policy(Policy::remote(endpoint))
        .input(InputPolicy::strict().html("/note", Html::inline()))
        .manual_refresh();
    let guard = guard.build().await.unwrap();
    assert_eq!(guard.policy_revision(), Some(1));
    let app = crate::orders::app(&guard);
    let token = issuer.mint(AUDIENCE).roles(["clerk"]).token();
    for target in [
        Target::get("/orders", &token),
        Target::post("/orders", &token, r#"{"item":"a gate","note":"<b>soon</b>"}"#),
        Target::get("/orders/1", &token),
    ] {
        attack_suite(&app, &issuer, &target).await.assert_all_refused();
    }
    issuer.hand_out(AUDIENCE, "orders", "p, nobody, *, orders, read");
    guard.refresh().await;
    assert_eq!(guard.policy_revision(), Some(2));
    let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
    assert_eq!(
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
#[should_panic(expected = "the target has to be answered")]
async fn a_service_that_refuses_everything_is_not_called_safe() {
    let issuer = Issuer::start().await.unwrap();
    let guard = Guard::oidc(issuer.url(), AUDIENCE).await.unwrap();
    let token = issuer.mint("https://other.test").token();
    let _ = attack_suite(&app(&guard), &issuer, &Target::get("/me", &token)).await;
}

#[tokio::test]
async fn tokens_are_good_until_a_test_changes_them() {
    let (_, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let keys = portcullis_guard::Issuer::oidc(issuer.url());
    let guard =
        Guard::builder().issuer(keys).audience(AUDIENCE).clock(clock).manual_refresh().build().await.unwrap();
    let app = app(&guard);
    let mint = || issuer.mint(AUDIENCE);
    for (token, expected) in [
        (mint().token(), 200),
        (mint().subject("bob").client("shop").roles(["a"]).scope("a b").token(), 200),
        (mint().expires_in(Duration::ZERO).claim("iat", NOW - 60).claim("exp", NOW - 31).token(), 401),
        (mint().without("sub").token(), 401),
        (mint().claim("tier", "gold").token(), 200),
        (mint().header("typ", "JWT").token(), 401),
        (mint().bound_to(&ProofKey::new()).token(), 401),
        (issuer.mint("https://other.test").token(), 401),
    ] {
        assert_eq!(status(&app, &token).await, expected, "{token}");
    }
    issuer.skew(120);
    assert_eq!(status(&app, &mint().token()).await, 401, "made two minutes from now");
    issuer.skew(-20);
    assert_eq!(status(&app, &mint().token()).await, 200, "within the leeway");
}

#[tokio::test]
async fn a_proof_of_the_kit_is_one() {
    let (_, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let keys = portcullis_guard::Issuer::oidc(issuer.url());
    let guard = Guard::builder().issuer(keys).audience(AUDIENCE).clock(clock).dpop(Dpop::new());
    let app = app(&guard.manual_refresh().build().await.unwrap());
    let key = ProofKey::new();
    let token = issuer.mint(AUDIENCE).bound_to(&key).token();
    let proof = key.proof(("GET", "https://orders.test/me"), &token, NOW);
    let request = Request::get("/me").header("authorization", format!("DPoP {token}")).header("dpop", proof);
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_rotates_its_keys_and_misbehaves_as_it_is_told() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let keys = portcullis_guard::Issuer::oidc(issuer.url());
    let guard =
        Guard::builder().issuer(keys).audience(AUDIENCE).clock(clock).manual_refresh().build().await.unwrap();
    let app = app(&guard);
    let old = issuer.mint(AUDIENCE).expires_in(Duration::from_hours(12)).token();
    assert_eq!(status(&app, &old).await, 200);
    issuer.rotate();
    secs.fetch_add(60, Ordering::Relaxed);
    assert_eq!(status(&app, &issuer.mint(AUDIENCE).token()).await, 200, "the new key is found");
    assert_eq!(status(&app, &old).await, 200, "the old one is published still");
    for fault in [
        Fault::Empty,
        Fault::Html,
        Fault::Huge,
        Fault::Redirect,
        Fault::Status(500),
        Fault::Status(404),
        Fault::UnusableKeys,
    ] {
        issuer.misbehave(fault);
        secs.fetch_add(60, Ordering::Relaxed);
        guard.refresh().await;
        assert_eq!(status(&app, &old).await, 200, "known keys are kept through {fault:?}");
    }
    issuer.misbehave(None);
    issuer.withdraw_old_keys();
    secs.fetch_add(60, Ordering::Relaxed);
    guard.refresh().await;
    assert_eq!(status(&app, &old).await, 401, "its key was withdrawn");
    assert_eq!(status(&app, &issuer.mint(AUDIENCE).token()).await, 200);
}

#[tokio::test]
async fn an_issuer_may_know_nothing_of_openid() {
    let issuer = Issuer::start().await.unwrap();
    issuer.forget_openid(true);
    let guard = Guard::oidc(issuer.url(), AUDIENCE).await.unwrap();
    assert!(guard.is_ready());
    let token = issuer.mint(AUDIENCE).token();
    assert_eq!(status(&app(&guard), &token).await, 200);
}
