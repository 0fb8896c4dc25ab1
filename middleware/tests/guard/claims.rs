//! Which claims a good signature does not make up for.

use std::time::Duration;

use http::StatusCode;
use portcullis_guard::{Algorithm, Issuer, Policy, SharedPolicy, TokenPolicy};
use serde_json::json;

use crate::service::{Dial, builder, fetch, guard_of, policy, service};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, b64, claims, jwks};
use crate::tokens::{assert_refused, guarded};

// JW-06, JW-07, JW-09, JW-12, and what RFC 9068 requires
#[tokio::test]
async fn a_signed_token_with_the_wrong_claims_is_refused() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    let wrong = [
        json!({ "aud": null }),
        json!({ "iss": null }),
        json!({ "sub": null }),
        json!({ "client_id": null }),
        json!({ "jti": null }),
        json!({ "iat": null }),
        json!({ "exp": null }),
        json!({ "aud": "https://other.test" }),
        json!({ "aud": ["https://other.test"] }),
        json!({ "aud": [] }),
        json!({ "aud": 5 }),
        json!({ "aud": [AUDIENCE, 5] }),
        json!({ "iss": 123 }),
        json!({ "iss": [ISSUER] }),
        json!({ "iss": "https://id.test/" }),
        json!({ "iss": "https://evil.test" }),
        json!({ "exp": "1800000300" }),
        json!({ "exp": 1e300 }),
        json!({ "exp": -1 }),
        json!({ "exp": [NOW] }),
        json!({ "nbf": NOW + 60 }),
        json!({ "iat": NOW + 60 }),
        json!({ "nbf": "0" }),
        json!({ "exp": NOW + 90_000 }),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        json!({ "roles": "admin" }),
        json!({ "cnf": { "jkt": "x" } }),
    ];
    for changes in wrong {
        assert_refused(&service, &signer.token(&changes), &changes.to_string()).await;
    }
    for fine in [
        json!({ "aud": ["https://other.test", AUDIENCE] }),
        json!({ "exp": 1_800_000_300.5 }),
        json!({ "nbf": NOW + 20 }),
        json!({ "scope": null, "roles": null }),
    ] {
        assert_eq!(fetch(&service, "/me", &signer.token(&fine)).await.status, StatusCode::OK, "{fine}");
    }
}

#[tokio::test]
async fn a_claim_that_is_given_twice_is_refused() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    let good = claims(&json!({})).to_string();
    for twice in
        [good.replacen('{', r#"{"sub":"mallory","#, 1), good.replacen('{', r#"{"\u0073ub":"mallory","#, 1)]
    {
        let message = format!("{}.{}", b64(signer.header().to_string()), b64(&twice));
        let token = format!("{message}.{}", b64(signer.signature(message.as_bytes())));
        assert_refused(&service, &token, &twice).await;
    }
}

// JW-10
#[tokio::test]
async fn a_token_of_another_kind_is_refused() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    for typ in [
        json!("JWT"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("token-introspection+jwt"),
        json!("portcullis-policy+jwt"),
        json!("application/jwt"),
        json!(""),
        json!(null),
        json!(7),
    ] {
        let header = json!({ "alg": "ES256", "kid": "a", "typ": typ });
        assert_refused(&service, &signer.sign(&header, &claims(&json!({}))), &typ.to_string()).await;
    }
    let untyped = json!({ "alg": "ES256", "kid": "a" });
    assert_refused(&service, &signer.sign(&untyped, &claims(&json!({}))), "no typ").await;
}

// JW-14
#[tokio::test]
async fn an_expired_token_is_refused_also_when_it_was_good_before() {
    let (signer, dial) = (Signer::es256("a"), Dial::new());
    let issuer = Issuer::static_jwks(ISSUER, jwks([&signer]));
    let service = service(&builder(&dial).issuer(issuer).build().await.unwrap());
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&service, "/me", &token).await.status, StatusCode::OK);
    dial.turn(Duration::from_secs(329));
    assert_eq!(fetch(&service, "/me", &token).await.status, StatusCode::OK, "within the leeway");
    dial.turn(Duration::from_secs(21));
    assert_refused(&service, &token, "expired 50 s ago").await;
    let other = signer.token(&json!({ "jti": "never seen" }));
    assert_refused(&service, &other, "expired 50 s ago and never seen").await;
    let answer = fetch(&service, "/me", &token).await;
    assert!(answer.header("www-authenticate").contains("expired"), "{answer:?}");
}

#[tokio::test]
async fn the_rules_can_be_tightened() {
    let signer = Signer::rsa("a", "RS256");
    let tokens = TokenPolicy::rfc9068().algorithms([Algorithm::Es256]);
    let strict = service(&guard_of(&signer).tokens(tokens).build().await.unwrap());
    assert_refused(&strict, &signer.token(&json!({})), "not a listed algorithm").await;
    let tokens = TokenPolicy::rfc9068().max_lifetime(Duration::from_mins(1)).cache_bytes(0);
    let short = service(&guard_of(&signer).tokens(tokens).build().await.unwrap());
    assert_refused(&short, &signer.token(&json!({})), "lives five minutes").await;
    assert_eq!(fetch(&short, "/me", &signer.token(&json!({ "exp": NOW + 60 }))).await.status, StatusCode::OK);
}

// RFC 8693 section 4.1
#[tokio::test]
async fn rfc_8693_section_4_1_what_those_may_who_act_or_acted_opens_nothing() {
    let signer = Signer::es256("a");
    let rules = Policy::shared(SharedPolicy::new(policy(
        "p, admin, *, orders, read\np, user:root, *, orders, read\np, user:boss, *, orders, read",
        1,
    )));
    let service = service(&guard_of(&signer).policy(rules).build().await.unwrap());
    let boss = json!({ "sub": "boss", "roles": ["admin"], "scope": "orders:read" });
    let root = json!({ "sub": "root", "roles": ["admin"], "client_id": "root", "act": boss });
    for act in [&boss, &root] {
        let for_viewer = signer.token(&json!({ "act": act }));
        let answer = fetch(&service, "/me", &for_viewer).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "alice"), "{act}");
        assert_eq!(fetch(&service, "/orders", &for_viewer).await.status, StatusCode::FORBIDDEN, "{act}");
        let for_admin = signer.token(&json!({ "roles": ["admin"], "act": act }));
        assert_eq!(fetch(&service, "/orders", &for_admin).await.status, StatusCode::OK, "{act}");
    }
}
