//! Tokens that the issuer is asked about (RFC 7662).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use portcullis_guard::{
    BuildError, Claims, ClientCertificates, Dpop, Guard, GuardBuilder, GuardExt, GuardedRouter,
    Introspection, IntrospectionError, Issuer, Limits, PeerCertificate, Principal, Quota, authenticated,
    optional, scope,
};
use serde_json::{Value, json};

use crate::bound::{ask, proof, public};
use crate::issuer::TestIssuer;
use crate::service::{Answer, Dial, builder, fetch, request, send};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, b64, claims, jwks};

/// A service whose guard asks an issuer on a socket.
pub(crate) struct Setup {
    pub(crate) issuer: TestIssuer,
    pub(crate) signer: Signer,
    pub(crate) dial: Dial,
    pub(crate) guard: Guard,
    pub(crate) service: Router,
}

#[derive(serde::Deserialize)]
struct Own {
    tier: String,
}

async fn describe(who: Principal, Claims(Own { tier }): Claims<Own>) -> String {
    let scopes: Vec<&str> = who.scopes().collect();
    format!(
        "{} {} {} {scopes:?} {:?} {:?} {:?} {:?} {:?} {} {} {tier}",
        who.subject(),
        who.client_id(),
        who.issuer(),
        who.roles(),
        who.organisation(),
        who.session_id(),
        who.auth_time(),
        who.authentication_class(),
        who.token_id(),
        who.expires_at(),
    )
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with(|introspection| introspection, |guard| guard).await
    }

    pub(crate) async fn with(
        ask: impl FnOnce(Introspection) -> Introspection,
        configure: impl FnOnce(GuardBuilder) -> GuardBuilder,
    ) -> Self {
        Self::near(ask, |guard, _| configure(guard)).await
    }

    /// The same where the guard asks the issuer for more.
    pub(crate) async fn near(
        ask: impl FnOnce(Introspection) -> Introspection,
        configure: impl FnOnce(GuardBuilder, &TestIssuer) -> GuardBuilder,
    ) -> Self {
        let signer = Signer::es256("a");
        let issuer = TestIssuer::start(jwks([&signer])).await;
        let dial = Dial::new();
        let introspection = ask(Introspection::discovered("orders", "s3cret"));
        let guard = builder(&dial).issuer(Issuer::oidc(&issuer.url)).introspection(introspection);
        let guard = configure(guard, &issuer).build().await.unwrap();
        let stale = authenticated().serve_stale(Duration::from_mins(10));
        let service = GuardedRouter::new()
            .route("/me", get(async |who: Principal| who.subject().to_owned()).guard(authenticated()))
            .route("/id", get(async |who: Principal| who.token_id().to_owned()).guard(authenticated()))
            .route("/all", get(describe).guard(authenticated()))
            .route("/orders", get(async || "orders").guard(scope("orders:read")))
            .route("/strong", get(async || "strong").guard(authenticated().acr("phr")))
            .route("/stale", get(async || "stale").guard(stale))
            .route("/open", get(async || "open").guard(optional()))
            .guarded_by(&guard);
        Self { issuer, signer, dial, guard, service }
    }

    /// What the issuer says of a good token, with changes; `null` takes a member out.
    pub(crate) fn active(&self, changes: &Value) -> Value {
        let mut all = json!({ "active": true, "iss": self.issuer.url, "token_type": "Bearer" });
        for (name, value) in changes.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        claims(&all)
    }

    /// A token of which the issuer says this.
    pub(crate) fn token(&self, name: &str, changes: &Value) -> String {
        self.issuer.say_of(name, &self.active(changes));
        name.to_owned()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        fetch(&self.service, path, token).await
    }

    pub(crate) async fn status(&self, token: &str) -> u16 {
        self.get("/me", token).await.status.as_u16()
    }

    pub(crate) async fn assert_refused(&self, token: &str, why: &str) {
        let answer = self.get("/me", token).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"), "{why}");
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{why}: {answer:?}");
        assert_eq!(answer.problem()["detail"].as_str().map(|detail| detail.contains("invalid")), Some(true));
    }

    pub(crate) async fn assert_unavailable(&self, token: &str, why: &str) {
        let answer = self.get("/me", token).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{why}");
        assert_eq!(answer.header("retry-after"), "1", "{why}");
    }
}

