//! A guard in one line.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use http::StatusCode;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, authenticated};

use crate::issuer::TestIssuer;
use crate::service::{request, send};
use crate::signer::{AUDIENCE, Signer, jwks};

#[tokio::test]
async fn a_guard_in_one_line_sends_the_headers_of_an_api_and_caps_bodies() {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let guard = Guard::oidc(&issuer.url, AUDIENCE).await.unwrap();
    let app: Router = GuardedRouter::new()
        .route("/echo", post(async |body: Bytes| body.len().to_string()).guard(authenticated()))
        .guarded_by(&guard);
    let ask = async |length: usize| {
        let request = request("POST", "/echo", "x").header("content-type", "application/octet-stream");
        send(&app, request.body(Body::from(vec![b'x'; length])).unwrap()).await
    };
    let refused = ask(1).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
    assert!(refused.header("content-security-policy").starts_with("default-src 'none'"), "{refused:?}");
    let long = ask((1 << 20) + 1).await;
    assert_eq!((long.status, long.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert_eq!(ask(1 << 20).await.status, StatusCode::UNAUTHORIZED);
}
