//! Proofs that are used again, and the room that it takes to know them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::routing::get;
use portcullis_guard::{Clock, Dpop, Guard, GuardExt, GuardedRouter, Issuer, Limits, Quota, authenticated};
use serde_json::json;

use crate::bound::{app, ask, bound_token, proof};
use crate::service::guard_of;
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, jwks};

#[tokio::test]
async fn when_no_more_proofs_can_be_remembered_it_is_our_outage() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let app = app(guard_of(&issuer).dpop(Dpop::new().max_proofs(10))).await;
    let (token, other) = (bound_token(&issuer, &key), Signer::es256("o"));
    let named = |jti: &str| proof(&key, &token, &json!({ "jti": jti }), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &named("a")).await.status, 200);
    assert_eq!(ask(&app, "/me", &token, &named("b")).await.status, 503);
    assert_eq!(ask(&app, "/me", &token, &named("a")).await.status, 401, "that one is known");
    let of_other = bound_token(&issuer, &other);
    let first = proof(&other, &of_other, &json!({}), &json!({}));
    assert_eq!(ask(&app, "/me", &of_other, &first).await.status, 200, "one key takes no room from others");
}

#[tokio::test]
async fn whoever_is_over_their_limit_takes_no_room() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let limits = Limits::new().by_identity(Quota::per_minute(1));
    let app = app(guard_of(&issuer).limits(limits).dpop(Dpop::new())).await;
    let token = bound_token(&issuer, &key);
    let named = |jti: &str| proof(&key, &token, &json!({ "jti": jti }), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &named("a")).await.status, 200);
    for _ in 0..2 {
        assert_eq!(ask(&app, "/me", &token, &named("b")).await.status, 429, "it was not taken for used");
    }
}

#[tokio::test]
async fn the_same_guard_around_itself_takes_a_proof_once() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let guard = guard_of(&issuer).dpop(Dpop::new()).build().await.unwrap();
    let inner =
        GuardedRouter::new().route("/me", get(async || "me").guard(authenticated())).guarded_by(&guard);
    let app = inner.layer(guard.require(authenticated()));
    let token = bound_token(&issuer, &key);
    let once = proof(&key, &token, &json!({}), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &once).await.status, 200);
    assert_eq!(ask(&app, "/me", &token, &once).await.status, 401);
}

#[tokio::test]
async fn a_clock_that_is_put_back_makes_no_proof_good_again() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let secs = Arc::new([AtomicU64::new(NOW), AtomicU64::new(0)]);
    let hand = |at: usize| {
        let secs = Arc::clone(&secs);
        move || Duration::from_secs(secs[at].load(Ordering::Relaxed))
    };
    let keys = Issuer::static_jwks(ISSUER, jwks([&issuer]));
    let guard = Guard::builder().audience(AUDIENCE).clock(Clock::new(hand(0), hand(1))).manual_refresh();
    let app = app(guard.issuer(keys).dpop(Dpop::new())).await;
    let token = bound_token(&issuer, &key);
    let first = proof(&key, &token, &json!({}), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &first).await.status, 200);
    for (number, step) in [(1, 121), (2, 121)] {
        secs.iter().for_each(|hand| _ = hand.fetch_add(step, Ordering::Relaxed));
        let later = json!({ "jti": number.to_string(), "iat": NOW + number * step });
        let later = proof(&key, &token, &later, &json!({}));
        assert_eq!(ask(&app, "/me", &token, &later).await.status, 200);
    }
    secs[0].fetch_sub(160, Ordering::Relaxed);
    assert_eq!(ask(&app, "/me", &token, &first).await.code(), "invalid_dpop_proof");
}
