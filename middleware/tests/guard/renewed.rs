//! Answers that go on under a newer token than they began with.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::request::Parts;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Issuer, Permit, RenewError, RouteTable, authenticated,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{Dial, builder, request};
use crate::signer::{ISSUER, NOW, Signer, jwks};
use crate::streams::{Began, so_far};

struct Setup {
    signer: Signer,
    dial: Dial,
    guard: Guard,
    began: Began,
}

impl Setup {
    async fn new() -> Self {
        let (signer, dial) = (Signer::eddsa("a"), Dial::new());
        let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer])));
        Self { signer, dial, guard: guard.build().await.unwrap(), began: Began::default() }
    }

    fn token(&self, claims: &Value) -> String {
        self.signer.token(claims)
    }

    async fn after(&self, secs: u64) {
        self.dial.turn(Duration::from_secs(secs));
        self.guard.refresh().await;
    }

    /// Brings tokens that are not taken, and one that is: the stream goes on past the end of its first, and is over with the second.
    async fn outlives_its_first_token(&self, permit: &Permit, body: &mut Body) {
        self.began.say("1");
        assert_eq!(so_far(body), Some(Ok("1".to_owned())));
        let stranger = self.token(&json!({ "sub": "mallory", "exp": NOW + 300 }));
        assert_eq!(permit.renew(&stranger).await, Err(RenewError::Stranger));
        assert_eq!(permit.renew("nothing").await, Err(RenewError::Token));
        assert_eq!(permit.renew(&self.token(&json!({ "exp": NOW + 300 }))).await, Ok(()));
        self.after(131).await;
        assert_eq!(so_far(body), Some(Ok(String::new())), "it would have ended by now");
        self.began.say("2");
        assert_eq!(so_far(body), Some(Ok("2".to_owned())));
        self.after(200).await;
    }
}

#[tokio::test]
async fn an_answer_with_events_goes_on_after_a_newer_token() {
    let setup = Setup::new().await;
    let (sender, mut permits) = mpsc::unbounded_channel();
    let began = setup.began.clone();
    let events = async move |Extension(sender): Extension<mpsc::UnboundedSender<Permit>>, parts: Parts| {
        sender.send(Permit::of(&parts.extensions)).unwrap();
        ([(header::CONTENT_TYPE, "text/event-stream")], began.body())
    };
    let service = GuardedRouter::new()
        .route("/events", get(events).guard(authenticated()))
        .guarded_by(&setup.guard)
        .layer(Extension(sender));
    let token = setup.token(&json!({ "exp": NOW + 100 }));
    let response = service.oneshot(request("GET", "/events", &token).body(Body::empty()).unwrap()).await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let (permit, mut body) = (permits.recv().await.unwrap(), response.into_body());
    setup.outlives_its_first_token(&permit, &mut body).await;
    assert_eq!(so_far(&mut body), None, "the client may ask again");
}

#[tokio::test]
async fn messages_of_a_call_go_on_after_a_newer_token() {
    let setup = Setup::new().await;
    let (sender, mut permits) = mpsc::unbounded_channel();
    let echo = service_fn(move |request: Request<portcullis_guard::Body>| {
        sender.send(Permit::of(request.extensions())).unwrap();
        let mut response = Response::new(request.into_body());
        let kind = (header::CONTENT_TYPE, "application/grpc".parse().unwrap());
        *response.headers_mut() = HeaderMap::from_iter([kind]);
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    let table = RouteTable::new().route("/a.B/Watch", authenticated()).grpc();
    let service = table.guarded_by(&setup.guard).unwrap().layer(echo);
    let token = setup.token(&json!({ "exp": NOW + 100 }));
    let call = request("POST", "/a.B/Watch", &token).header("content-type", "application/grpc");
    let response = service.oneshot(call.body(setup.began.body()).unwrap()).await.unwrap();
    let (permit, mut body) = (permits.recv().await.unwrap(), Body::from(response.into_body()));
    assert_eq!(setup.guard.status().streams, 1, "one permission for both ways");
    setup.outlives_its_first_token(&permit, &mut body).await;
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "16", "who has no good token any more is UNAUTHENTICATED");
    assert!(body.frame().await.is_none());
}
