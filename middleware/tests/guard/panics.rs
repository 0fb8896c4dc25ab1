//! Handlers that panic.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use http::{Request, Response, StatusCode};
use portcullis_guard::{
    Caps, Guard, GuardBuilder, GuardExt, GuardedRouter, Limits, Permit, Quota, RouteTable, SecurityHeaders,
    authenticated, public,
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use crate::outages::Log;
use crate::service::{Answer, fetch, guard_of, request, send};
use crate::signer::Signer;

const SECRET: &str = "the password is swordfish";

fn panicking() -> &'static str {
    panic!("{SECRET}\nand a line")
}

fn app(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/panic/{id}", get(async || panicking()).guard(authenticated()))
        .route("/open", get(async || panicking()).guard(public()))
        .route("/body", post(async |_: String| panicking()).guard(authenticated()))
        .route("/permit", get(async |_: Permit| panicking()).guard(authenticated()))
        .route("/well", get(async || "well").guard(authenticated()))
        .guarded_by(guard)
}

fn expect_failure(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{answer:?}");
    let problem = answer.problem();
    let told = (problem["code"].as_str(), problem["title"].as_str());
    assert_eq!(told, (Some("internal"), Some("Internal Server Error")));
    assert!(!format!("{answer:?}").contains("swordfish"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
}

fn edged(signer: &Signer) -> GuardBuilder {
    let caps = Caps::new().in_flight(1).head_within(Duration::from_mins(1));
    guard_of(signer).request_ids().headers(SecurityHeaders::api()).caps(caps)
}

// HT-21
#[tokio::test]
async fn a_handler_that_panics_is_answered_by_a_problem_that_tells_nothing() {
    let signer = Signer::es256("a");
    let token = signer.token(&json!({}));
    for guard in [guard_of(&signer), edged(&signer)] {
        let app = app(&guard.build().await.unwrap());
        for path in ["/panic/7", "/open", "/permit"] {
            expect_failure(&fetch(&app, path, &token).await);
        }
        let body = request("POST", "/body", &token).header("content-type", "application/json");
        expect_failure(&send(&app, body.body(Body::from("{}")).unwrap()).await);
        assert_eq!(fetch(&app, "/well", &token).await.body, "well", "the one place is free again");
    }
}

#[tokio::test]
async fn its_answer_is_dressed_and_named_as_any_other_and_the_log_says_it_once() {
    let signer = Signer::es256("a");
    let app = app(&edged(&signer).build().await.unwrap());
    let (log, _set) = Log::begin();
    let answer = fetch(&app, "/panic/7", &signer.token(&json!({}))).await;
    expect_failure(&answer);
    let well = fetch(&app, "/well", &signer.token(&json!({}))).await;
    for name in ["content-security-policy", "x-content-type-options", "referrer-policy"] {
        assert_eq!(answer.header(name), well.header(name), "{name}");
    }
    let id = answer.header("x-request-id");
    let lines = log.lines();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    for said in [
        "ERROR".to_owned(),
        format!("request.id={id}"),
        r#"http.route="/panic/{id}""#.to_owned(),
        format!(r#"the handler panicked: "{SECRET}\nand a line""#),
    ] {
        assert!(id.starts_with("req_") && line.contains(&said), "{said}: {line}");
    }
}

#[tokio::test]
async fn the_log_has_the_route_of_a_handler_behind_a_layer_of_its_own_as_well() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let layer = || guard.require(authenticated());
    let app = Router::new()
        .route("/panic/{id}", get(async || panicking()).layer(layer()))
        .route("/body/{id}", post(async |_: String| panicking()).layer(layer()));
    let (log, _set) = Log::begin();
    let token = signer.token(&json!({}));
    let body = || request("POST", "/body/7", &token).header("content-type", "application/json");
    for (asked, route) in [
        (request("GET", "/panic/7", &token).body(Body::empty()), "/panic/{id}"),
        (body().body(Body::from("{}")), "/body/{id}"),
    ] {
        expect_failure(&send(&app, asked.unwrap()).await);
        let lines = log.lines();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains(&format!(r#"http.route="{route}""#)), "{line}");
    }
}

// HT-21
#[tokio::test]
async fn what_was_held_for_it_is_given_back_and_what_it_cost_is_spent() {
    let signer = Signer::es256("a");
    let limits = Limits::new().by_address(Quota::per_minute(3));
    let guard = edged(&signer).limits(limits).build().await.unwrap();
    let app = app(&guard);
    let token = signer.token(&json!({}));
    let mut statuses = Vec::new();
    for path in ["/permit", "/panic/7", "/well", "/well"] {
        let mut asked = request("GET", path, &token).body(Body::empty()).unwrap();
        asked.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        let answer = send(&app, asked).await;
        assert!(answer.header("ratelimit").contains("address"), "{answer:?}");
        statuses.push(answer.status.as_u16());
        guard.refresh().await;
        assert_eq!(guard.status().streams, 0, "nobody goes by the permit any more");
    }
    assert_eq!(statuses, [500, 500, 200, 429]);
}

/// A service that panics when it is called, or when its answer is awaited.
fn failing<B: 'static>(
    at_once: bool,
) -> impl tower::Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static {
    service_fn(move |_: Request<B>| {
        if at_once {
            panicking();
        }
        async { Ok(Response::new(Body::from(panicking()))) }
    })
}

#[tokio::test]
async fn a_layer_between_the_edge_and_the_guard_may_panic_as_well() {
    let signer = Signer::es256("a");
    let guard = edged(&signer).build().await.unwrap();
    for at_once in [true, false] {
        let app = Router::new().fallback_service(failing(at_once)).layer(guard.edge());
        for _ in 0..2 {
            let answer = fetch(&app, "/", "").await;
            expect_failure(&answer);
            assert!(answer.header("x-request-id").starts_with("req_"));
        }
    }
}

#[tokio::test]
async fn a_service_of_plain_tower_is_answered_for_and_a_call_of_grpc_by_its_status() {
    let signer = Signer::es256("a");
    let guard = edged(&signer).build().await.unwrap();
    for at_once in [true, false] {
        let table = RouteTable::new().route("/a.B/C", authenticated()).grpc().guarded_by(&guard).unwrap();
        let service = table.layer(failing(at_once));
        for (media, status, grpc) in [("application/grpc", 200, Some("13")), ("text/plain", 500, None)] {
            let asked = request("POST", "/a.B/C", &signer.token(&json!({}))).header("content-type", media);
            let answer = service.clone().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{media}");
            let told = answer.headers().get("grpc-status").map(|value| value.to_str().unwrap());
            assert_eq!(told, grpc, "{media}");
            assert!(answer.headers().contains_key("x-request-id"));
        }
    }
}

#[tokio::test]
async fn who_panics_because_the_body_broke_off_did_so_for_the_client() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).caps(Caps::new().body(8)).build().await.unwrap();
    let reading = post(async |body: Body| {
        axum::body::to_bytes(body, usize::MAX).await.unwrap();
        "read"
    });
    let app = GuardedRouter::<()>::new().route("/raw", reading.guard(authenticated())).guarded_by(&guard);
    let chunks = ["four", "more", "than"].map(Ok::<_, Infallible>);
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let asked = request("POST", "/raw", &signer.token(&json!({})));
    let asked = asked.header("content-type", "application/octet-stream");
    let answer = send(&app, asked.body(body).unwrap()).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
}
