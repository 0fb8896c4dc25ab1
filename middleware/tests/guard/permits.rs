//! Permissions that go on: what they cost to renew, and who looks at them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{
    Ended, Guard, GuardExt, GuardedRouter, Issuer, Key, Limit, Limits, Permit, Quota, RenewError,
    authenticated,
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::service::{Dial, builder, request};
use crate::signer::{ISSUER, NOW, Signer, jwks};

type Sender = mpsc::UnboundedSender<Permit>;

async fn hand_out(Extension(sender): Extension<Sender>, parts: Parts) -> &'static str {
    sender.send(Permit::of(&parts.extensions)).unwrap();
    "begun"
}

/// A guard, the time that it shows, and a service that hands permits out.
struct Setup {
    signer: Signer,
    dial: Dial,
    service: Router,
    permits: mpsc::UnboundedReceiver<Permit>,
}

impl Setup {
    async fn new(limits: Limits) -> Self {
        let (signer, dial) = (Signer::eddsa("a"), Dial::new());
        let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer]))).limits(limits);
        let (sender, permits) = mpsc::unbounded_channel();
        let service = service(&guard.build().await.unwrap()).layer(Extension(sender));
        Self { signer, dial, service, permits }
    }

    fn token(&self, name: &str) -> String {
        self.signer.token(&json!({ "jti": name, "exp": NOW + 100 }))
    }

    async fn answer(&self, path: &str, token: &str) -> Response<Body> {
        let mut request = request("GET", path, token).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        self.service.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, path: &str, token: &str) -> StatusCode {
        self.answer(path, token).await.status()
    }

    async fn body(&self, path: &str, token: &str) -> Body {
        let response = self.answer(path, token).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    async fn begin(&mut self) -> Permit {
        drop(self.body("/begin", &self.token("t1")).await);
        self.permits.recv().await.unwrap()
    }
}

fn service(guard: &Guard) -> Router {
    let endless = async || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    GuardedRouter::new()
        .route("/begin", get(hand_out).guard(authenticated()))
        .route("/stream", get(endless).guard(authenticated()))
        .guarded_by(guard)
}

#[tokio::test]
async fn a_newer_token_counts_as_a_request_of_its_caller_whether_it_is_good_or_not() {
    let by_place = Limit::new("place", Key::subject().and(Key::address()), Quota::per_minute(3));
    for limits in [Limits::new().by_identity(Quota::per_minute(3)), Limits::new().limit(by_place)] {
        let mut setup = Setup::new(limits).await;
        let permit = setup.begin().await;
        assert_eq!(permit.renew(&setup.token("t2")).await, Ok(()));
        assert_eq!(permit.renew("made.up.here").await, Err(RenewError::Token));
        let refused = permit.renew(&setup.token("t3")).await.unwrap_err();
        assert_eq!(refused, RenewError::Limited { retry_after: Duration::from_secs(20) });
        assert_eq!(refused.to_string(), "too many requests: again after 20 s");
        assert_eq!(permit.check(), Ok(()), "it goes on as before");
        assert_eq!(permit.principal().unwrap().token_id(), "t2");
        setup.dial.turn(Duration::from_secs(20));
        assert_eq!(permit.renew(&setup.token("t3")).await, Ok(()));
        assert_eq!(permit.principal().unwrap().token_id(), "t3");
    }
}

