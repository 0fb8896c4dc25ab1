//! The kit and services that ask the issuer about tokens.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderMap, Request, StatusCode};
use portcullis_guard::test_util::{Fault, Issuer, Target, attack_suite, opaque_attack_suite};
use portcullis_guard::{
    Guard, GuardBuilder, GuardExt, GuardedRouter, Introspection, Principal, authenticated, scope,
};
use serde_json::Value;
use tower::ServiceExt;

const AUDIENCE: &str = "https://orders.test";

fn guard(issuer: &Issuer, ask: impl FnOnce(Introspection) -> Introspection) -> GuardBuilder {
    Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .introspection(ask(Introspection::discovered("orders", "s3cret")))
        .manual_refresh()
}

async fn app(guard: GuardBuilder) -> Router {
    let guard = guard.build().await.unwrap();
    GuardedRouter::new()
        .route("/orders", get(async || "orders").guard(scope("orders")))
        .route("/me", get(async |who: Principal| who.subject().to_owned()).guard(authenticated()))
        .guarded_by(&guard)
}

async fn status(app: &Router, token: &str) -> u16 {
    let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_guard_refuses_every_attack_by_opaque_tokens_and_by_others() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(guard(&issuer, |it| it)).await;
    for signs in [false, true] {
        issuer.sign_answers(signs);
        let token = issuer.mint(AUDIENCE).scope("orders").opaque();
        let report = opaque_attack_suite(&app, &issuer, &Target::get("/orders", &token)).await;
        report.assert_all_refused();
        assert!(report.attacks() >= 90, "{}", report.attacks());
    }
    let token = issuer.mint(AUDIENCE).scope("orders").token();
    attack_suite(&app, &issuer, &Target::get("/orders", &token)).await.assert_all_refused();
}

#[tokio::test]
async fn a_guard_that_asks_about_every_token_refuses_every_attack() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(guard(&issuer, Introspection::every_token)).await;
    let token = issuer.mint(AUDIENCE).scope("orders").token();
    attack_suite(&app, &issuer, &Target::get("/orders", &token)).await.assert_all_refused();
}

/// A service that believes whatever looks like `active`.
async fn credulous(State((client, url)): State<(reqwest::Client, String)>, headers: HeaderMap) -> StatusCode {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
    let question = client
        .post(format!("{url}/introspect"))
        .basic_auth("orders", Some("s3cret"))
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = question.body(body).send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if answer["active"] == true { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the service under test is not one of ours")]
async fn a_service_that_believes_what_is_active_is_found_out() {
    let issuer = Issuer::start().await.unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let state = (reqwest::Client::new(), issuer.url().to_owned());
    let app = Router::new().route("/orders", get(credulous)).with_state(state);
    let token = issuer.mint(AUDIENCE).opaque();
    let report = opaque_attack_suite(&app, &issuer, &Target::get("/orders", &token)).await;
    let found: Vec<&str> = report.unrefused().iter().map(|it| it.attack.as_str()).collect();
    for attack in [
        "a token with aud \"https://other.test\"",
        "a token without aud",
        "a token with token_type \"refresh_token\"",
        "a token without token_type",
        "a token with cnf {\"jkt\":\"AAAA\"}",
        "a token that is active twice",
        "a token whose answer is a page",
    ] {
        assert!(found.contains(&attack), "{attack}: {found:#?}");
    }
}

#[tokio::test]
async fn an_issuer_takes_tokens_back_and_misbehaves_as_it_is_told() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(guard(&issuer, |it| it.every_token().remember_for(std::time::Duration::ZERO))).await;
    let (opaque, jwt) = (issuer.mint(AUDIENCE).opaque(), issuer.mint(AUDIENCE).token());
    assert_eq!((status(&app, &opaque).await, status(&app, &jwt).await, issuer.questions()), (200, 200, 2));
    issuer.misbehave(Fault::Status(500));
    assert_eq!(status(&app, &opaque).await, 503);
    issuer.misbehave(None);
    issuer.take_back(&opaque);
    assert_eq!((status(&app, &opaque).await, status(&app, &jwt).await), (401, 200));
    issuer.misbehave(Fault::Stall);
    tokio::time::pause();
    assert_eq!(status(&app, &jwt).await, 503);
}
