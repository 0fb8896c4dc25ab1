//! A service with everything that a guard has, attacked at each of its routes: whatever check the guard lacks, it is noticed here.
//! `tests/mutations` takes out one after the other.

mod callers;
mod contents;
mod forms;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderName, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::test_util::{
    Issuer, Mint, ProofKey, Report, Target, attack_suite, opaque_attack_suite,
};
use portcullis_guard::{
    CertificateHeader, ClientAddress, ClientCertificates, CookieTokens, Cors, Csrf, Dpop, Guard, GuardExt,
    GuardedRouter, Html, InputPolicy, Introspection, Policy, Proxies, SharedPolicy, authenticated, rbac,
    scope,
};
use portcullis_policy::{PolicySource, Snapshot};
use tower::ServiceExt;

use crate::whole::clock;

const AUDIENCE: &str = "https://orders.test";

async fn guard(issuer: &Issuer) -> Guard {
    let rules = "p, clerk, *, orders, create";
    let policy = SharedPolicy::new(Snapshot::compile(&PolicySource::with_default_model(rules), 1).unwrap());
    Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .policy(Policy::shared(policy))
        .input(InputPolicy::strict().html("/note", Html::inline()))
        .proxies(Proxies::trust(["127.0.0.1"]).unwrap())
        .dpop(Dpop::new())
        .client_certificates(ClientCertificates::of_header(CertificateHeader::ClientCert))
        .cookie_tokens(CookieTokens::named("__Host-orders"))
        .csrf(Csrf::origins(["https://orders.test"]))
        .cors(Cors::origins(["https://app.test"]).credentials())
        .introspection(Introspection::discovered("orders", "s3cret"))
        .build()
        .await
        .unwrap()
}

