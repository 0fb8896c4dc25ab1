//! Tokens that are bound to a key or a certificate.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use http::{Method, Request};
use portcullis_guard::{
    BuildError, ClientOrigin, Dpop, GuardBuilder, GuardExt, GuardedRouter, Issuer, Principal,
    ProtectedResource, authenticated, optional, scope,
};
use serde_json::{Value, json};

use crate::service::{Answer, Dial, builder, guard_of, send};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, b64, jwks};

pub(crate) async fn app(guard: GuardBuilder) -> Router {
    let guard = guard.build().await.unwrap();
    let who = async |who: Principal| format!("{} {}", who.has_proven_key(), who.has_proven_certificate());
    GuardedRouter::new()
        .route("/me", get(who).guard(authenticated()))
        .route("/things/{id}", any(async || "any").guard(authenticated()))
        .route("/key", get(async || "key").guard(authenticated().dpop()))
        .route("/certificate", get(async || "certificate").guard(authenticated().mtls()))
        .route("/open", get(async || "open").guard(optional()))
        .guarded_by(&guard)
}

/// The public key as a proof shows it, and its thumbprint (RFC 7638).
pub(crate) fn public(key: &Signer) -> (Value, String) {
    let mut jwk = key.jwk();
    for extra in ["kid", "alg", "use"] {
        jwk.as_object_mut().unwrap().remove(extra);
    }
    // `Value` writes members in the order of their names, which is the one that is asked for.
    let thumbprint = b64(digest(&SHA256, jwk.to_string().as_bytes()));
    (jwk, thumbprint)
}

pub(crate) fn bound_token(issuer: &Signer, key: &Signer) -> String {
    issuer.token(&json!({ "cnf": { "jkt": public(key).1 } }))
}

/// A proof for `GET /me` with a token, with other claims and another header where they are given.
pub(crate) fn proof(key: &Signer, token: &str, claims: &Value, header: &Value) -> String {
    let mut all = json!({
        "jti": "proof-1", "htm": "GET", "htu": format!("{AUDIENCE}/me"), "iat": NOW,
        "ath": b64(digest(&SHA256, token.as_bytes())),
    });
    let mut head = json!({ "typ": "dpop+jwt", "alg": key.alg, "jwk": public(key).0 });
    for (to, changes) in [(&mut all, claims), (&mut head, header)] {
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                to.as_object_mut().unwrap().remove(name);
            } else {
                to[name] = value.clone();
            }
        }
    }
    key.sign(&head, &all)
}

pub(crate) async fn ask(app: &Router, path: &str, token: &str, proof: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("DPoP {token}")).header("dpop", proof);
    send(app, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_bound_token_is_good_with_a_proof_for_this_request_by_every_kind_of_key() {
    let issuer = Signer::es256("a");
    let app = app(guard_of(&issuer).dpop(Dpop::new())).await;
    for (number, key) in
        [Signer::es256("k"), Signer::eddsa("k"), Signer::rsa("k", "RS256"), Signer::rsa("k", "PS256")]
            .iter()
            .enumerate()
    {
        let token = bound_token(&issuer, key);
        let name = json!({ "jti": format!("proof-{number}"), "htu": format!("{AUDIENCE}/me?page=2#top") });
        let answer = ask(&app, "/me?page=1", &token, &proof(key, &token, &name, &json!({}))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, "true false"),
            "{} {answer:?}",
            key.alg
        );
    }
}

