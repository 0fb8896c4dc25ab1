//! What counts of a token that is good by its signature, while the issuer is asked about it as well.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::Request;
use portcullis_guard::{
    ClientCertificates, Dpop, GuardExt, GuardedRouter, Limits, PeerCertificate, Quota, authenticated, rbac,
    scope,
};
use serde_json::{Value, json};

use crate::bound::{proof, public};
use crate::service::{request, send};
use crate::signer::{AUDIENCE, Signer, b64};
use crate::stale::Asking;

const CERTIFICATE: &[u8] = b"the certificate of a client, as DER has it";

/// What the issuer says of every token of these tests: who, for whom and until when.
const LEAST: fn() -> Value = || json!({ "token_type": "Bearer", "scope": null, "roles": null, "jti": null });

/// A guard that takes bound tokens.
async fn asking() -> Asking {
    #[derive(serde::Deserialize)]
    struct Files {
        actions: Vec<String>,
    }
    let reads = |files: &Files| files.actions.iter().any(|action| action == "read");
    let routes = GuardedRouter::new()
        .route("/me", get(async || "served").guard(authenticated().introspect_when_stale()))
        .route("/role", get(async || "served").guard(rbac("orders", "read").introspect_when_stale()))
        .route("/scope", get(async || "served").guard(scope("orders:read").introspect_when_stale()))
        .route("/acr", get(async || "served").guard(authenticated().introspect_when_stale().acr("phr")))
        .route(
            "/details",
            get(async || "served").guard(authenticated().introspect_when_stale().details("files", reads)),
        );
    Asking::with(routes, |guard| {
        guard.dpop(Dpop::new()).client_certificates(ClientCertificates::of_connection())
    })
    .await
}

fn certificate() -> Value {
    json!({ "cnf": { "x5t#S256": b64(digest(&SHA256, CERTIFICATE)) } })
}

async fn with_certificate(setup: &Asking, token: &str, shown: &'static [u8]) -> u16 {
    let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(PeerCertificate(bytes::Bytes::from_static(shown)));
    setup.send(request).await
}

#[tokio::test]
async fn a_token_stays_bound_to_its_certificate_whatever_the_issuer_leaves_out() {
    let setup = asking().await;
    let token = setup.token_of(&certificate(), &LEAST());
    for is_told in [true, false] {
        setup.hear(is_told).await;
        assert_eq!(setup.status("/me", &token).await, 401, "without a certificate");
        assert_eq!(with_certificate(&setup, &token, b"another certificate").await, 401);
        assert_eq!(with_certificate(&setup, &token, CERTIFICATE).await, 200);
    }
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn a_token_stays_bound_to_its_key_whatever_the_issuer_leaves_out() {
    let (setup, key) = (asking().await, Signer::es256("k"));
    let token = setup.token_of(&json!({ "cnf": { "jkt": public(&key).1 } }), &LEAST());
    for (number, is_told) in [true, false].into_iter().enumerate() {
        setup.hear(is_told).await;
        assert_eq!(setup.status("/me", &token).await, 401, "as a bearer token");
        let changes = json!({ "jti": format!("proof-{number}"), "htu": format!("{AUDIENCE}/me") });
        let request = Request::get("/me")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof(&key, &token, &changes, &json!({})));
        assert_eq!(setup.send(request.body(Body::empty()).unwrap()).await, 200);
    }
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn what_the_issuer_does_not_repeat_counts_as_it_was_signed() {
    let setup = asking().await;
    let own = json!({
        "acr": "phr", "authorization_details": [{ "type": "files", "actions": ["read"] }],
    });
    let token = setup.token_of(&own, &LEAST());
    setup.hear(false).await;
    for path in ["/me", "/role", "/scope", "/acr", "/details"] {
        assert_eq!(setup.status(path, &token).await, 200, "{path}");
    }
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn what_was_not_signed_is_not_had_by_what_the_issuer_says() {
    let setup = asking().await;
    let own = json!({ "scope": null, "roles": null });
    let said = json!({
        "token_type": "Bearer", "acr": "phr",
        "authorization_details": [{ "type": "files", "actions": ["read"] }],
    });
    let token = setup.token_of(&own, &said);
    setup.hear(false).await;
    assert_eq!(setup.status("/me", &token).await, 200);
    for (path, status) in [("/role", 403), ("/scope", 403), ("/acr", 401), ("/details", 403)] {
        assert_eq!(setup.status(path, &token).await, status, "{path}");
    }
}

#[tokio::test]
async fn a_token_of_which_the_issuer_says_something_else_is_refused() {
    let setup = asking().await;
    setup.hear(false).await;
    for (own, said) in [
        (json!({ "jti": "1" }), json!({ "sub": "bob" })),
        (json!({ "jti": "2" }), json!({ "client_id": "other" })),
        (json!({ "jti": "3" }), certificate()),
        (certificate(), json!({ "cnf": { "jkt": public(&Signer::es256("k")).1 } })),
    ] {
        let mut answer = LEAST();
        answer.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let token = setup.token_of(&own, &answer);
        assert_eq!(with_certificate(&setup, &token, CERTIFICATE).await, 401, "{said}");
    }
    assert_eq!(setup.issuer.questions(), 4);
}

#[tokio::test]
async fn what_its_issuer_has_signed_is_no_guess_whatever_becomes_of_the_question() {
    let limits = Limits::new().by_address(Quota::per_minute(10));
    let route = get(async || "served").guard(authenticated().introspect_when_stale());
    let setup = Asking::with(GuardedRouter::new().route("/me", route), |guard| guard.limits(limits)).await;
    setup.hear(false).await;
    let asking = |token: &str| {
        let mut asked = request("GET", "/me", token).body(Body::empty()).unwrap();
        asked.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        asked
    };
    setup.issuer.stall();
    for number in 0..3 {
        let (service, asked) = (setup.service.clone(), asking(&setup.token(&format!("left-{number}"), true)));
        let impatient = tokio::spawn(async move { send(&service, asked).await });
        while setup.issuer.questions() <= number {
            tokio::task::yield_now().await;
        }
        impatient.abort();
        assert!(impatient.await.unwrap_err().is_cancelled());
    }
    setup.issuer.resume();
    for number in 0..3 {
        let taken_back = setup.token(&format!("taken-back-{number}"), false);
        assert_eq!(setup.send(asking(&taken_back)).await, 401);
    }
    for _ in 0..4 {
        assert_eq!(
            setup.send(asking(&setup.token("good", true))).await,
            200,
            "each has cost what a request does"
        );
    }
    assert_eq!(setup.send(asking(&setup.token("good", true))).await, 429);
}