/// That a request is answered: attacks on a service that refuses everything find nothing.
async fn assert_answered(app: &Router, request: Request<Body>) {
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// That none of these is answered, in the words of [`Report`].
async fn assert_refused(app: &Router, attacks: impl IntoIterator<Item = (String, Request<Body>)>) {
    let mut answered = Vec::new();
    for (attack, request) in attacks {
        let status = app.clone().oneshot(request).await.unwrap().status();
        if status.is_success() {
            answered.push(format!("  {attack}: {status} (it has to be refused)"));
        }
    }
    assert!(answered.is_empty(), "{} attacks were answered\n{}", answered.len(), answered.join("\n"));
}

fn now(secs: &AtomicU64) -> u64 {
    secs.load(Ordering::Relaxed)
}

/// What a handler does that checks nothing itself: no path, no type and no length of a body.
async fn echo(body: Body) -> Vec<u8> {
    body.collect().await.unwrap().to_bytes().into()
}

fn app(guard: &Guard) -> Router {
    let whoever = async |Extension(ClientAddress(address))| address.to_string();
    GuardedRouter::new()
        .route("/files/{*path}", get(whoever).guard(scope("files")))
        .route("/orders", post(echo).guard(rbac("orders", "create")))
        .route("/forms", get(echo).guard(authenticated()))
        .route("/forms", post(echo).guard(authenticated()))
        .route("/bound", post(echo).guard(authenticated().dpop()))
        .route("/shown", get(async || "shown").guard(authenticated().mtls()))
        .guarded_by(guard)
}

async fn attack(target: impl FnOnce(Mint) -> Target) {
    let issuer = Issuer::start().await.unwrap();
    let guard = guard(&issuer).await;
    let target = target(issuer.mint(AUDIENCE));
    attack_suite(&app(&guard), &issuer, &target).await.assert_all_refused();
}

#[tokio::test]
async fn files_are_not_had_by_another_path_and_without_their_scope() {
    attack(|mint| Target::get("/files/reports/2026", &mint.scope("files").token()).granted_by("scope")).await;
}

#[tokio::test]
async fn orders_are_not_made_with_other_bodies_and_without_their_role() {
    let json = r#"{"item":"a gate","note":"<b>soon</b>"}"#;
    attack(|mint| Target::post("/orders", &mint.roles(["clerk"]).token(), json).granted_by("roles")).await;
}

#[tokio::test]
async fn forms_are_not_sent_by_pages_of_others() {
    let form = "item=a+gate&amount=1";
    attack(|mint| Target::form("/forms", &mint.token(), form).cookie("__Host-orders", "https://orders.test"))
        .await;
}

#[tokio::test]
async fn a_bound_token_is_not_used_without_its_key() {
    let (key, json) = (Arc::new(ProofKey::new()), r#"{"item":"a gate"}"#);
    attack(|mint| Target::post("/bound", &mint.bound_to(&key).token(), json).bound_to(key, AUDIENCE)).await;
}

#[tokio::test]
async fn a_bound_token_is_not_used_with_a_nonce_that_is_old_or_of_another_guard() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let keys = portcullis_guard::Issuer::oidc(issuer.url());
    let guard = Guard::builder().issuer(keys).audience(AUDIENCE).dpop(Dpop::new().nonces([7; 32]));
    let app = app(&guard.clock(clock).manual_refresh().build().await.unwrap());
    let key = Arc::new(ProofKey::new());
    let token = || issuer.mint(AUDIENCE).bound_to(&key).token();
    let place = ("POST", "https://orders.test/bound");
    let ask = async |token: &str, proof: String| {
        let request = Request::post("/bound").header("authorization", format!("DPoP {token}"));
        app.clone().oneshot(request.header("dpop", proof).body(Body::empty()).unwrap()).await.unwrap()
    };
    let first = token();
    let challenge = ask(&first, key.proof(place, &first, now(&secs))).await;
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    let answer = key.proof_after(challenge.headers(), place, &first, now(&secs));
    assert_eq!(ask(&first, answer).await.status(), StatusCode::OK);
    let old = challenge.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    secs.fetch_add(900, Ordering::Relaxed);
    let token = token();
    let target = Target::post("/bound", &token, r#"{"item":"a gate"}"#).bound_to(Arc::clone(&key), AUDIENCE);
    let without = attack_suite(&app, &issuer, &target).await;
    without.assert_all_refused();
    let report = attack_suite(&app, &issuer, &target.old_nonce(old)).await;
    report.assert_all_refused();
    assert_eq!(report.attacks(), without.attacks() + 1, "the old one");
}

/// What the suite says when it ends a test.
async fn complaint(suite: impl Future<Output = Report> + Send + 'static) -> String {
    let ended = tokio::spawn(suite).await.expect_err("it says nothing");
    let said = ended.into_panic();
    let text = said.downcast_ref::<String>().cloned();
    text.or_else(|| said.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap()
}

#[tokio::test]
async fn an_old_nonce_that_cannot_be_tried_is_not_passed_over() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let key = Arc::new(ProofKey::new());
    let guarded = async |dpop| {
        let keys = portcullis_guard::Issuer::oidc(issuer.url());
        let guard = Guard::builder().issuer(keys).audience(AUDIENCE).dpop(dpop);
        app(&guard.clock(clock.clone()).manual_refresh().build().await.unwrap())
    };
    let token = || issuer.mint(AUDIENCE).bound_to(&key).token();
    let target = |token: &str| {
        Target::post("/bound", token, r#"{"item":"a gate"}"#).bound_to(Arc::clone(&key), AUDIENCE)
    };
    let ended = async |service: Router, target: Target| {
        let issuer = issuer.clone();
        complaint(async move { attack_suite(&service, &issuer, &target).await }).await
    };
    let without = guarded(Dpop::new()).await;
    assert!(ended(without.clone(), target(&token()).old_nonce("old")).await.contains("asks for none"));
    let told_before =
        Target::post("/bound", &token(), "{}").bound_to(Arc::clone(&key), AUDIENCE).old_nonce("old");
    let told_before = told_before.bound_to(Arc::clone(&key), AUDIENCE);
    assert!(ended(without, told_before).await.contains("asks for none"), "it is not forgotten");

    let with = guarded(Dpop::new().nonces([7; 32])).await;
    let token = token();
    let proof = key.proof(("POST", "https://orders.test/bound"), &token, now(&secs));
    let request = Request::post("/bound").header("authorization", format!("DPoP {token}"));
    let request = request.header("dpop", proof).body(Body::empty()).unwrap();
    let now =
        with.clone().oneshot(request).await.unwrap().headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert!(ended(with, target(&token).old_nonce(now)).await.contains("asks for now"));
    let opaque = target(&token).old_nonce("old");
    let service = guarded(Dpop::new()).await;
    let issuer = issuer.clone();
    let said = complaint(async move { opaque_attack_suite(&service, &issuer, &opaque).await }).await;
    assert!(said.contains("attack_suite alone"), "{said}");
}

/// A service that asks for a nonce and takes any.
#[tokio::test]
async fn a_service_that_takes_any_nonce_is_found_out() {
    let issuer = Issuer::start().await.unwrap();
    let service = tower::service_fn(async |request: http::Request<portcullis_guard::Body>| {
        let proof = request.headers().get("dpop").and_then(|proof| proof.to_str().ok()).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap_or_default()).unwrap_or_default();
        let has_nonce = String::from_utf8_lossy(&claims).contains("\"nonce\"");
        let answer = http::Response::builder().status(if has_nonce { 200 } else { 401 });
        Ok::<_, std::convert::Infallible>(answer.header("dpop-nonce", "take-me").body(Body::empty()).unwrap())
    });
    let key = Arc::new(ProofKey::new());
    let token = issuer.mint(AUDIENCE).bound_to(&key).token();
    let target = Target::get("/orders", &token).bound_to(key, AUDIENCE).old_nonce("left-me");
    let report = attack_suite(&service, &issuer, &target).await;
    let found = |attack: &str| report.unrefused().iter().any(|it| it.attack == attack);
    for attack in [
        "a proof with the nonce of another guard",
        "a proof with half a nonce",
        "a proof with a nonce and more",
        "a proof whose nonce is \"made-up\"",
        "a proof whose nonce is [\"..\"]",
        "a proof with an old nonce",
    ] {
        assert!(found(attack), "{attack}: {report}");
    }
    assert!(!found("a proof without a nonce"), "{report}");
}

#[tokio::test]
async fn a_bound_token_is_not_used_without_its_certificate() {
    let der = b"what the client showed is not looked into";
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let confirmation = serde_json::json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) });
    let header = HeaderName::from_static("client-cert");
    let value = format!(":{}:", STANDARD.encode(der));
    attack(|mint| Target::get("/shown", &mint.claim("cnf", confirmation).token()).certificate(header, value))
        .await;
}