// CA-12, RFC 9449 §4.3
#[tokio::test]
async fn a_proof_that_is_not_for_this_request_and_this_token_is_refused() {
    let (issuer, key, other) = (Signer::es256("a"), Signer::es256("k"), Signer::es256("o"));
    let app = app(guard_of(&issuer).dpop(Dpop::new())).await;
    let token = bound_token(&issuer, &key);
    let none = json!({});
    let claims = |changes: Value| proof(&key, &token, &changes, &none);
    let header = |changes: Value| proof(&key, &token, &none, &changes);
    let mut private = public(&key).0;
    private["d"] = "AAAA".into();
    for wrong in [
        String::new(),
        "a.b.c".to_owned(),
        claims(json!({ "htm": "POST" })),
        claims(json!({ "htm": "get" })),
        claims(json!({ "htm": null })),
        claims(json!({ "htu": format!("{AUDIENCE}/you") })),
        claims(json!({ "htu": format!("{AUDIENCE}/me/") })),
        claims(json!({ "htu": format!("{AUDIENCE}:8443/me") })),
        claims(json!({ "htu": "https://evil.test/me" })),
        claims(json!({ "htu": "http://api.test/me" })),
        claims(json!({ "htu": "https://u:p@api.test/me" })),
        claims(json!({ "htu": "/me" })),
        claims(json!({ "htu": null })),
        claims(json!({ "iat": NOW - 91 })),
        claims(json!({ "iat": NOW + 31 })),
        claims(json!({ "iat": null })),
        claims(json!({ "iat": "now" })),
        claims(json!({ "ath": null })),
        claims(json!({ "ath": b64(digest(&SHA256, b"another token")) })),
        claims(json!({ "jti": "" })),
        claims(json!({ "jti": null })),
        claims(json!({ "jti": "j".repeat(257) })),
        header(json!({ "typ": "JWT" })),
        header(json!({ "typ": null })),
        header(json!({ "alg": "none" })),
        header(json!({ "alg": "HS256" })),
        header(json!({ "alg": "RS256" })),
        header(json!({ "jwk": null })),
        header(json!({ "jwk": private })),
        header(json!({ "jwk": { "kty": "oct", "k": "AAAA" } })),
        header(json!({ "crit": ["exp"] })),
        claims(json!({ "pad": "x".repeat(9_000) })),
    ] {
        let answer = ask(&app, "/me", &token, &wrong).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_dpop_proof"), "{wrong}");
        let challenge = answer.header("www-authenticate").to_owned();
        assert!(
            challenge.starts_with("DPoP algs=\"EdDSA ES256 PS256 RS256\", error=\"invalid_dpop_proof\""),
            "{challenge}"
        );
    }
    for of_other in [header(json!({ "jwk": public(&other).0 })), proof(&other, &token, &none, &none)] {
        let answer = ask(&app, "/me", &token, &of_other).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"));
        assert!(answer.header("www-authenticate").starts_with("DPoP "), "{answer:?}");
    }
    for fine in
        [claims(json!({ "jti": "1", "iat": NOW - 90 })), claims(json!({ "jti": "2", "iat": NOW + 30 }))]
    {
        assert_eq!(ask(&app, "/me", &token, &fine).await.status, 200);
    }
}

#[tokio::test]
async fn a_proof_is_good_for_its_method_and_its_url_as_proxies_do_not_see_them() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let dpop = Dpop::new()
        .origin("https://shop.test")
        .origin("http://localhost:8081")
        .origin("https://edge.test/v1/");
    let app = app(guard_of(&issuer).dpop(dpop)).await;
    let token = bound_token(&issuer, &key);
    for (number, (method, htu, status)) in [
        ("PUT", "https://shop.test/things/a%20b", 200),
        ("PUT", "https://SHOP.test:443/things/a%20b", 200),
        ("DELETE", "http://localhost:8081/things/a%20b", 200),
        ("PUT", "https://edge.test/v1/things/a%20b", 200),
        ("PUT", "https://shop.test/%74hings/a%20b", 200),
        ("PUT", "https://edge.test/things/a%20b", 401),
        ("PUT", "https://shop.test/v1/things/a%20b", 401),
        ("PUT", "https://api.test/things/a%20b", 401),
        ("PUT", "https://shop.test/things/a", 401),
    ]
    .into_iter()
    .enumerate()
    {
        let claims = json!({ "jti": number.to_string(), "htm": method, "htu": htu });
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri("/things/a%20b")
            .header("host", "internal:3000")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof(&key, &token, &claims, &json!({})));
        assert_eq!(send(&app, request.body(Body::empty()).unwrap()).await.status, status, "{method} {htu}");
    }
}

/// Whoever knows by which name the client came wants the proof to be for that name.
#[tokio::test]
async fn a_proof_is_for_the_origin_that_the_client_reached_where_that_is_known() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let dpop = Dpop::new().origin("https://shop.test").origin("https://edge.test");
    let app = app(guard_of(&issuer).dpop(dpop)).await;
    let token = bound_token(&issuer, &key);
    for (number, (host, htu, status)) in [
        ("shop.test", "https://shop.test/me", 200),
        ("SHOP.test:443", "https://shop.test/me", 200),
        ("edge.test", "https://edge.test/me", 200),
        ("edge.test", "https://shop.test/me", 401),
        ("other.test", "https://other.test/me", 401),
        ("other.test", "https://shop.test/me", 401),
    ]
    .into_iter()
    .enumerate()
    {
        let claims = json!({ "jti": number.to_string(), "htu": htu });
        let request = Request::get("/me")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof(&key, &token, &claims, &json!({})))
            .extension(ClientOrigin::new("https", host).unwrap());
        assert_eq!(send(&app, request.body(Body::empty()).unwrap()).await.status, status, "{host} {htu}");
    }
}