#[tokio::test]
async fn what_the_issuer_says_makes_the_same_caller_as_a_token_that_says_it() {
    let setup = Setup::new().await;
    let changes = json!({
        "iss": setup.issuer.url, "org": "acme", "sid": "session-1", "auth_time": NOW - 60, "acr": "phr",
        "scope": "orders:read orders:write", "roles": ["viewer", "clerk"], "tier": "gold",
        "aud": ["https://other.test", AUDIENCE], "nbf": NOW, "username": "alice@example.com",
    });
    let token = setup.token("opaque-1", &changes);
    let asked = setup.get("/all", &token).await;
    let read = setup.get("/all", &setup.signer.token(&changes)).await;
    assert_eq!((asked.status, read.status), (StatusCode::OK, StatusCode::OK), "{asked:?}");
    assert_eq!(asked.body, read.body);
    assert!(asked.body.contains("[\"viewer\", \"clerk\"]") && asked.body.ends_with("gold"), "{}", asked.body);
    assert_eq!(setup.get("/orders", &token).await.status, StatusCode::OK);
    assert_eq!(setup.get("/strong", &token).await.status, StatusCode::OK);
    assert_eq!(setup.issuer.questions(), 1, "one question, and none about the JWT");

    let plain = setup.token("opaque-2", &json!({ "scope": "other" }));
    assert_eq!(setup.get("/orders", &plain).await.code(), "insufficient_scope");
    assert_eq!(setup.get("/strong", &plain).await.code(), "insufficient_user_authentication");
}

#[tokio::test]
async fn the_question_is_one_of_the_service_and_holds_the_token() {
    let setup = Setup::new().await;
    let token = setup.token("a+b/c~d.e_f-g==", &json!({}));
    assert_eq!(setup.status(&token).await, 200);
    let question = setup.issuer.asked().questions[0].clone();
    let header = |name| question.headers[name].to_str().unwrap();
    assert_eq!(header(header::AUTHORIZATION), "Basic b3JkZXJzOnMzY3JldA==");
    assert_eq!(header(header::ACCEPT), "application/token-introspection+jwt, application/json;q=0.9");
    assert_eq!(header(header::CONTENT_TYPE), "application/x-www-form-urlencoded");
    assert_eq!(question.form, "token=a%2Bb%2Fc%7Ed.e_f-g%3D%3D&token_type_hint=access_token");
}

#[tokio::test]
async fn what_an_answer_leaves_out_of_iss_and_jti_is_known_without_it() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({ "iss": null, "jti": null }));
    let answer = setup.get("/id", &token).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, b64(digest(&SHA256, b"opaque-1"))));
}

#[tokio::test]
async fn rfc_9449_section_11_7_a_token_that_is_bound_to_a_key_needs_a_proof_for_this_very_token() {
    let setup = Setup::with(|introspection| introspection, |guard| guard.dpop(Dpop::new())).await;
    let key = Signer::es256("k");
    let bound = json!({ "cnf": { "jkt": public(&key).1 }, "token_type": "DPoP" });
    let token = setup.token("opaque-1", &bound);
    let none = json!({});
    let with = async |proof: String| ask(&setup.service, "/me", &token, &proof).await;
    assert_eq!(with(proof(&key, &token, &none, &none)).await.status, StatusCode::OK);
    setup.assert_refused(&token, "as a bearer token").await;
    let stolen = proof(&key, "opaque-2", &json!({ "jti": "2" }), &none);
    assert_eq!(with(stolen).await.code(), "invalid_dpop_proof");
    let other = proof(&Signer::es256("o"), &token, &json!({ "jti": "3" }), &none);
    assert_eq!(with(other).await.code(), "invalid_token");
    let called = setup.token("opaque-3", &json!({ "cnf": { "jkt": public(&key).1 } }));
    setup.assert_refused(&called, "bound, and called a bearer token").await;
    let unbound = setup.token("opaque-4", &json!({}));
    let answer =
        ask(&setup.service, "/me", &unbound, &proof(&key, &unbound, &json!({ "jti": "4" }), &none)).await;
    assert_eq!(answer.code(), "invalid_token", "not bound, with a proof");
    setup.assert_refused(&setup.token("opaque-5", &json!({ "token_type": "DPoP" })), "to which key?").await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_needs_it() {
    let of_connection = ClientCertificates::of_connection();
    let setup =
        Setup::with(|introspection| introspection, |guard| guard.client_certificates(of_connection)).await;
    let certificate = b"certificate";
    let token = setup.token("opaque-1", &json!({ "cnf": { "x5t#S256": b64(digest(&SHA256, certificate)) } }));
    let shown = async |der: &'static [u8]| {
        let mut request = request("GET", "/me", &token).body(Body::empty()).unwrap();
        request.extensions_mut().insert(PeerCertificate(Bytes::from_static(der)));
        send(&setup.service, request).await.status.as_u16()
    };
    assert_eq!((shown(certificate).await, shown(b"another").await), (200, 401));
    setup.assert_refused(&token, "without one").await;
}