#[tokio::test]
async fn what_the_issuer_says_of_a_token_is_not_believed_as_it_comes() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(&guard(&issuer).await);
    for signs in [false, true] {
        issuer.sign_answers(signs);
        let token = issuer.mint(AUDIENCE).scope("files").opaque();
        let target = Target::get("/files/reports/2026", &token);
        opaque_attack_suite(&app, &issuer, &target).await.assert_all_refused();
    }
}

/// A service that takes every token, and believes what is said of the client and in HTML.
#[tokio::test]
async fn a_service_that_checks_nothing_is_found_out_in_everything() {
    let issuer = Issuer::start().await.unwrap();
    let service = tower::service_fn(async |request: http::Request<portcullis_guard::Body>| {
        let named = request.headers().get("x-forwarded-for").cloned();
        let mut body = echo(request.into_body().into()).await;
        body.extend(named.iter().flat_map(http::HeaderValue::as_bytes));
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(body)))
    });
    let (key, mint) = (Arc::new(ProofKey::new()), issuer.mint(AUDIENCE).roles(["clerk"]));
    let token = mint.bound_to(&key).token();
    let target = Target::post("/orders", &token, r#"{"note":"<b>soon</b>"}"#);
    let target = target.granted_by("roles").bound_to(key, AUDIENCE);
    let target = target.certificate(HeaderName::from_static("client-cert"), ":AAAA:");
    let form = Target::form("/orders", &token, "item=a+gate");
    for (target, attacks) in [
        (
            target,
            &[
                "a token without roles",
                "a token with roles [\"nobody\"]",
                "a proof that was used",
                "a proof whose htm is \"DELETE\"",
                "a proof of a stranger in our name",
                "two certificates",
                "the certificate, said by no proxy",
                "a stranger with x-forwarded-for: 198.51.100.66",
                "<script>alert(1)</script> as note",
                "the query x=%00",
                "one host in the target and another beside it",
                "a body with very many members",
            ][..],
        ),
        (form, &["a form with a field twice", "a form with half an encoding"][..]),
    ] {
        let report = attack_suite(&service, &issuer, &target).await;
        for attack in attacks {
            assert!(report.unrefused().iter().any(|it| it.attack == *attack), "{attack}: {report}");
        }
        assert!(report.unrefused().iter().all(|it| it.status == StatusCode::OK));
    }
}