#[tokio::test]
async fn a_proof_is_good_once_and_only_one_may_be_sent() {
    let (issuer, key, other) = (Signer::es256("a"), Signer::es256("k"), Signer::es256("o"));
    let dial = Dial::new();
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&issuer]))).dpop(Dpop::new());
    let app = app(guard).await;
    let token = bound_token(&issuer, &key);
    let first = proof(&key, &token, &json!({ "iat": NOW + 30 }), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &first).await.status, 200);
    for secs in [0, 60, 60] {
        dial.turn(Duration::from_secs(secs));
        let again = ask(&app, "/me", &token, &first).await;
        assert_eq!(
            (again.status.as_u16(), again.code().as_str()),
            (401, "invalid_dpop_proof"),
            "after {secs} s more"
        );
    }
    let of_other = bound_token(&issuer, &other);
    let now = json!({ "iat": NOW + 120 });
    let same_name = proof(&other, &of_other, &now, &json!({}));
    assert_eq!(ask(&app, "/me", &of_other, &same_name).await.status, 200, "two keys may use one name");

    let proofs =
        ["a", "b"].map(|jti| proof(&key, &token, &json!({ "jti": jti, "iat": NOW + 120 }), &json!({})));
    let [one, two] = proofs;
    let request = Request::get("/me").header("authorization", format!("DPoP {token}"));
    let both = request.header("dpop", one).header("dpop", two).body(Body::empty()).unwrap();
    assert_eq!(send(&app, both).await.status, 401);
}

// CA-14, RFC 9449 §7.1
#[tokio::test]
async fn rfc_9449_section_7_1_and_7_2_and_fapi2_section_5_3_4_bound_tokens_and_bearer_tokens_stay_apart() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let with = app(guard_of(&issuer).dpop(Dpop::new())).await;
    let without = app(guard_of(&issuer)).await;
    let (bound, plain) = (bound_token(&issuer, &key), issuer.token(&json!({})));
    for app in [&with, &without] {
        let request = Request::get("/me").header("authorization", format!("Bearer {bound}"));
        let with_proof = request.header("dpop", proof(&key, &bound, &json!({}), &json!({})));
        assert_eq!(send(app, with_proof.body(Body::empty()).unwrap()).await.code(), "invalid_token");
    }
    let named = |jti: &str| proof(&key, &plain, &json!({ "jti": jti }), &json!({}));
    let unbound = ask(&with, "/me", &plain, &named("a")).await;
    assert_eq!(unbound.code(), "invalid_token");
    assert!(unbound.header("www-authenticate").starts_with("DPoP "), "{unbound:?}");
    assert_eq!(
        ask(&without, "/me", &plain, &named("b")).await.code(),
        "unauthenticated",
        "no scheme that is known"
    );
    for cnf in [json!({}), json!({ "kid": "1" }), json!({ "jwk": public(&key).0 })] {
        let token = issuer.token(&json!({ "cnf": cnf }));
        let request = Request::get("/me").header("authorization", format!("Bearer {token}"));
        assert_eq!(send(&with, request.body(Body::empty()).unwrap()).await.code(), "invalid_token", "{cnf}");
    }
}

