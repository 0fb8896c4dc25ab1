//! Answers that go on for long, and end with the permission of their request.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::{FutureExt, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{
    Ended, Guard, GuardBuilder, GuardExt, GuardedRouter, Issuer, Permit, Policy, RouteTable, SharedPolicy,
    authenticated, optional, public, rbac,
};
use serde_json::json;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::disk::revoked;
use crate::issuer::{Answer, TestIssuer};
use crate::machine::Machine;
use crate::service::{Dial, builder, fetch, guard_of, policy, request};
use crate::signer::{NOW, Signer, jwks};

type Sender = mpsc::UnboundedSender<&'static str>;

/// Ends of the streams that a service began, in order.
#[derive(Clone, Default)]
pub(crate) struct Began(Arc<Mutex<Vec<Sender>>>);

impl Began {
    pub(crate) fn body(&self) -> Body {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap().push(sender);
        let next = async |mut receiver: mpsc::UnboundedReceiver<&'static str>| {
            let text = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(Bytes::from(text)), receiver))
        };
        Body::from_stream(stream::unfold(receiver, next))
    }

    pub(crate) fn say(&self, text: &'static str) {
        self.0.lock().unwrap().last().unwrap().send(text).unwrap();
    }
}

fn service(guard: &Guard, began: &Began) -> Router {
    let stream = |media: &'static str| {
        let began = began.clone();
        get(async move || ([("content-type", media)], began.body()))
    };
    GuardedRouter::new()
        .route("/events", stream("text/event-stream; charset=utf-8").guard(rbac("orders", "read")))
        .route("/download", stream("application/octet-stream").guard(authenticated()))
        .route("/open", stream("text/event-stream").guard(public()))
        .route("/either", stream("text/event-stream").guard(optional()))
        .route("/recent", stream("text/event-stream").guard(authenticated().max_age(Duration::from_mins(1))))
        .route("/short", get(async || "short").guard(authenticated()))
        .guarded_by(guard)
}

const RULES: &str = "p, viewer, *, orders, read\np, user:bob, *, orders, read";

/// A guard by rules that the test changes, and the time that it shows.
struct Setup {
    signer: Signer,
    dial: Dial,
    rules: SharedPolicy,
    began: Began,
    guard: Guard,
    service: Router,
}

impl Setup {
    async fn new() -> Self {
        let (signer, dial) = (Signer::eddsa("a"), Dial::new());
        let rules = SharedPolicy::new(policy(RULES, 1));
        let builder = builder(&dial).issuer(Issuer::static_jwks(crate::signer::ISSUER, jwks([&signer])));
        Self::of(signer, dial, builder.policy(Policy::shared(rules.clone())), rules).await
    }

    async fn of(signer: Signer, dial: Dial, builder: GuardBuilder, rules: SharedPolicy) -> Self {
        let began = Began::default();
        let guard = builder.build().await.unwrap();
        let service = service(&guard, &began);
        Self { signer, dial, rules, began, guard, service }
    }

    async fn open(&self, path: &str, claims: &serde_json::Value) -> Body {
        let request = request("GET", path, &self.signer.token(claims)).body(Body::empty()).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.into_body()
    }
}

/// What has come of a body until now: text, its end, or that it broke off.
pub(crate) fn so_far(body: &mut Body) -> Option<Result<String, String>> {
    let Some(frame) = body.frame().now_or_never() else { return Some(Ok(String::new())) };
    frame.map(|frame| {
        let frame = frame.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    })
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_and_not_before() {
    let setup = Setup::new().await;
    let viewer = json!({ "roles": ["viewer"], "exp": NOW + 100 });
    let mut events = setup.open("/events", &viewer).await;
    setup.began.say("data: 1");
    assert_eq!(so_far(&mut events), Some(Ok("data: 1".to_owned())));
    let mut download = setup.open("/download", &viewer).await;
    assert_eq!(setup.guard.status().streams, 2);
    setup.dial.turn(Duration::from_secs(129));
    setup.guard.refresh().await;
    setup.began.say("half of it");
    assert_eq!(
        (so_far(&mut events), so_far(&mut download)),
        (Some(Ok(String::new())), Some(Ok("half of it".to_owned())))
    );
    // The leeway of thirty seconds holds here as well.
    setup.dial.turn(Duration::from_secs(2));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut events), None, "the client may ask again");
    setup.began.say("the other half");
    assert_eq!(so_far(&mut download), Some(Err(Ended::Expired.to_string())), "half a file is no file");
    assert_eq!((so_far(&mut download), setup.guard.status().streams), (None, 0));
}

