//! Bounds on requests: what goes beyond is answered, and no place is lost.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::FutureExt;
use futures_util::future::{join, pending};
use futures_util::stream::{StreamExt, iter, once, pending as silence};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{Caps, Guard, GuardExt, GuardedRouter, RouteTable, authenticated, public};
use tokio::io::AsyncWriteExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{Answer, guard_of, send};
use crate::signer::Signer;

fn app(guard: &Guard) -> Router {
    let forever = || {
        let first = once(async { Ok::<_, Infallible>(Bytes::from_static(b"first")) });
        Body::from_stream(first.chain(silence()))
    };
    GuardedRouter::new()
        .route("/open", get(async || "open").guard(public()))
        .route("/health", get(async || "well").guard(public()))
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/never", get(async || pending::<()>().await).guard(public()))
        .route("/stream", get(async move || forever()).guard(public()))
        .route("/events", get(async move || forever()).guard(public()).streams())
        .route("/length", post(async |body: Body| length(body).await).guard(public()))
        .route("/deaf", post(async || "deaf").guard(public()))
        .guarded_by(guard)
}

async fn length(body: Body) -> String {
    body.collect().await.map_or_else(|_| "broken".to_owned(), |body| body.to_bytes().len().to_string())
}

async fn capped(caps: Caps) -> Router {
    app(&guard_of(&Signer::es256("a")).caps(caps).build().await.unwrap())
}

async fn ask(app: &Router, path: &str) -> Answer {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

/// A body that does not say how long it is.
fn chunks(lengths: &'static [usize]) -> Body {
    Body::from_stream(iter(
        lengths.iter().map(|&length| Ok::<_, Infallible>(Bytes::from(vec![b'x'; length]))),
    ))
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("retry-after"), if status == 503 { "1" } else { "" });
}

