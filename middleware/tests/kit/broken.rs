//! Guards that lack a check, each another one, and whether the attacks notice.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::Body;
use portcullis_guard::test_util::{Issuer, Report, Target, attack_suite};
use tower::service_fn;

use crate::miniature::{AUDIENCE, Check, Miniature};

async fn attack(without: Option<Check>) -> Report {
    let issuer = Issuer::start().await.unwrap();
    let guard = Arc::new(Miniature::new(issuer.url(), &issuer.jwks(), without));
    let service = service_fn(move |request: Request<Body>| {
        let guard = Arc::clone(&guard);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let status = guard.judge(&parts, &body).map_or_else(|status| status, |()| StatusCode::OK);
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::empty()).unwrap())
        }
    });
    let token = issuer.mint(AUDIENCE).roles(["clerk"]).scope("orders").token();
    let target = Target::post("/v1/orders", &token, r#"{"item":"a gate","amount":1}"#);
    attack_suite(&service, &issuer, &target).await
}

#[tokio::test]
async fn a_miniature_that_lacks_nothing_refuses_every_attack() {
    attack(None).await.assert_all_refused();
}

#[tokio::test]
async fn each_check_that_is_taken_out_is_noticed() {
    for check in Check::ALL {
        let report = attack(Some(check)).await;
        assert!(!report.unrefused().is_empty(), "without {check:?}, nobody noticed");
    }
}