#[tokio::test]
async fn a_stream_that_waits_is_woken_by_the_task_of_the_guard() {
    let setup = Setup::new().await;
    tokio::time::pause();
    let mut events = setup.open("/events", &json!({ "roles": ["viewer"], "exp": NOW + 100 })).await;
    setup.dial.turn(Duration::from_secs(131));
    // The clock of the runtime moves on by itself while everything waits.
    assert!(events.frame().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_for_whom_the_rules_no_longer_allow_it() {
    let setup = Setup::new().await;
    let mut viewer = setup.open("/events", &json!({ "roles": ["viewer"] })).await;
    let mut bob = setup.open("/events", &json!({ "sub": "bob" })).await;
    let mut both = setup.open("/download", &json!({ "roles": ["viewer"] })).await;
    setup.rules.store(policy("p, user:bob, *, orders, read", 2));
    setup.guard.refresh().await;
    assert_eq!((so_far(&mut viewer), so_far(&mut bob)), (None, Some(Ok(String::new()))));
    assert_eq!(so_far(&mut both), Some(Ok(String::new())), "nobody asks the rules there");
}

#[tokio::test]
async fn a_stream_ends_when_the_sign_in_is_too_long_ago() {
    let setup = Setup::new().await;
    let mut recent = setup.open("/recent", &json!({ "auth_time": NOW - 20 })).await;
    setup.dial.turn(Duration::from_mins(1));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut recent), Some(Ok(String::new())));
    setup.dial.turn(Duration::from_secs(20));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut recent), None);
}

#[tokio::test]
async fn a_stream_ends_when_the_sign_in_is_too_long_ago_for_a_rule_and_when_one_begins_to_ask() {
    let setup = Setup::new().await;
    setup.rules.store(policy("p, viewer, *, orders, read, allow, max_age=60", 2));
    let mut recent = setup.open("/events", &json!({ "auth_time": NOW - 20 })).await;
    setup.dial.turn(Duration::from_mins(1));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut recent), Some(Ok(String::new())));
    setup.rules.store(policy("p, viewer, *, orders, read, allow, max_age=60, dpop", 3));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut recent), None);
    setup.rules.store(policy("p, viewer, *, orders, read, allow, max_age=60", 4));
    let mut late = setup.open("/events", &json!({ "auth_time": NOW - 20 })).await;
    setup.dial.turn(Duration::from_secs(20));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut late), None);
}

#[tokio::test]
async fn streams_of_a_withdrawn_key_end_and_others_go_on_under_new_keys() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let dial = Dial::new();
    let issuer = TestIssuer::start(jwks([&old, &new])).await;
    let rules = SharedPolicy::new(policy(RULES, 1));
    let builder = builder(&dial).issuer(Issuer::oidc(&issuer.url));
    let setup = Setup::of(new, dial, builder, rules).await;
    let mut lasting = setup.open("/download", &json!({ "iss": issuer.url })).await;
    let token = old.token(&json!({ "iss": issuer.url }));
    let request = request("GET", "/download", &token).body(Body::empty()).unwrap();
    let mut withdrawn = setup.service.clone().oneshot(request).await.unwrap().into_body();
    issuer.publish(Answer::Document(jwks([&setup.signer])));
    for _ in 0..2 {
        setup.guard.refresh().await;
        assert_eq!(so_far(&mut lasting), Some(Ok(String::new())));
    }
    assert_eq!(so_far(&mut withdrawn), Some(Err(Ended::Revoked.to_string())));
    // Nobody can ask whether the key is still good.
    issuer.leave();
    setup.dial.turn(Duration::from_hours(48));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut lasting), Some(Err(Ended::Unavailable.to_string())));
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, RULES, &json!({}));
    let guard = machine.start().await;
    let began = Began::default();
    let service = service(&guard, &began);
    let token = machine.signer.token(&json!({ "iss": machine.issuer.url, "roles": ["viewer"] }));
    let request = request("GET", "/download", &token).body(Body::empty()).unwrap();
    let mut stream = service.oneshot(request).await.unwrap().into_body();
    machine.issuer.say(Answer::Document(revoked("other")));
    guard.refresh().await;
    assert_eq!(so_far(&mut stream), Some(Ok(String::new())));
    machine.issuer.say(Answer::Document(revoked("web")));
    guard.refresh().await;
    assert_eq!(so_far(&mut stream), Some(Err(Ended::Revoked.to_string())));
}

#[tokio::test]
async fn what_is_not_bound_to_a_token_and_what_has_a_length_is_not_watched() {
    let setup = Setup::new().await;
    let anonymous = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        setup.service.clone().oneshot(request).await.unwrap().into_body()
    };
    let _open = setup.open("/open", &json!({})).await;
    let _either = anonymous("/either").await;
    assert_eq!(fetch(&setup.service, "/short", &setup.signer.token(&json!({}))).await.body, "short");
    assert_eq!(setup.guard.status().streams, 0);
    let known = setup.open("/either", &json!({})).await;
    assert_eq!(setup.guard.status().streams, 1);
    drop(known);
    assert_eq!(setup.guard.status().streams, 0, "whoever went away is forgotten");
}

