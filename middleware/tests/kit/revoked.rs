//! The kit and tokens that are revoked.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::test_util::{Fault, Issuer};
use portcullis_guard::{Guard, GuardBuilder, GuardExt, GuardedRouter, Policy, PolicyEndpoint, authenticated};
use tower::ServiceExt;

use crate::whole::clock;

const AUDIENCE: &str = "https://orders.test";

/// A guard that has its rules from the issuer, and so hears of what is revoked.
fn hearing(issuer: &Issuer) -> GuardBuilder {
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url()), "orders", "secret");
    let endpoint = endpoint.revocations_max_stale(Duration::from_mins(1));
    Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .policy(Policy::remote(endpoint))
}

/// `/feed` begins and does not end.
fn app(guard: &Guard) -> Router {
    let feed = async || {
        let begun = stream::iter([Ok::<_, Infallible>(Event::default().data("begun"))]);
        Sse::new(begun.chain(stream::pending()))
    };
    GuardedRouter::new()
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/feed", get(feed).guard(authenticated()))
        .guarded_by(guard)
}

async fn ask(app: &Router, path: &str, token: &str) -> Response<Body> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_guard_that_is_refreshed_hears_of_each_revocation() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    issuer.hand_out(AUDIENCE, "orders", "p, clerk, *, orders, *");
    let guard = hearing(&issuer).clock(clock).manual_refresh().build().await.unwrap();
    let app = app(&guard);
    let status = async |token: &str| ask(&app, "/me", token).await.status();
    let mint = |subject: &str| issuer.mint(AUDIENCE).subject(subject).token();
    let (one, other) = (mint("alice"), mint("alice"));
    issuer.revoke(&one);
    guard.refresh().await;
    assert_eq!((status(&one).await, status(&other).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    issuer.revoke_all_of("alice");
    issuer.revoke("no token at all");
    guard.refresh().await;
    assert_eq!(
        (status(&other).await, status(&mint("bob")).await),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );
    secs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(status(&mint("alice")).await, StatusCode::OK, "she has signed in again");
    assert_eq!(status(&one).await, StatusCode::UNAUTHORIZED);
    issuer.misbehave(Fault::Status(500));
    secs.fetch_add(61, std::sync::atomic::Ordering::Relaxed);
    guard.refresh().await;
    assert_eq!(status(&mint("bob")).await, StatusCode::SERVICE_UNAVAILABLE, "nobody knows what was revoked");
    issuer.misbehave(None);
    guard.refresh().await;
    assert_eq!((status(&mint("bob")).await, status(&one).await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_guard_that_listens_hears_at_once_and_ends_streams() {
    let issuer = Issuer::start().await.unwrap();
    issuer.hand_out(AUDIENCE, "orders", "p, clerk, *, orders, *");
    let guard = hearing(&issuer).build().await.unwrap();
    let app = app(&guard);
    let token = issuer.mint(AUDIENCE).token();
    let mut stream = ask(&app, "/feed", &token).await.into_body();
    let begun = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&begun[..], b"data: begun\n\n");
    issuer.revoke(&token);
    assert!(stream.frame().await.is_none(), "the handler would go on for ever");
    assert_eq!(ask(&app, "/me", &token).await.status(), StatusCode::UNAUTHORIZED);
}
