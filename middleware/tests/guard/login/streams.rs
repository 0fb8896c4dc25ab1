//! What goes on under a session, and ends with it.

use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{once, pending};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{Decider, GuardExt, GuardedRouter, authenticated};
use serde_json::json;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::login::browser::{Browser, World};
use crate::login::provider::CLIENT;
use crate::signer::NOW;

/// Says something and then nothing more, for ever.
async fn events() -> Response {
    let first = once(std::future::ready(Ok::<_, std::io::Error>(Bytes::from_static(b"data: here\n\n"))));
    let body = Body::from_stream(first.chain(pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn listen(world: &World, browser: &Browser) -> Body {
    let routes = GuardedRouter::new().route("/events", get(events).guard(authenticated()));
    let cookie = format!("__Host-session={}", browser.session().unwrap());
    let request = Request::get("/events").header("cookie", cookie).body(Body::empty()).unwrap();
    let mut body = routes.guarded_by(&world.guard).oneshot(request).await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.data_ref().unwrap().as_ref(), b"data: here\n\n");
    body
}

#[tokio::test]
async fn a_stream_ends_with_the_session_that_it_began_under() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    let mut body = listen(&world, &browser).await;
    let mut other = listen(&world, &world.signed_in().await).await;
    world.guard.refresh().await;
    assert_eq!(world.guard.status().streams, 2);
    browser.submit("/auth/logout").await;
    world.guard.refresh().await;
    assert!(body.frame().await.is_none(), "it is over");
    assert_eq!(world.guard.status().streams, 1, "that of another session goes on");

    let token = world.provider.sign(
        "logout+jwt",
        &json!({
            "iss": world.provider.url, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "l1", "sid": "s1",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        }),
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    browser.ask("POST", "/auth/backchannel-logout", &form, &format!("logout_token={token}")).await;
    world.guard.refresh().await;
    assert!(other.frame().await.is_none());
}

/// What a handler holds that goes on after its answer, of a request with the session of a browser.
async fn held(world: &World, browser: &Browser) -> Decider {
    type Sender = mpsc::UnboundedSender<Decider>;
    let hand_out = async |Extension(sender): Extension<Sender>, decider: Decider| {
        sender.send(decider).unwrap();
    };
    let (sender, mut deciders) = mpsc::unbounded_channel();
    let routes = GuardedRouter::new().route("/begin", get(hand_out).guard(authenticated()));
    let service = routes.guarded_by(&world.guard).layer(Extension(sender));
    let cookie = format!("__Host-session={}", browser.session().unwrap());
    let request = Request::get("/begin").header("cookie", cookie).body(Body::empty()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::OK);
    deciders.recv().await.unwrap()
}

/// The answers to a question now, and to one that may wait.
async fn asked(decider: &Decider) -> [u16; 2] {
    let any = authenticated();
    [decider.decide(&any), decider.decide_when_known(&any).await]
        .map(|outcome| outcome.map_or_else(|rejection| rejection.status().as_u16(), |_| 200))
}

#[tokio::test]
async fn a_handler_that_asks_after_the_sign_out_is_told_that_it_is_over() {
    let world = World::new().await;
    let (mut browser, other) = (world.signed_in().await, world.signed_in().await);
    let (own, others) = (held(&world, &browser).await, held(&world, &other).await);
    assert_eq!((asked(&own).await, asked(&others).await), ([200; 2], [200; 2]));
    browser.submit("/auth/logout").await;
    // The access token is good for as long as before.
    assert_eq!((asked(&own).await, asked(&others).await), ([401; 2], [200; 2]));
}
