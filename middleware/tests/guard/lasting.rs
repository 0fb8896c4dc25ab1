//! Streams under tokens that the issuer is asked about.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::FutureExt;
use http::{Request, StatusCode};
use portcullis_guard::{
    Ended, GuardBuilder, GuardExt, GuardedRouter, Introspection, Permit, Policy, PolicyEndpoint, RenewError,
    authenticated,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::disk::revoked;
use crate::introspection::Setup;
use crate::issuer::{Answer, TestIssuer};
use crate::service::request;
use crate::signer::NOW;

/// A service that hands out the permits of its requests.
struct Open {
    setup: Setup,
    service: Router,
    permits: mpsc::UnboundedReceiver<Permit>,
}

type Sender = mpsc::UnboundedSender<Permit>;

async fn hand_out(Extension(sender): Extension<Sender>, parts: Parts) -> &'static str {
    sender.send(Permit::of(&parts.extensions)).unwrap();
    "begun"
}

impl Open {
    async fn new(ask: impl FnOnce(Introspection) -> Introspection) -> Self {
        Self::of(Setup::with(ask, |guard| guard).await)
    }

    fn of(setup: Setup) -> Self {
        let (sender, permits) = mpsc::unbounded_channel::<Permit>();
        let service = GuardedRouter::new()
            .route("/begin", get(hand_out).guard(authenticated()))
            .route("/stale", get(hand_out).guard(authenticated().serve_stale(Duration::from_mins(10))))
            .guarded_by(&setup.guard)
            .layer(Extension(sender));
        Self { setup, service, permits }
    }

    async fn begin(&mut self, token: &str) -> Permit {
        self.begin_at("/begin", token).await
    }

