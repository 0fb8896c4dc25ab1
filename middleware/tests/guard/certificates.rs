//! Tokens that are bound to a certificate.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Request};
use portcullis_guard::{
    BuildError, CertificateHeader, ClientCertificates, CookieTokens, Csrf, Dpop, GuardExt, GuardedRouter,
    PeerCertificate, Proxies, optional,
};
use serde_json::json;

use crate::bound::{app, proof, public};
use crate::service::{guard_of, send};
use crate::signer::{Signer, b64};

const CERTIFICATE: &[u8] = b"the certificate of a client, as DER has it";

fn certificate_token(issuer: &Signer) -> String {
    issuer.token(&json!({ "cnf": { "x5t#S256": b64(digest(&SHA256, CERTIFICATE)) } }))
}

// CA-17, RFC 8705 §3
#[tokio::test]
async fn rfc_8705_section_3_and_fapi2_section_5_3_4_a_token_is_good_with_the_certificate_it_is_bound_to() {
    let issuer = Signer::es256("a");
    let app = app(guard_of(&issuer).client_certificates(ClientCertificates::of_connection())).await;
    let ask = async |path: &str, token: &str, shown: Option<&'static [u8]>| {
        let mut request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().extend(
            shown
                .map(|der| {
                    let mut shown = http::Extensions::new();
                    shown.insert(PeerCertificate(bytes::Bytes::from_static(der)));
                    shown
                })
                .unwrap_or_default(),
        );
        send(&app, request).await
    };
    let (bound, plain) = (certificate_token(&issuer), issuer.token(&json!({})));
    assert_eq!(ask("/me", &bound, Some(CERTIFICATE)).await.body, "false true");
    assert_eq!(ask("/certificate", &bound, Some(CERTIFICATE)).await.status, 200);
    for shown in [None, Some(b"another certificate".as_slice())] {
        assert_eq!(ask("/me", &bound, shown).await.code(), "invalid_token");
    }
    assert_eq!(ask("/me", &plain, None).await.status, 200);
    assert_eq!(
        ask("/certificate", &plain, Some(CERTIFICATE)).await.code(),
        "invalid_token",
        "it is not bound"
    );
}

#[tokio::test]
async fn a_certificate_in_a_header_counts_from_a_trusted_proxy_only() {
    let issuer = Signer::es256("a");
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let pem = HeaderName::from_static("x-client-cert");
    let value = STANDARD.encode(CERTIFICATE);
    for (kind, name, value) in [
        (CertificateHeader::ClientCert, "client-cert", format!(":{value}:")),
        (CertificateHeader::Pem(pem.clone()), "x-client-cert", value),
    ] {
        let certificates = ClientCertificates::of_header(kind);
        let app = app(guard_of(&issuer).proxies(proxies.clone()).client_certificates(certificates)).await;
        let token = certificate_token(&issuer);
        let ask = async |peer: &str, values: &[&str]| {
            let mut request = Request::get("/me").header("authorization", format!("Bearer {token}"));
            for value in values {
                request = request.header(name, *value);
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
            send(&app, request).await.status.as_u16()
        };
        assert_eq!(ask("10.1.2.3:443", &[&value]).await, 200);
        assert_eq!(ask("192.0.2.1:443", &[&value]).await, 401, "anybody could say so");
        assert_eq!(ask("10.1.2.3:443", &[&value, &value]).await, 401);
        assert_eq!(ask("10.1.2.3:443", &["?"]).await, 401);
        assert_eq!(ask("10.1.2.3:443", &[]).await, 401);
    }
}

// RFC 9440 §2.4
#[tokio::test]
async fn caches_are_told_that_an_answer_varies_with_the_certificate() {
    let issuer = Signer::es256("a");
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let header = |kind| ClientCertificates::of_header(kind);
    let pem = CertificateHeader::Pem(HeaderName::from_static("x-client-cert"));
    let token = certificate_token(&issuer);
    for (certificates, told) in [
        (header(CertificateHeader::ClientCert), "client-cert"),
        (header(pem), "x-client-cert"),
        (ClientCertificates::of_connection(), ""),
    ] {
        let guard = guard_of(&issuer).proxies(proxies.clone()).client_certificates(certificates);
        let app = app(guard).await;
        for (path, bearer) in [("/me", true), ("/me", false), ("/open", false)] {
            let mut request =
                Request::get(path).header("client-cert", format!(":{}:", STANDARD.encode(CERTIFICATE)));
            if bearer {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>("10.1.2.3:443".parse().unwrap()));
            assert_eq!(send(&app, request).await.header("vary"), told, "{path} {bearer}");
        }
    }
}

#[tokio::test]
async fn what_an_answer_varies_with_beside_a_certificate_is_said_as_well() {
    let guard = guard_of(&Signer::es256("a"))
        .proxies(Proxies::trust(["10.0.0.0/8"]).unwrap())
        .client_certificates(ClientCertificates::of_header(CertificateHeader::ClientCert))
        .cookie_tokens(CookieTokens::named("__Host-shop"))
        .csrf(Csrf::origins(["https://shop.example"]));
    let guard = guard.build().await.unwrap();
    let handler = || get(async || ([("vary", "accept")], "served"));
    let app = GuardedRouter::<()>::new()
        .route("/optional", handler().guard(optional()))
        .route("/public", handler().guard(portcullis_guard::public()))
        .guarded_by(&guard);
    for (path, told) in [("/optional", &["accept", "cookie", "client-cert"][..]), ("/public", &["accept"])] {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>("10.1.2.3:443".parse().unwrap()));
        let answer = send(&app, request).await;
        let varies: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert_eq!(varies, told, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_both_needs_both() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let guard = guard_of(&issuer).dpop(Dpop::new()).client_certificates(ClientCertificates::of_connection());
    let app = app(guard).await;
    let cnf = json!({ "jkt": public(&key).1, "x5t#S256": b64(digest(&SHA256, CERTIFICATE)) });
    let token = issuer.token(&json!({ "cnf": cnf }));
    for (number, (scheme, shows, status)) in
        [("DPoP", true, 200), ("DPoP", false, 401), ("Bearer", true, 401)].into_iter().enumerate()
    {
        let proof = proof(&key, &token, &json!({ "jti": number.to_string() }), &json!({}));
        let request =
            Request::get("/me").header("authorization", format!("{scheme} {token}")).header("dpop", proof);
        let mut request = request.body(Body::empty()).unwrap();
        if shows {
            request.extensions_mut().insert(PeerCertificate(bytes::Bytes::from_static(CERTIFICATE)));
        }
        assert_eq!(send(&app, request).await.status, status, "{scheme} {shows}");
    }
}

#[tokio::test]
async fn a_header_that_nobody_may_send_is_no_source_of_certificates() {
    let issuer = Signer::es256("a");
    let certificates = ClientCertificates::of_header(CertificateHeader::ClientCert);
    let built = guard_of(&issuer).client_certificates(certificates).build().await;
    assert!(matches!(built, Err(BuildError::NoProxies)));
}