#[tokio::test]
async fn a_binding_that_the_guard_cannot_check_is_refused() {
    let setup = Setup::new().await;
    for (number, cnf) in
        [json!({ "jkt": "AAAA" }), json!({ "x5t#S256": "AAAA" }), json!({ "kid": "a" })].iter().enumerate()
    {
        let token = setup.token(&format!("opaque-{number}"), &json!({ "cnf": cnf }));
        setup.assert_refused(&token, &cnf.to_string()).await;
    }
}

#[tokio::test]
async fn a_jwt_is_verified_here_and_the_issuer_is_not_asked() {
    let setup = Setup::new().await;
    let jwt = setup.signer.token(&json!({ "iss": setup.issuer.url }));
    assert_eq!(setup.status(&jwt).await, 200);
    let forged = Signer::es256("a").token(&json!({ "iss": setup.issuer.url }));
    setup.issuer.say_of(&forged, &setup.active(&json!({})));
    setup.assert_refused(&forged, "whatever the issuer would say of it").await;
    assert_eq!(setup.issuer.questions(), 0);
}

#[tokio::test]
async fn every_token_is_asked_about_where_that_is_declared() {
    let setup = Setup::with(Introspection::every_token, |guard| guard).await;
    let jwt = setup.signer.token(&json!({ "iss": setup.issuer.url }));
    setup.assert_refused(&jwt, "the issuer took it back").await;
    let other = setup.token("eyJhbGciOiJub25lIn0.e30.", &json!({}));
    assert_eq!(setup.status(&other).await, 200, "its signature is not looked at");
    assert_eq!(setup.issuer.questions(), 2);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_sent() {
    let setup = Setup::new().await;
    for odd in ["a\"b", "a%20b", "a&token=b", "=", "a=b", "a(b)", &"x".repeat(8_193)] {
        setup.assert_refused(odd, odd).await;
    }
    assert_eq!(setup.issuer.questions(), 0);
    assert_eq!(setup.get("/open", "nobody-knows-it").await.status, StatusCode::UNAUTHORIZED);
    let without = Request::get("/open").body(Body::empty()).unwrap();
    assert_eq!(send(&setup.service, without).await.status, StatusCode::OK);
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn whoever_hangs_up_while_the_issuer_is_asked_pays_for_a_guess() {
    let limits = Limits::new().by_address(Quota::per_minute(10));
    let setup = Setup::with(|introspection| introspection, |guard| guard.limits(limits)).await;
    let ask = |token: &str| {
        let mut request = request("GET", "/me", token).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 1], 1))));
        let service = setup.service.clone();
        tokio::spawn(async move { send(&service, request).await.status.as_u16() })
    };
    setup.issuer.stall();
    for number in 0..2 {
        let asking = ask(&format!("made-up-{number}"));
        setup.has_been_asked(number + 1).await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
    }
    assert_eq!(ask("made-up-2").await.unwrap(), 429);
    setup.issuer.resume();
}

