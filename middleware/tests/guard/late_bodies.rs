//! Bodies that the guard waits for, while what opened the route goes.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use futures_util::{FutureExt, stream};
use http::StatusCode;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, Policy, SharedPolicy, authenticated, rbac};
use serde_json::json;
use tokio::sync::mpsc;

use crate::disk::revoked;
use crate::issuer::Answer as Said;
#[cfg(feature = "login")]
use crate::login::browser::{Browser, OWN, World};
use crate::machine::Machine;
use crate::service::{Answer, Dial, builder, policy, request, send};
use crate::signer::{ISSUER, NOW, Signer, jwks};

/// A body that comes piece by piece, as the test sends it.
fn dribbled() -> (mpsc::UnboundedSender<&'static str>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let next = async |mut receiver: mpsc::UnboundedReceiver<&'static str>| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), receiver))
    };
    (sender, Body::from_stream(stream::unfold(receiver, next)))
}

fn service(guard: &Guard) -> Router {
    let write = || post(async |body: Bytes| body);
    GuardedRouter::new()
        .route("/any", write().guard(authenticated()))
        .route("/orders", write().guard(rbac("orders", "create")))
        .guarded_by(guard)
}

/// The answer to a request whose body ends after `meanwhile`.
async fn sent_around(app: &Router, request: http::request::Builder, meanwhile: impl AsyncFnOnce()) -> Answer {
    let (pieces, body) = dribbled();
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let mut answer = Box::pin(send(app, request));
    pieces.send("{\"a\":").unwrap();
    assert!((&mut answer).now_or_never().is_none(), "it waits for the body");
    meanwhile().await;
    pieces.send("1}").unwrap();
    drop(pieces);
    answer.await
}

#[tokio::test]
async fn a_body_that_is_late_is_read_where_nothing_has_changed() {
    let (signer, dial) = (Signer::eddsa("a"), Dial::new());
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer]))).build().await.unwrap();
    let token = signer.token(&json!({ "exp": NOW + 100 }));
    let answer = sent_around(&service(&guard), request("POST", "/any", &token), async || {
        dial.turn(Duration::from_secs(99));
    })
    .await;
    assert_eq!(answer.body, "{\"a\":1}");
}

#[tokio::test]
async fn a_token_that_expires_meanwhile_opens_nothing() {
    let (signer, dial) = (Signer::eddsa("a"), Dial::new());
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer]))).build().await.unwrap();
    let token = signer.token(&json!({ "exp": NOW + 100 }));
    let answer = sent_around(&service(&guard), request("POST", "/any", &token), async || {
        dial.turn(Duration::from_hours(20));
    })
    .await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "invalid_token"));
}

#[tokio::test]
async fn a_right_that_is_taken_away_meanwhile_opens_nothing() {
    let (signer, dial) = (Signer::eddsa("a"), Dial::new());
    let rules = SharedPolicy::new(policy("p, viewer, *, orders, create", 1));
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer])));
    let guard = guard.policy(Policy::shared(rules.clone())).build().await.unwrap();
    let token = signer.token(&json!({}));
    let answer = sent_around(&service(&guard), request("POST", "/orders", &token), async || {
        rules.store(policy("p, admin, *, orders, create", 2));
        guard.refresh().await;
    })
    .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_that_is_revoked_meanwhile_opens_nothing() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, "p, viewer, *, orders, create", &json!({}));
    let guard = machine.start().await;
    let token = machine.token(&machine.signer);
    let answer = sent_around(&service(&guard), request("POST", "/orders", &token), async || {
        machine.issuer.say(Said::Document(revoked("web")));
        guard.refresh().await;
    })
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

/// A service whose pages send bodies, and what a page sends with the cookies of a browser.
#[cfg(feature = "login")]
fn from_page(world: &World, browser: &Browser) -> (Router, http::request::Builder) {
    let app = GuardedRouter::new()
        .route("/write", post(async |body: Bytes| body).guard(authenticated()))
        .guarded_by(&world.guard);
    let cookie: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = http::Request::post("/write")
        .header("cookie", cookie.join("; "))
        .header("origin", OWN)
        .header("sec-fetch-site", "same-origin");
    (app, request)
}

#[cfg(feature = "login")]
#[tokio::test]
async fn a_session_whose_token_expires_meanwhile_goes_on_under_another() {
    let world = World::new().await;
    let browser = world.signed_in().await;
    let (app, from_page) = from_page(&world, &browser);
    world.dial.turn(Duration::from_secs(290));
    let answer = sent_around(&app, from_page, async || world.dial.turn(Duration::from_mins(1))).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "{\"a\":1}"));
    assert_eq!(world.provider.told().asked.renewals, 1);
}

#[cfg(feature = "login")]
#[tokio::test]
async fn a_session_whose_time_is_over_meanwhile_opens_nothing() {
    let world = World::new().await;
    let browser = world.signed_in().await;
    let (app, from_page) = from_page(&world, &browser);
    let answer = sent_around(&app, from_page, async || {
        world.dial.turn(Duration::from_hours(24 * 40));
    })
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[cfg(feature = "login")]
#[tokio::test]
async fn a_session_that_ends_meanwhile_opens_nothing() {
    let world = World::new().await;
    let browser = world.signed_in().await;
    let (app, from_page) = from_page(&world, &browser);
    let mut other = browser.clone();
    let answer = sent_around(&app, from_page, async || {
        assert_eq!(other.submit("/auth/logout").await.status, StatusCode::SEE_OTHER);
    });
    let status = answer.await.status;
    assert!(!status.is_success(), "{status}");
}