// HT-11
#[tokio::test]
async fn a_body_that_is_too_long_is_413_whether_it_says_so_or_not() {
    let app = capped(Caps::new().body(10)).await;
    let post = |path: &str, body: Body| send(&app, Request::post(path.to_owned()).body(body).unwrap());
    assert_eq!(post("/length", Body::from("0123456789")).await.body, "10");
    assert_eq!(post("/length", chunks(&[5, 5])).await.body, "10");
    assert_refused(&post("/length", Body::from("0123456789a")).await, 413, "body_too_large");
    assert_refused(&post("/length", chunks(&[5, 5, 1])).await, 413, "body_too_large");
    assert_refused(&post("/length", chunks(&[usize::MAX >> 44])).await, 413, "body_too_large");
    let says = Request::post("/deaf").header("content-length", "11").body(chunks(&[5])).unwrap();
    assert_refused(&send(&app, says).await, 413, "body_too_large");
    assert_eq!(post("/deaf", chunks(&[50])).await.body, "deaf", "what nobody reads is not counted");
    // The input policy reads this one, and is not the one to answer.
    let json = Request::post("/length").header("content-type", "application/json");
    assert_refused(&send(&app, json.body(chunks(&[5, 6])).unwrap()).await, 413, "body_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_told_whose_fault_it_was() {
    for caps in
        [Caps::new().head_within(Duration::from_secs(10)), Caps::new().whole_within(Duration::from_secs(10))]
    {
        let app = capped(caps).await;
        let start = tokio::time::Instant::now();
        assert_refused(&ask(&app, "/never").await, 504, "timeout");
        assert_eq!(start.elapsed().as_secs(), 10);
        let stalled = || Body::from_stream(silence::<Result<Bytes, Infallible>>());
        let slow = Request::post("/length").body(stalled()).unwrap();
        assert_refused(&send(&app, slow).await, 408, "request_timeout");
        assert_eq!(ask(&app, "/open").await.body, "open");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_breaks_off_unless_it_is_a_stream() {
    let caps =
        Caps::new().head_within(Duration::from_secs(1)).whole_within(Duration::from_mins(1)).in_flight(1);
    let app = capped(caps).await;
    let open = |path: &str| app.clone().oneshot(Request::get(path.to_owned()).body(Body::empty()).unwrap());
    let start = tokio::time::Instant::now();
    let mut body = open("/stream").await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let broken = body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(broken.to_string().contains("too long"), "{broken}");
    assert!(body.frame().await.is_none());
    assert_eq!(
        ask(&app, "/open").await.status,
        StatusCode::OK,
        "its place is free, though somebody has the body"
    );
    let mut events = open("/events").await.unwrap().into_body();
    events.frame().await.unwrap().unwrap();
    let waited = tokio::time::timeout(Duration::from_hours(10), events.frame()).await;
    assert!(waited.is_err(), "a stream may be as long as it likes");
}

#[tokio::test]
async fn whoever_comes_when_all_places_are_taken_is_told_to_come_again() {
    let app = capped(Caps::new().in_flight(2).spare("/health")).await;
    let get = |path: &str| app.clone().oneshot(Request::get(path.to_owned()).body(Body::empty()).unwrap());
    let (one, two) = join(get("/stream"), get("/stream")).await;
    assert_refused(&ask(&app, "/open").await, 503, "busy");
    assert_refused(&ask(&app, "/nowhere").await, 503, "busy");
    assert_eq!(ask(&app, "/health").await.body, "well");
    drop(one);
    assert_eq!(ask(&app, "/open").await.status, StatusCode::OK);
    drop(two);
    let spared = capped(Caps::new().in_flight(1).spare("/stream")).await;
    let _open = spared.clone().oneshot(Request::get("/stream").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        ask(&spared, "/open").await.status,
        StatusCode::OK,
        "what is spared takes no place from others"
    );
    // Streams that say so take no place.
    let (one, two) = join(get("/events"), get("/events")).await;
    assert_eq!(ask(&app, "/open").await.status, StatusCode::OK);
    assert!(one.unwrap().status() == StatusCode::OK && two.unwrap().status() == StatusCode::OK);
}

#[tokio::test]
async fn no_place_is_lost_to_clients_that_go_away_nor_to_refusals() {
    let app = capped(Caps::new().in_flight(1).head_within(Duration::from_secs(9)).body(10)).await;
    for _ in 0..20 {
        let mut gone = Box::pin(ask(&app, "/never"));
        assert!((&mut gone).now_or_never().is_none());
        assert_refused(&ask(&app, "/open").await, 503, "busy");
        drop(gone);
        assert_eq!(ask(&app, "/me").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(ask(&app, "/nowhere").await.status, StatusCode::NOT_FOUND);
        let long = Request::post("/length").body(chunks(&[11])).unwrap();
        assert_eq!(send(&app, long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let head = Request::head("/stream").body(Body::empty()).unwrap();
        drop(app.clone().oneshot(head).await.unwrap());
        assert_eq!(ask(&app, "/open").await.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_holds_no_place_for_a_refusal_and_none_when_its_time_is_up() {
    let app = capped(Caps::new().in_flight(1).whole_within(Duration::from_mins(1))).await;
    let open = |path: &str| app.clone().oneshot(Request::get(path.to_owned()).body(Body::empty()).unwrap());
    let unread = [open("/me").await.unwrap(), open("/open").await.unwrap()];
    assert_eq!(ask(&app, "/open").await.status, StatusCode::OK);
    let stream = open("/stream").await.unwrap();
    assert_refused(&ask(&app, "/open").await, 503, "busy");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(ask(&app, "/open").await.status, StatusCode::OK);
    drop((unread, stream));
}

#[tokio::test]
async fn a_connection_that_is_cut_gives_its_place_back() {
    let app = capped(Caps::new().in_flight(1)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = app.clone();
    tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
    for path in ["/never", "/stream"] {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        while ask(&app, "/open").await.status != StatusCode::SERVICE_UNAVAILABLE {
            tokio::task::yield_now().await;
        }
        drop(client);
        while ask(&app, "/open").await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn routes_of_one_guard_share_their_places() {
    let guard = guard_of(&Signer::es256("a")).caps(Caps::new().in_flight(1)).build().await.unwrap();
    let other =
        GuardedRouter::new().route("/other", get(async || "other").guard(public())).guarded_by(&guard);
    // The outer one counts, and only once.
    let app = app(&guard).merge(other).layer(guard.edge());
    assert_eq!(ask(&app, "/other").await.body, "other");
    let held = app.clone().oneshot(Request::get("/stream").body(Body::empty()).unwrap()).await.unwrap();
    assert_refused(&ask(&app, "/other").await, 503, "busy");
    drop(held);
    assert_eq!(ask(&app, "/other").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_caller_is_told_by_a_status_that_it_understands() {
    let signer = Signer::es256("a");
    let caps = Caps::new().body(10).in_flight(1).head_within(Duration::from_secs(5));
    let guard = guard_of(&signer).caps(caps).build().await.unwrap();
    let service = service_fn(async |request: Request<portcullis_guard::Body>| {
        if request.uri().path() == "/a.B/Never" {
            pending::<()>().await;
        }
        let is_empty = http_body::Body::is_end_stream(request.body());
        let length = length(request.into_body().into()).await;
        let body = Body::from(length.repeat(if is_empty { 1 } else { 20_000 }));
        Ok::<_, Infallible>(http::Response::new(body))
    });
    let table = RouteTable::new().route("/a.B/{method}", public()).grpc();
    let service = table.guarded_by(&guard).unwrap().layer(service);
    let call = |path: &str, body: Body| {
        let request = Request::post(path.to_owned()).header("content-type", "application/grpc");
        service.clone().oneshot(request.body(body).unwrap())
    };
    for (path, body, status) in [("/a.B/C", chunks(&[11]), "8"), ("/a.B/Never", Body::empty(), "4")] {
        let answer = call(path, body).await.unwrap();
        assert_eq!(
            (answer.status(), answer.headers()["grpc-status"].to_str().unwrap()),
            (StatusCode::OK, status)
        );
    }
    let held = call("/a.B/C", Body::from("four")).await.unwrap();
    assert_eq!(call("/a.B/C", Body::empty()).await.unwrap().headers()["grpc-status"], "14");
    assert_eq!(held.into_body().collect().await.unwrap().to_bytes().len(), 20_000);
}

#[tokio::test]
async fn bounds_that_let_nothing_through_build_no_guard() {
    let error = guard_of(&Signer::es256("a")).caps(Caps::new().in_flight(0)).build().await.unwrap_err();
    assert_eq!(error.to_string(), "a bound of zero on requests in flight lets nothing through");
}
