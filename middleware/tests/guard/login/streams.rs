//! What goes on under a session, and ends with it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{once, pending};
use http::Request;
use http_body_util::BodyExt;
use portcullis_guard::{GuardExt, GuardedRouter, authenticated};
use serde_json::json;
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
