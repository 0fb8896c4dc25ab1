//! Files and forms with files, as a client sends them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::middleware::{Next, from_fn};
use axum::routing::post;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{
    Field, GuardExt, GuardedRouter, Html, InputPolicy, OnAxum, RouteTable, Uploads, authenticated, public,
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{Answer, guard_of, request, send};
use crate::signer::Signer;

/// A service that says the body again as far as it got it, and how often a body ended well.
async fn service(signer: &Signer, ended: &Arc<AtomicUsize>) -> Router {
    let policy = InputPolicy::strict()
        .html("/note", Html::inline())
        .field("/title", Field::line())
        .uploads(Uploads::new().types(["image/png"]).strip_names().max_body(64 * 1024));
    let guard = guard_of(signer).input(policy).build().await.unwrap();
    let ended = Arc::clone(ended);
    let echo = async move |mut body: Body| {
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => whole.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => return (StatusCode::BAD_REQUEST, whole),
            }
        }
        ended.fetch_add(1, Ordering::Relaxed);
        (StatusCode::OK, whole)
    };
    GuardedRouter::new().route("/upload", post(echo).guard(authenticated())).guarded_by(&guard)
}

async fn upload(body: impl Into<Body>, headers: &[(&str, &str)]) -> (Answer, usize) {
    let signer = Signer::eddsa("a");
    let ended = Arc::new(AtomicUsize::new(0));
    let service = service(&signer, &ended).await;
    let request = request("POST", "/upload", &signer.token(&json!({})))
        .header("content-type", "multipart/form-data; boundary=xy");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    (send(&service, request.body(body.into()).unwrap()).await, ended.load(Ordering::Relaxed))
}

fn form(parts: &[(&str, &str, &str)]) -> String {
    let part = |(disposition, content_type, content): &(&str, &str, &str)| {
        format!(
            "--xy\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {content_type}\r\n\r\n{content}\r\n"
        )
    };
    parts.iter().map(part).collect::<String>() + "--xy--\r\n"
}

const GIF: &str = "GIF89a";

#[tokio::test]
async fn what_is_right_passes_and_what_is_declared_is_put_right() {
    let right = form(&[("name=title", "text/plain", "AT&T <3"), ("name=f; filename=\"\"", "image/png", "")]);
    let (answer, ended) = upload(right.clone(), &[]).await;
    assert_eq!((answer.status, answer.body, ended), (StatusCode::OK, right, 1));
    let dirty = form(&[("name=note", "text/plain", "<b onclick=x>hi</b><script>y</script>")]);
    let (answer, _) = upload(dirty.clone(), &[]).await;
    assert_eq!(answer.body, form(&[("name=note", "text/plain", "<b>hi</b>")]));
    let (answer, ended) = upload(dirty, &[("content-digest", "sha-256=:x:")]).await;
    assert_eq!((answer.status, ended), (StatusCode::UNPROCESSABLE_ENTITY, 0));
    assert_eq!(answer.problem()["errors"], json!([{ "pointer": "/note", "rule": "signed-body" }]));
}

#[tokio::test]
async fn the_guard_says_what_was_wrong_with_a_body_that_broke_off() {
    for (parts, pointer, rule, status) in [
        ([("name=a", "text/plain", "x"), ("name=title", "text/plain", "a\nb")], "/title", "line-break", 422),
        (
            [("name=a", "text/plain", "x"), ("name=f; filename=a.gif", "image/gif", GIF)],
            "/f",
            "file-type",
            422,
        ),
        (
            [("name=a", "text/plain", "x"), ("name=f; filename=a.png", "image/png", GIF)],
            "/f",
            "file-type",
            422,
        ),
        (
            [("name=a", "text/plain", "x"), ("name=f; filename=\"..\"", "image/png", GIF)],
            "/f",
            "file-name",
            422,
        ),
        ([("name=a", "text/plain", "x"), ("name=\"a", "text/plain", "x")], "", "part-head", 400),
        ([("name=a", "text/plain", "x"), ("name=a", "text/plain", "x")], "/a", "duplicate-field", 422),
    ] {
        let (answer, ended) = upload(form(&parts), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, "invalid_body"), "{rule}");
        let error = answer.problem()["errors"][0].clone();
        assert_eq!((error["pointer"].as_str(), error["rule"].as_str()), (Some(pointer), Some(rule)));
        assert_eq!(ended, 0, "the handler saw the end of it");
    }
}

// HT-11
#[tokio::test]
async fn a_body_that_is_too_long_compressed_or_of_no_boundary_is_refused() {
    let (announced, _) = upload(Body::empty(), &[("content-length", "1000000000")]).await;
    assert_eq!(announced.status, StatusCode::PAYLOAD_TOO_LARGE);
    let head = "--xy\r\nContent-Disposition: form-data; name=f; filename=\"\"\r\n\r\n";
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(1024)));
    let chunks = futures_util::StreamExt::chain(futures_util::stream::iter([Ok(head.to_owned())]), chunks);
    let (endless, ended) = upload(Body::from_stream(chunks), &[]).await;
    assert!(endless.status.is_client_error() && ended == 0, "{endless:?}");
    let (coded, _) = upload(form(&[]), &[("content-encoding", "gzip")]).await;
    assert_eq!(coded.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (typed, _) = upload(form(&[]), &[("content-type", "multipart/form-data; boundary=xz")]).await;
    assert_eq!(typed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_guard_says_what_was_wrong_when_the_service_fails_over_it() {
    let signer = Signer::eddsa("a");
    let guard = guard_of(&signer).input(InputPolicy::strict()).build().await.unwrap();
    let read = service_fn(async |request: Request<portcullis_guard::Body>| {
        request.into_body().collect().await.map(|read| Response::new(Body::from(read.to_bytes())))
    });
    let table = RouteTable::new().route("/upload", authenticated()).guarded_by(&guard).unwrap();
    let service = table.layer(read);
    for (content, status) in [("x", StatusCode::OK), ("\u{1}", StatusCode::UNPROCESSABLE_ENTITY)] {
        let request = request("POST", "/upload", &signer.token(&json!({})))
            .header("content-type", "multipart/form-data; boundary=xy")
            .body(Body::from(form(&[("name=a", "text/plain", content)])))
            .unwrap();
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), status);
    }
}

/// What the guard reads not itself is read by axum, which knows why it broke off.
#[tokio::test]
async fn an_extractor_says_413_where_a_body_gets_longer_than_the_policy_has_it() {
    let signer = Signer::eddsa("a");
    let guard = guard_of(&signer).input(InputPolicy::strict().max_body(8)).build().await.unwrap();
    let read = || post(async |body: Bytes| body);
    let own = GuardedRouter::<()>::new().route("/raw", read().guard(public())).guarded_by(&guard);
    let layer = Router::new().route("/raw", read().layer(guard.require(public())));
    let among =
        (OnAxum::new(guard.require(public())), from_fn(async |asked, next: Next| next.run(asked).await));
    let among = Router::new().route("/raw", read()).layer(among);
    for app in [own, layer, among] {
        for (parts, status) in [(2, StatusCode::OK), (3, StatusCode::PAYLOAD_TOO_LARGE)] {
            let chunks = ["four", "more", "than"].into_iter().take(parts).map(Ok::<_, Infallible>);
            let body = Body::from_stream(futures_util::stream::iter(chunks));
            let asked = Request::post("/raw").header("content-type", "application/octet-stream");
            assert_eq!(send(&app, asked.body(body).unwrap()).await.status, status, "{parts}");
        }
    }
}