#[tokio::test]
async fn made_up_tokens_count_to_the_limit_of_their_address_before_anybody_is_asked() {
    let limits = Limits::new().by_address(Quota::per_minute(10));
    let setup = Setup::with(|introspection| introspection, |guard| guard.limits(limits)).await;
    let from = async |peer: [u8; 4], token: &str| {
        let mut request = request("GET", "/me", token).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from((peer, 1))));
        send(&setup.service, request).await.status.as_u16()
    };
    let mut statuses = Vec::new();
    for number in 0..4 {
        statuses.push(from([192, 0, 2, 1], &format!("made-up-{number}")).await);
    }
    assert_eq!(statuses, [401, 401, 429, 429], "a guess costs 5 requests");
    assert_eq!(setup.issuer.questions(), 2);
    let good = setup.token("opaque-1", &json!({}));
    for _ in 0..10 {
        assert_eq!(from([192, 0, 2, 2], &good).await, 200);
    }
    assert_eq!(from([192, 0, 2, 3], "a\"b").await, 401);
    assert_eq!(from([192, 0, 2, 3], "a\"b").await, 401);
    assert_eq!(from([192, 0, 2, 3], &good).await, 429, "so does what cannot be a token");
}

#[tokio::test]
async fn without_introspection_an_opaque_token_is_refused() {
    let signer = Signer::es256("a");
    let guard = builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, jwks([&signer])));
    let service = crate::service::service(&guard.build().await.unwrap());
    assert_eq!(fetch(&service, "/me", "opaque-1").await.code(), "invalid_token");
}

#[tokio::test]
async fn the_endpoint_may_be_given_and_then_no_metadata_is_needed() {
    let (signer, dial) = (Signer::es256("a"), Dial::new());
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let url = format!("{}/introspect", issuer.url);
    let guard = builder(&dial)
        .issuer(Issuer::static_jwks(ISSUER, jwks([&signer])))
        .introspection(Introspection::at(url, "orders", "s3cret"));
    let service = crate::service::service(&guard.build().await.unwrap());
    issuer.say_of("opaque-1", &claims(&json!({ "active": true, "token_type": "Bearer" })));
    assert_eq!(fetch(&service, "/me", "opaque-1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_of_several_issuers_has_to_be_named_and_answers_for_itself_only() {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let build = async |introspection: Introspection| {
        let guard = builder(&Dial::new())
            .issuer(Issuer::static_jwks(ISSUER, jwks([&signer])))
            .issuer(Issuer::oidc(&issuer.url));
        guard.introspection(introspection).build().await
    };
    let discovered = || Introspection::discovered("orders", "s3cret");
    assert!(matches!(
        build(discovered()).await,
        Err(BuildError::Introspection(IntrospectionError::WhichIssuer))
    ));
    let stranger = build(discovered().of_issuer("https://evil.test")).await;
    assert!(matches!(stranger, Err(BuildError::Introspection(IntrospectionError::NoSuchIssuer(_)))));
    let guard = build(discovered().of_issuer(&issuer.url)).await.unwrap();
    let service = crate::service::service(&guard);
    for (token, iss, status) in [("a", issuer.url.as_str(), 200), ("b", ISSUER, 401)] {
        let answer = claims(&json!({ "active": true, "token_type": "Bearer", "iss": iss }));
        issuer.say_of(token, &answer);
        assert_eq!(fetch(&service, "/me", token).await.status.as_u16(), status, "{iss}");
    }
}

#[tokio::test]
async fn tokens_go_to_no_insecure_place() {
    let guard = || builder(&Dial::new()).issuer(Issuer::static_jwks("internal", jwks([&Signer::es256("a")])));
    for url in ["http://id.test/introspect", "introspect", "ftp://127.0.0.1/"] {
        let refused = guard().introspection(Introspection::at(url, "orders", "s3cret")).build().await;
        assert!(matches!(refused, Err(BuildError::Introspection(IntrospectionError::Url(_)))), "{url}");
    }
    let url = "http://id.test/introspect";
    let allowed = Introspection::at(url, "orders", "s3cret").danger_allow_plain_http();
    guard().introspection(allowed).build().await.unwrap();
    let nowhere = guard().introspection(Introspection::discovered("orders", "s3cret")).build().await;
    assert!(matches!(nowhere, Err(BuildError::Introspection(IntrospectionError::NotAnIssuer(_)))));
}