#[tokio::test]
async fn a_route_or_a_whole_service_may_take_bound_tokens_only() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let some = app(guard_of(&issuer).dpop(Dpop::new())).await;
    let all = app(guard_of(&issuer).dpop(Dpop::new().required())).await;
    let (bound, plain) = (bound_token(&issuer, &key), issuer.token(&json!({})));
    let bearer = async |app: &Router, path: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {plain}"));
        send(app, request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(bearer(&some, "/me").await.status, 200);
    for (app, path) in [(&some, "/key"), (&all, "/me"), (&all, "/open")] {
        let answer = bearer(app, path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"), "{path}");
        assert!(answer.header("www-authenticate").starts_with("DPoP algs="), "{answer:?}");
    }
    let claims = json!({ "htu": format!("{AUDIENCE}/key") });
    assert_eq!(ask(&some, "/key", &bound, &proof(&key, &bound, &claims, &json!({}))).await.status, 200);
    let schemes = async |app: &Router| {
        let request = Request::get("/me").body(Body::empty()).unwrap();
        let headers = send(app, request).await.headers;
        let all = headers.get_all("www-authenticate").iter();
        all.map(|value| value.to_str().unwrap().split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(schemes(&some).await, ["Bearer", "DPoP"]);
    assert_eq!(schemes(&all).await, ["DPoP"]);
}

// RFC 9449 §9
#[tokio::test]
async fn rfc_9449_section_9_a_nonce_is_asked_for_and_is_good_for_a_while() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let dial = Dial::new();
    let guard = || {
        let keys = Issuer::static_jwks(ISSUER, jwks([&issuer]));
        builder(&dial).issuer(keys).dpop(Dpop::new().nonces([7; 32]))
    };
    let (app, replica) = (app(guard()).await, app(guard()).await);
    let token = bound_token(&issuer, &key);
    let at = |jti: &str, nonce: Value, secs: u64| {
        proof(&key, &token, &json!({ "jti": jti, "nonce": nonce, "iat": NOW + secs }), &json!({}))
    };
    let first = ask(&app, "/me", &token, &at("a", Value::Null, 0)).await;
    assert_eq!((first.status.as_u16(), first.code().as_str()), (401, "use_dpop_nonce"));
    assert!(first.header("www-authenticate").contains("error=\"use_dpop_nonce\""), "{first:?}");
    let nonce = first.header("dpop-nonce").to_owned();
    assert_eq!(
        ask(&app, "/me", &token, &at("a", nonce.as_str().into(), 0)).await.status,
        200,
        "the same name again"
    );
    assert_eq!(ask(&replica, "/me", &token, &at("b", nonce.as_str().into(), 0)).await.status, 200);
    assert_eq!(ask(&app, "/me", &token, &at("c", "made-up".into(), 0)).await.code(), "use_dpop_nonce");
    dial.turn(Duration::from_secs(290));
    assert_eq!(ask(&app, "/me", &token, &at("d", nonce.as_str().into(), 290)).await.status, 200);
    dial.turn(Duration::from_secs(310));
    let token = issuer.token(&json!({ "cnf": { "jkt": public(&key).1 }, "exp": NOW + 900 }));
    let late = proof(&key, &token, &json!({ "jti": "e", "nonce": nonce, "iat": NOW + 600 }), &json!({}));
    let stale = ask(&app, "/me", &token, &late).await;
    assert_eq!(stale.code(), "use_dpop_nonce");
    assert_ne!(stale.header("dpop-nonce"), nonce);
}

#[tokio::test]
async fn a_service_whose_origin_is_not_known_cannot_check_proofs() {
    let issuer = Signer::es256("a");
    for guard in [
        guard_of(&issuer).audience("orders").dpop(Dpop::new()),
        guard_of(&issuer).dpop(Dpop::new().origin("http://api.test")),
        guard_of(&issuer).dpop(Dpop::new().origin("api.test")),
    ] {
        assert!(matches!(guard.build().await, Err(BuildError::Dpop(_))));
    }
}

#[tokio::test]
async fn a_challenge_is_by_a_scheme_that_is_accepted() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let guard = guard_of(&issuer).dpop(Dpop::new().required()).protected_resource(ProtectedResource::new());
    let guard = guard.build().await.unwrap();
    let app = GuardedRouter::new()
        .route("/scope", get(async || "scope").guard(scope("a").or(scope("b"))))
        .route("/strong", get(async || "strong").guard(authenticated().acr("phr")))
        .guarded_by(&guard);
    let token = issuer.token(&json!({ "cnf": { "jkt": public(&key).1 }, "scope": "c" }));
    for (path, error) in
        [("/scope", "insufficient_scope\", scope=\"b"), ("/strong", "insufficient_user_authentication")]
    {
        let proof =
            proof(&key, &token, &json!({ "jti": path, "htu": format!("{AUDIENCE}{path}") }), &json!({}));
        let challenge = ask(&app, path, &token, &proof).await.header("www-authenticate").to_owned();
        let begin = format!("DPoP algs=\"EdDSA ES256 PS256 RS256\", error=\"{error}\"");
        assert!(challenge.starts_with(&begin), "{challenge}");
    }
    let bad = Request::get("/strong").header("authorization", "Bearer a.b.c").body(Body::empty()).unwrap();
    let answer = send(&app, bad).await;
    assert!(answer.header("www-authenticate").starts_with("DPoP algs="), "{answer:?}");
    let metadata = Request::get("/.well-known/oauth-protected-resource").body(Body::empty()).unwrap();
    let metadata: Value = serde_json::from_str(&send(&app, metadata).await.body).unwrap();
    assert_eq!(metadata["dpop_bound_access_tokens_required"], true);
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["EdDSA", "ES256", "PS256", "RS256"]));
}

#[tokio::test]
async fn a_route_that_nobody_can_pass_still_says_what_it_asks_for() {
    let issuer = Signer::es256("a");
    let app = app(guard_of(&issuer)).await;
    let request = |path: &str| {
        Request::get(path).header("authorization", format!("Bearer {}", issuer.token(&json!({}))))
    };
    for (path, scheme) in [("/key", "DPoP"), ("/certificate", "Bearer")] {
        let answer = send(&app, request(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").starts_with(scheme), "{answer:?}");
    }
}