    async fn begin_at(&mut self, path: &str, token: &str) -> Permit {
        let request: Request<Body> = request("GET", path, token).body(Body::empty()).unwrap();
        assert_eq!(self.service.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        self.permits.recv().await.unwrap()
    }

    /// Looks, and once more when the issuer has said what it was asked then: a request with the same token waits for it.
    async fn look(&self, permit: &Permit, token: &str) -> Result<(), Ended> {
        permit.check()?;
        self.setup.status(token).await;
        permit.check()
    }

    fn questions_about(&self, token: &str) -> usize {
        let about = format!("token={token}&");
        self.setup
            .issuer
            .asked()
            .questions
            .iter()
            .filter(|question| question.form.starts_with(&about))
            .count()
    }

    fn turn(&self, secs: u64) {
        self.setup.dial.turn(Duration::from_secs(secs));
    }
}

#[tokio::test]
async fn a_stream_lasts_while_the_issuer_says_so_and_it_is_asked_when_that_is_due() {
    let mut open = Open::new(|it| it).await;
    let token = open.setup.token("opaque-1", &json!({ "exp": NOW + 200 }));
    let permit = open.begin(&token).await;
    open.turn(29);
    assert_eq!((permit.check(), open.setup.issuer.questions()), (Ok(()), 1));
    open.turn(1);
    for round in 2..6 {
        assert_eq!(open.look(&permit, &token).await, Ok(()));
        assert_eq!(open.setup.issuer.questions(), round);
        open.turn(30);
    }
    open.turn(81);
    assert_eq!(permit.check(), Err(Ended::Expired));
    assert_eq!(permit.ended().now_or_never(), Some(Ended::Expired));
}

#[tokio::test]
async fn a_stream_ends_when_the_issuer_takes_the_token_back() {
    let none = |it: Introspection| it.remember_for(Duration::ZERO);
    for (ask, due) in [(None, 30), (Some(none), 5)] {
        let mut open = Open::new(|it| ask.map_or(it.clone(), |ask| ask(it))).await;
        let token = open.setup.token("opaque-1", &json!({}));
        let permit = open.begin(&token).await;
        open.setup.issuer.say_of(&token, &json!({ "active": false }));
        open.turn(due - 1);
        assert_eq!(
            (permit.check(), open.setup.issuer.questions()),
            (Ok(()), 1),
            "it is not asked all the time"
        );
        open.turn(1);
        assert_eq!(open.look(&permit, &token).await, Err(Ended::Revoked));
    }
}

// The clocks may be apart by half a minute. The issuer knows its own.
#[tokio::test]
async fn a_stream_whose_token_has_run_out_ends_so_and_not_as_if_it_were_taken_back() {
    for (lives, end) in [(40, Ended::Expired), (61, Ended::Revoked)] {
        let mut open = Open::new(|it| it).await;
        let token = open.setup.token("opaque-1", &json!({ "exp": NOW + lives }));
        let permit = open.begin(&token).await;
        open.turn(30);
        assert_eq!(open.look(&permit, &token).await, Ok(()));
        open.setup.issuer.say_of(&token, &json!({ "active": false }));
        open.turn(30);
        assert_eq!(open.look(&permit, &token).await, Err(end), "a token of {lives} seconds");
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_issuer_says_nothing_any_more() {
    for instead in [
        Answer::Status(StatusCode::BAD_GATEWAY),
        Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Answer::Document("<html>".to_owned()),
    ] {
        let mut open = Open::new(|it| it).await;
        let token = open.setup.token("opaque-1", &json!({}));
        let permit = open.begin(&token).await;
        open.setup.issuer.asked().instead = Some(instead);
        open.turn(35);
        assert_eq!(open.look(&permit, &token).await, Ok(()), "it goes on for five seconds");
        open.turn(1);
        assert_eq!(open.look(&permit, &token).await, Err(Ended::Unavailable));
    }
}

// One that is left alone is not asked at all: see the circuit.
#[tokio::test]
async fn an_issuer_that_stumbles_is_asked_about_a_stream_again_but_not_at_every_look() {
    let mut open = Open::new(|it| it).await;
    let token = open.setup.token("opaque-1", &json!({}));
    let permit = open.begin(&token).await;
    let stumbles = Answer::Status(StatusCode::INTERNAL_SERVER_ERROR);
    open.setup.issuer.asked().instead = Some(stumbles);
    for (turn, questions) in [(30, 2), (2, 3)] {
        open.turn(turn);
        for number in 0..20 {
            assert_eq!(permit.check(), Ok(()));
            open.setup.status(&format!("other-{turn}-{number}")).await;
        }
        assert_eq!(open.questions_about(&token), questions);
    }
    open.setup.issuer.asked().instead = None;
    open.turn(3);
    assert_eq!(open.look(&permit, &token).await, Ok(()));
    assert_eq!(open.questions_about(&token), 4);
    open.turn(29);
    assert_eq!((permit.check(), open.questions_about(&token)), (Ok(()), 4), "it answers again");
}

#[tokio::test]
async fn a_stream_of_a_route_that_serves_stale_goes_on_for_as_long_as_that_and_until_the_issuer_is_back() {
    for status in [StatusCode::BAD_GATEWAY, StatusCode::INTERNAL_SERVER_ERROR] {
        let mut open = Open::new(|it| it).await;
        let token = open.setup.token("opaque-1", &json!({ "exp": NOW + 4_000 }));
        let permit = open.begin_at("/stale", &token).await;
        open.setup.issuer.asked().instead = Some(Answer::Status(status));
        for turn in [36, 564, 5] {
            open.turn(turn);
            assert_eq!(open.look(&permit, &token).await, Ok(()), "{status}");
        }
        open.turn(1);
        assert_eq!(open.look(&permit, &token).await, Err(Ended::Unavailable), "{status}");

        open.setup.issuer.asked().instead = None;
        open.turn(6);
        let permit = open.begin_at("/stale", &token).await;
        open.setup.issuer.asked().instead = Some(Answer::Status(status));
        open.turn(300);
        assert_eq!(open.look(&permit, &token).await, Ok(()), "{status}");
        open.setup.issuer.asked().instead = None;
        open.setup.issuer.say_of(&token, &json!({ "active": false }));
        open.turn(6);
        assert_eq!(open.look(&permit, &token).await, Err(Ended::Revoked), "{status}");
    }
}

#[tokio::test]
async fn what_a_server_says_was_revoked_ends_streams_at_once_and_nobody_is_asked() {
    let policy = |guard: GuardBuilder, issuer: &TestIssuer| {
        let url = format!("{}/policies/snapshot", issuer.url);
        guard.policy(Policy::remote(PolicyEndpoint::new(url, "orders", "s3cret")))
    };
    let mut open = Open::of(Setup::near(|it| it, policy).await);
    let token = open.setup.token("opaque-1", &json!({ "client_id": "web" }));
    let other = open.setup.token("opaque-2", &json!({ "client_id": "mobile" }));
    let (permit, stays) = (open.begin(&token).await, open.begin(&other).await);
    open.setup.issuer.say(Answer::Document(revoked("web")));
    assert_eq!(permit.check(), Ok(()), "it was not heard yet");
    open.setup.guard.refresh().await;
    assert_eq!(permit.ended().now_or_never(), Some(Ended::Revoked));
    assert_eq!((permit.check(), stays.check()), (Err(Ended::Revoked), Ok(())));
    assert_eq!(open.setup.issuer.questions(), 2);
    let late = open.setup.token("opaque-3", &json!({ "client_id": "web" }));
    assert_eq!(stays.renew(&late).await, Err(RenewError::Token));
}

#[tokio::test]
async fn a_stream_that_cannot_be_renewed_because_nobody_answers_goes_on_as_before() {
    let mut open = Open::new(|it| it).await;
    let token = open.setup.token("opaque-1", &json!({}));
    let permit = open.begin(&token).await;
    open.setup.token("opaque-2", &json!({}));
    open.setup.issuer.asked().instead = Some(Answer::Status(StatusCode::BAD_GATEWAY));
    let refused = permit.renew("opaque-2").await.unwrap_err();
    assert_eq!(refused, RenewError::Unavailable);
    assert_eq!(refused.to_string(), "whether the token is good cannot be found out at the moment");
    assert_eq!(permit.check(), Ok(()));
    open.setup.issuer.asked().instead = None;
    assert_eq!(permit.renew("opaque-2").await, Ok(()));
}

#[tokio::test]
async fn a_stream_does_not_wait_for_an_issuer_that_does_not_answer() {
    let mut open = Open::new(|it| it).await;
    let token = open.setup.token("opaque-1", &json!({}));
    let permit = open.begin(&token).await;
    open.setup.issuer.stall();
    open.turn(30);
    assert_eq!(permit.check(), Ok(()));
    open.turn(6);
    assert_eq!(permit.check(), Err(Ended::Unavailable));
}

#[tokio::test]
async fn a_stream_does_not_go_on_as_somebody_else_or_by_another_key() {
    for change in [json!({ "sub": "mallory" }), json!({ "cnf": { "x5t#S256": "AAAA" } })] {
        let mut open = Open::new(|it| it).await;
        let token = open.setup.token("opaque-1", &json!({}));
        let permit = open.begin(&token).await;
        open.setup.token(&token, &change);
        open.turn(30);
        assert_eq!(open.look(&permit, &token).await, Err(Ended::Revoked), "{change}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_under_a_newer_opaque_token_of_the_same_caller() {
    let mut open = Open::new(|it| it).await;
    let first = open.setup.token("opaque-1", &json!({ "exp": NOW + 60 }));
    let permit = open.begin(&first).await;
    let newer: Value = json!({ "exp": NOW + 280 });
    open.setup.token("opaque-2", &newer);
    open.setup.token("opaque-3", &json!({ "sub": "mallory" }));
    assert_eq!(permit.renew("opaque-3").await, Err(RenewError::Stranger));
    assert_eq!(permit.renew("unknown").await, Err(RenewError::Token));
    assert_eq!(permit.renew("opaque-2").await, Ok(()));
    for _ in 0..4 {
        open.turn(30);
        assert_eq!(open.look(&permit, "opaque-2").await, Ok(()), "although the first one has expired");
    }
}

// They began together, so that the issuer has to be asked about all of them together.
#[tokio::test]
async fn many_streams_wait_for_their_turn_and_leave_requests_their_places() {
    const STREAMS: usize = 500;
    let mut open = Open::new(|it| it).await;
    let mut permits = Vec::with_capacity(STREAMS);
    for number in 0..STREAMS {
        let token = open.setup.token(&format!("opaque-{number}"), &json!({}));
        permits.push(open.begin(&token).await);
    }
    open.setup.issuer.stall();
    open.turn(30);
    assert!(permits.iter().all(|permit| permit.check().is_ok()));
    open.setup.has_been_asked(STREAMS + 32).await;
    let other = open.setup.token("other", &json!({}));
    let request = open.setup.begin(&other);
    open.setup.has_been_asked(STREAMS + 33).await;
    open.setup.issuer.resume();
    assert_eq!(request.await.unwrap(), 200);
    open.setup.has_been_asked(2 * STREAMS + 1).await;
    for number in 0..STREAMS {
        assert_eq!(open.setup.status(&format!("opaque-{number}")).await, 200);
    }
    assert_eq!(
        open.setup.issuer.questions(),
        2 * STREAMS + 1,
        "each was asked about once, and by its stream"
    );
    open.turn(6);
    let ends: Vec<_> = permits.iter().filter_map(|permit| permit.check().err()).collect();
    assert_eq!(ends, []);
}

#[tokio::test]
async fn a_stream_that_waits_for_its_turn_in_vain_ends() {
    let mut open = Open::new(|it| it.max_requests(1)).await;
    let mut permits = Vec::new();
    for number in 0..3 {
        let token = open.setup.token(&format!("opaque-{number}"), &json!({}));
        permits.push(open.begin(&token).await);
    }
    open.setup.issuer.stall();
    open.turn(30);
    assert!(permits.iter().all(|permit| permit.check().is_ok()));
    open.setup.has_been_asked(4).await;
    open.turn(6);
    assert!(permits.iter().all(|permit| permit.check() == Err(Ended::Unavailable)));
    drop((permits, open.permits));
    open.setup.issuer.resume();
    let other = open.setup.token("other", &json!({}));
    assert_eq!(open.setup.status(&other).await, 200);
    assert_eq!(open.setup.issuer.questions(), 5, "nobody is asked for streams that are over");
}