#[tokio::test]
async fn a_guard_around_another_has_its_say_as_well() {
    let setup = Setup::new().await;
    let strict = SharedPolicy::new(policy("p, viewer, *, all, use", 1));
    let outer = guard_of(&setup.signer).policy(Policy::shared(strict.clone())).build().await.unwrap();
    let service = Router::new().merge(setup.service.clone()).layer(outer.require(rbac("all", "use")));
    let token = setup.signer.token(&json!({ "roles": ["viewer"] }));
    let request = request("GET", "/events", &token).body(Body::empty()).unwrap();
    let mut events = service.oneshot(request).await.unwrap().into_body();
    strict.store(policy("p, admin, *, all, use", 2));
    setup.guard.refresh().await;
    assert_eq!(so_far(&mut events), None, "whichever looks first");
}

#[tokio::test]
async fn a_call_of_grpc_ends_with_a_status_and_its_messages_break_off() {
    let setup = Setup::new().await;
    let table = RouteTable::new().route("/a.B/Watch", rbac("orders", "read")).grpc();
    let echo = service_fn(async |request: Request<portcullis_guard::Body>| {
        let headers =
            HeaderMap::from_iter([(http::header::CONTENT_TYPE, "application/grpc".parse().unwrap())]);
        let mut response = http::Response::new(request.into_body());
        *response.headers_mut() = headers;
        Ok::<_, std::convert::Infallible>(response)
    });
    let service = table.guarded_by(&setup.guard).unwrap().layer(echo);
    let token = setup.signer.token(&json!({ "roles": ["viewer"] }));
    let request = request("POST", "/a.B/Watch", &token).header("content-type", "application/grpc");
    let response = service.oneshot(request.body(setup.began.body()).unwrap()).await.unwrap();
    let mut answer = Body::from(response.into_body());
    setup.began.say("message");
    assert_eq!(so_far(&mut answer), Some(Ok("message".to_owned())));
    assert_eq!(setup.guard.status().streams, 1, "one permission for both ways");
    setup.rules.store(policy("p, admin, *, orders, read", 2));
    setup.guard.refresh().await;
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["grpc-message"]),
        (
            &"7".parse::<http::HeaderValue>().unwrap(),
            &"the caller may not do this any more".parse::<http::HeaderValue>().unwrap(),
        )
    );
    assert!(answer.frame().await.is_none());
}

#[tokio::test]
async fn messages_of_a_call_break_off_though_it_said_how_long_they_are() {
    let setup = Setup::new().await;
    let table = RouteTable::new().route("/a.B/Put", rbac("orders", "read")).grpc();
    let read = service_fn(async |request: Request<portcullis_guard::Body>| {
        let outcome = request.into_body().collect().await.map(|_| "all").map_err(|error| error.to_string());
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(format!("{outcome:?}"))))
    });
    let service = table.guarded_by(&setup.guard).unwrap().layer(read);
    let token = setup.signer.token(&json!({ "roles": ["viewer"] }));
    let request = request("POST", "/a.B/Put", &token).header("content-type", "application/grpc");
    let slow = Body::new(Declared(setup.began.body()));
    let mut answer = Box::pin(service.oneshot(request.body(slow).unwrap()));
    assert!((&mut answer).now_or_never().is_none());
    setup.rules.store(policy("p, admin, *, orders, read", 2));
    setup.guard.refresh().await;
    let body = answer.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("Err({:?})", Ended::Denied.to_string()));
}

/// A body that says how long it is, as one does that comes with `Content-Length`.
struct Declared(Body);

impl http_body::Body for Declared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(1_000)
    }
}

#[tokio::test]
async fn an_upgrade_is_not_watched_because_messages_of_its_request_are() {
    let setup = Setup::new().await;
    let table = RouteTable::new().route("/a.B/Up", authenticated()).grpc();
    let careless = service_fn(async |_: Request<portcullis_guard::Body>| {
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Ok::<_, std::convert::Infallible>(response)
    });
    let service = table.guarded_by(&setup.guard).unwrap().layer(careless);
    let token = setup.signer.token(&json!({}));
    let request = request("GET", "/a.B/Up", &token).header("content-type", "application/grpc");
    let response = service.oneshot(request.body(setup.began.body()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_handler_may_ask_at_any_moment() {
    let signer = Signer::eddsa("a");
    let rules = SharedPolicy::new(policy(RULES, 1));
    let guard = guard_of(&signer).policy(Policy::shared(rules.clone())).build().await.unwrap();
    let ask = async |permit: Permit, Extension(rules): Extension<SharedPolicy>| {
        let before = permit.check();
        rules.store(policy("p, admin, *, orders, read", 2));
        let who = permit.principal().map(|who| who.subject().to_owned());
        format!("{who:?} {before:?} {:?} {:?}", permit.check(), permit.ended().await)
    };
    let routes =
        GuardedRouter::new().route("/ask", get(ask).guard(rbac("orders", "read"))).guarded_by(&guard);
    let service = routes.layer(Extension(rules));
    let answer = fetch(&service, "/ask", &signer.token(&json!({ "roles": ["viewer"] }))).await;
    assert_eq!(answer.body, r#"Some("alice") Ok(()) Err(Denied) Denied"#);
    let unguarded = Router::new().route("/ask", get(async |_: Permit| "asked"));
    assert_eq!(fetch(&unguarded, "/ask", "").await.status, StatusCode::UNAUTHORIZED);
}