#[tokio::test]
async fn a_newer_token_that_is_a_guess_costs_the_address_as_much_as_in_a_request() {
    // A request comes back each second.
    let mut setup = Setup::new(Limits::new().by_address(Quota::per_minute(60).burst(13))).await;
    let permit = setup.begin().await;
    let expired = setup.signer.token(&json!({ "exp": NOW - 100 }));
    // 1 for the request, 1 for what no stranger could have written, 5 for each guess as long as there is something.
    for token in [expired.as_str(), "made.up.here", "made-up", "made.up.again"] {
        assert_eq!(permit.renew(token).await, Err(RenewError::Token), "{token}");
    }
    let limited = Err(RenewError::Limited { retry_after: Duration::from_secs(1) });
    assert_eq!(permit.renew("made.up.here").await, limited);
    assert_eq!(permit.renew(&setup.token("t2")).await, limited, "nobody looks at it");
    assert_eq!(setup.status("/begin", &setup.token("t1")).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (permit.check(), permit.principal().unwrap().token_id()),
        (Ok(()), "t1"),
        "it goes on as before"
    );
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(permit.renew(&setup.token("t2")).await, Ok(()));
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(setup.status("/begin", &setup.token("t1")).await, StatusCode::OK, "a good one costs 1");
}

#[tokio::test]
async fn whoever_is_over_a_limit_of_the_address_spends_nothing_of_the_caller() {
    let limits = Limits::new().by_address(Quota::per_minute(1)).by_identity(Quota::per_hour(2));
    let mut setup = Setup::new(limits).await;
    let permit = setup.begin().await;
    let limited = Err(RenewError::Limited { retry_after: Duration::from_mins(1) });
    for _ in 0..5 {
        assert_eq!(permit.renew(&setup.token("t2")).await, limited);
    }
    setup.dial.turn(Duration::from_mins(1));
    assert_eq!(permit.renew(&setup.token("t2")).await, Ok(()));
}

#[tokio::test]
async fn where_there_are_no_limits_a_permission_is_renewed_as_often_as_it_likes() {
    let mut setup = Setup::new(Limits::new()).await;
    let permit = setup.begin().await;
    for number in 0..50 {
        assert_eq!(permit.renew(&setup.token(&format!("n{number}"))).await, Ok(()));
    }
}

/// Its clock moves on by itself while everything in it waits.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// How a permission and a body end at a runtime; nothing, if that takes more than ten seconds.
fn ends(at: &Runtime, permit: &Permit, body: &mut Body) -> Option<(Ended, String)> {
    let both = async {
        let ended = permit.ended().await;
        (ended, body.frame().await.unwrap().unwrap_err().to_string())
    };
    at.block_on(async { tokio::time::timeout(Duration::from_secs(10), both).await.ok() })
}

#[test]
fn a_stream_is_watched_by_the_runtime_that_waits_for_it_whatever_becomes_of_others() {
    // One that rests does nothing, and one that has ended takes its tasks along.
    for has_ended in [false, true] {
        let (first, second) = (runtime(), runtime());
        let mut setup = first.block_on(Setup::new(Limits::new()));
        let (token, mut begun) = (setup.token("t1"), Vec::new());
        for at in [&first, &second] {
            let permit = at.block_on(setup.begin());
            begun.push((permit, at.block_on(setup.body("/stream", &token))));
        }
        let first = (!has_ended).then_some(first);
        setup.dial.turn(Duration::from_secs(131));
        // The last one was begun there, and the other one is waited for there now.
        for (permit, body) in begun.iter_mut().rev() {
            let both = (Ended::Expired, Ended::Expired.to_string());
            assert_eq!(ends(&second, permit, body), Some(both), "{has_ended}");
        }
        drop(first);
    }
}

#[test]
fn a_body_that_waits_elsewhere_than_before_is_watched_there() {
    let (first, second) = (runtime(), runtime());
    let setup = first.block_on(Setup::new(Limits::new()));
    let mut body = first.block_on(setup.body("/stream", &setup.token("t1")));
    let waits = async |body: &mut Body| {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
        frame.ok().map(|frame| frame.unwrap().unwrap_err().to_string())
    };
    assert_eq!(first.block_on(waits(&mut body)), None);
    drop(first);
    assert_eq!(second.block_on(waits(&mut body)), None);
    setup.dial.turn(Duration::from_secs(131));
    assert_eq!(second.block_on(waits(&mut body)), Some(Ended::Expired.to_string()));
}
