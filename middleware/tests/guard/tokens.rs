//! Which tokens open the door.

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use base64::Engine;
use http::{HeaderValue, Request, StatusCode};
use portcullis_guard::{BuildError, Guard, Issuer, JwkSet, SharedKeys};
use serde_json::{Value, json};

use crate::service::{Dial, builder, fetch, guard_of, send, service};
use crate::signer::{AUDIENCE, ISSUER, Signer, b64, claims, jwks};

pub(crate) async fn guarded(signer: &Signer) -> Router {
    service(&guard_of(signer).build().await.unwrap())
}

/// Sends a token that has to be refused, and looks at the whole refusal.
pub(crate) async fn assert_refused(service: &Router, token: &str, why: &str) {
    let answer = fetch(service, "/me", token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{why}: {answer:?}");
    assert_eq!(answer.code(), "invalid_token", "{why}");
    assert!(answer.header("www-authenticate").starts_with(r#"Bearer error="invalid_token""#), "{why}");
}

#[tokio::test]
async fn a_good_token_opens_the_door_with_every_algorithm() {
    for signer in
        [Signer::es256("a"), Signer::eddsa("a"), Signer::rsa("a", "RS256"), Signer::rsa("a", "PS256")]
    {
        let answer = fetch(&guarded(&signer).await, "/me", &signer.token(&json!({}))).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "alice"), "{}", signer.alg);
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_challenged_without_an_error_code() {
    let service = guarded(&Signer::es256("a")).await;
    let basic = Request::get("/me").header("authorization", "Basic dTpw").body(Body::empty()).unwrap();
    for request in [Request::get("/me").body(Body::empty()).unwrap(), basic] {
        let answer = send(&service, request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="https://api.test""#);
        assert_eq!(answer.code(), "unauthenticated");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

// JW-01
#[tokio::test]
async fn an_unsigned_token_is_refused_however_it_spells_none() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    let payload = b64(claims(&json!({})).to_string());
    for alg in [json!("none"), json!("None"), json!("nOnE"), json!(""), json!(null)] {
        let header = b64(json!({ "alg": alg, "typ": "at+jwt", "kid": "a" }).to_string());
        for signature in ["", "AA"] {
            assert_refused(&service, &format!("{header}.{payload}.{signature}"), &alg.to_string()).await;
        }
    }
    let without = b64(json!({ "typ": "at+jwt", "kid": "a" }).to_string());
    assert_refused(&service, &format!("{without}.{payload}."), "no alg").await;
    let stripped = format!("{}.{payload}.", b64(signer.header().to_string()));
    assert_refused(&service, &stripped, "signature taken off").await;
}

// JW-02
#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    for signer in
        [Signer::rsa("a", "RS256"), Signer::rsa("a", "PS256"), Signer::es256("a"), Signer::eddsa("a")]
    {
        let service = guarded(&signer).await;
        let (jwk, der, pem) = (signer.jwk(), signer.spki(), signer.pem());
        let numbers = ["n", "x"].iter().filter_map(|name| jwk[name].as_str());
        let numbers =
            numbers.map(|text| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap());
        let mut secrets: Vec<Vec<u8>> = numbers.collect();
        secrets.extend([jwk.to_string().into(), jwks([&signer]).into(), der, vec![]]);
        for text in [
            pem.as_str(),
            pem.trim_end(),
            &format!(" {pem}"),
            &pem.replace('\n', "\r\n"),
            &pem.replace('\n', ""),
        ] {
            secrets.push(text.into());
        }
        for alg in ["HS256", "hs256", signer.alg] {
            for secret in &secrets {
                let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "a" });
                let message = format!("{}.{}", b64(header.to_string()), b64(claims(&json!({})).to_string()));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
                assert_refused(&service, &format!("{message}.{}", b64(tag)), alg).await;
            }
        }
    }
}

#[test]
fn the_keys_of_the_tests_are_written_as_other_programs_write_them() {
    let spki = Signer::es256("a").spki();
    // RFC 5480 §2.1.1.1, §2.2: id-ecPublicKey on secp256r1, and an uncompressed point.
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    assert_eq!((&spki[..27], spki.len()), (head.as_slice(), 91));
    assert_eq!((Signer::eddsa("a").spki().len(), Signer::rsa("a", "RS256").spki().len()), (44, 294));
}

#[tokio::test]
async fn a_key_verifies_the_algorithm_that_it_is_bound_to_and_no_other() {
    let signer = Signer::rsa("a", "RS256");
    let service = guarded(&signer).await;
    let other = signer.posing_as("PS256");
    assert_refused(&service, &other.token(&json!({})), "PS256 by a key for RS256").await;
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    for alg in ["EdDSA", "RS256", "PS256", "ES384", "ES256K", "es256"] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": "a" });
        assert_refused(&service, &signer.sign(&header, &claims(&json!({}))), alg).await;
    }
}

// JW-03
#[tokio::test]
async fn a_key_id_is_a_name_and_nothing_else() {
    let (one, other) = (Signer::es256("a"), Signer::es256("b"));
    let issuer = Issuer::static_jwks(ISSUER, jwks([&one, &other]));
    let service = service(&builder(&Dial::new()).issuer(issuer).build().await.unwrap());
    let with_kid = |kid: Value| {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
        one.sign(&header, &claims(&json!({})))
    };
    let hostile = [
        json!("../../dev/null"),
        json!("' OR 1=1--"),
        json!("x".repeat(300)),
        json!(1),
        json!(null),
        json!(["a"]),
        json!(""),
        json!("A"),
        json!("a\u{0}"),
        json!("b"),
        json!("https://evil.test/jwks"),
    ];
    for kid in hostile {
        assert_refused(&service, &with_kid(kid.clone()), &kid.to_string()).await;
    }
    let absent = one.sign(&json!({ "alg": "ES256", "typ": "at+jwt" }), &claims(&json!({})));
    assert_refused(&service, &absent, "no kid and two keys").await;
    assert_eq!(fetch(&service, "/me", &with_kid(json!("a"))).await.status, StatusCode::OK);
}

// JW-04
#[tokio::test]
async fn a_key_that_comes_with_the_token_is_neither_used_nor_fetched() {
    let (signer, evil) = (Signer::es256("a"), Signer::es256("evil"));
    let service = guarded(&signer).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/jwks");
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", evil.jwk()),
        ("x5c", json!(["AA=="])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
    ] {
        for by in [&signer, &evil] {
            let mut header = by.header();
            header[name] = value.clone();
            assert_refused(&service, &by.sign(&header, &claims(&json!({}))), name).await;
        }
    }
    let own = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody came before to fetch a key");
}

// JW-17
#[tokio::test]
async fn a_huge_token_is_refused() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    assert_refused(&service, &"a".repeat(1024 * 1024), "1 MB").await;
    assert_refused(&service, &signer.token(&json!({ "pad": "x".repeat(8_192) })), "well signed").await;
}

// JW-20
#[tokio::test]
async fn mcp_section_token_requirements_several_credentials_are_refused_and_the_query_is_not_read() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    let token = signer.token(&json!({}));
    let with = |values: &[String]| {
        let mut request = Request::get("/me").body(Body::empty()).unwrap();
        for value in values {
            request.headers_mut().append("authorization", HeaderValue::try_from(value).unwrap());
        }
        request
    };
    let bearer = format!("Bearer {token}");
    for values in [
        vec![bearer.clone(), bearer.clone()],
        vec![format!("{bearer}, {bearer}")],
        vec![bearer.clone(), "Basic dTpw".into()],
    ] {
        let answer = send(&service, with(&values)).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
    }
    let uri = format!("/me?access_token={token}");
    let query = Request::get(&uri).body(Body::empty()).unwrap();
    assert_eq!(send(&service, query).await.status, StatusCode::UNAUTHORIZED);
    let both = Request::get(&uri).header("authorization", "Bearer x.y.z").body(Body::empty()).unwrap();
    assert_eq!(send(&service, both).await.status, StatusCode::UNAUTHORIZED);
    let form = Request::post("/echo").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(Body::from(format!("access_token={token}"))).unwrap();
    assert_eq!(send(&service, form).await.status, StatusCode::UNAUTHORIZED);
}

// JW-21
#[tokio::test]
async fn a_token_dies_with_its_key_also_when_it_was_good_before() {
    let (old, new) = (Signer::es256("old"), Signer::eddsa("new"));
    let keys = SharedKeys::new(JwkSet::parse(jwks([&old, &new])).unwrap());
    let issuer = Issuer::shared(ISSUER, keys.clone());
    let service = service(&builder(&Dial::new()).issuer(issuer).build().await.unwrap());
    let tokens = [old.token(&json!({})), new.token(&json!({}))];
    for token in &tokens {
        assert_eq!(fetch(&service, "/me", token).await.status, StatusCode::OK);
    }
    keys.store(JwkSet::parse(jwks([&new])).unwrap());
    assert_refused(&service, &tokens[0], "its key was withdrawn").await;
    assert_eq!(fetch(&service, "/me", &tokens[1]).await.status, StatusCode::OK);
    keys.store(JwkSet::parse(jwks([&Signer::es256("old"), &new])).unwrap());
    assert_refused(&service, &tokens[0], "another key took its name").await;
}

// JW-24
#[tokio::test]
async fn degenerate_signatures_are_refused() {
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    for signer in
        [Signer::es256("a"), Signer::eddsa("a"), Signer::rsa("a", "RS256"), Signer::rsa("a", "PS256")]
    {
        let service = guarded(&signer).await;
        let signed = format!("{}.{}", b64(signer.header().to_string()), b64(claims(&json!({})).to_string()));
        let good = signer.signature(signed.as_bytes());
        let flipped: Vec<u8> =
            good.iter().enumerate().map(|(at, byte)| if at == 5 { byte ^ 1 } else { *byte }).collect();
        let signatures = [
            vec![0; good.len()],
            vec![0xff; good.len()],
            vec![1; good.len()],
            order.repeat(2),
            flipped,
            good[..good.len() - 1].to_vec(),
            [good.as_slice(), &[0]].concat(),
            good.repeat(2),
            vec![0x30, 0x06, 2, 1, 0, 2, 1, 0],
        ];
        for signature in signatures {
            assert_refused(&service, &format!("{signed}.{}", b64(&signature)), signer.alg).await;
        }
    }
}

// JW-26
#[tokio::test]
async fn a_token_of_the_wrong_shape_is_refused() {
    let signer = Signer::es256("a");
    let service = guarded(&signer).await;
    let good = signer.token(&json!({}));
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for shape in [
        ".".to_owned(),
        "..".into(),
        "...".into(),
        "a".into(),
        format!("{header}.{payload}"),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{good}="),
        format!("{header}.{payload}.{signature}%"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{}.{payload}.{signature}", b64([0xff, 0xfe])),
        format!("{}.{payload}.{signature}", b64("[]")),
    ] {
        assert_refused(&service, &shape, &shape).await;
    }
    let raw = HeaderValue::from_bytes(b"Bearer \xff\xfe.\xff.\xff").unwrap();
    let raw = Request::get("/me").header("authorization", raw).body(Body::empty()).unwrap();
    assert_eq!(send(&service, raw).await.status, StatusCode::UNAUTHORIZED);
}

// JW-27
#[tokio::test]
async fn the_key_of_one_issuer_does_not_sign_for_another() {
    let (own, other) = (Signer::es256("k"), Signer::es256("k"));
    let guard = builder(&Dial::new())
        .issuer(Issuer::static_jwks(ISSUER, jwks([&own])))
        .issuer(Issuer::static_jwks("https://ci.test", jwks([&other])));
    let service = service(&guard.build().await.unwrap());
    assert_eq!(fetch(&service, "/me", &own.token(&json!({}))).await.status, StatusCode::OK);
    let ci = json!({ "iss": "https://ci.test" });
    assert_eq!(fetch(&service, "/me", &other.token(&ci)).await.status, StatusCode::OK);
    assert_refused(&service, &other.token(&json!({})), "signed by the other").await;
    assert_refused(&service, &own.token(&ci), "signed by the one").await;
    assert_refused(&service, &own.token(&json!({ "iss": "https://evil.test" })), "unknown").await;
}

#[tokio::test]
async fn a_guard_without_issuer_or_audience_is_not_built() {
    let signer = Signer::es256("a");
    let issuer = || Issuer::static_jwks(ISSUER, jwks([&signer]));
    assert!(matches!(Guard::builder().issuer(issuer()).build().await, Err(BuildError::NoAudience)));
    assert!(matches!(
        Guard::builder().issuer(issuer()).audience("").build().await,
        Err(BuildError::NoAudience)
    ));
    assert!(matches!(Guard::builder().audience(AUDIENCE).build().await, Err(BuildError::NoIssuer)));
    let bad = Issuer::static_jwks(ISSUER, "{}");
    assert!(matches!(
        Guard::builder().audience(AUDIENCE).issuer(bad).build().await,
        Err(BuildError::Issuer(_))
    ));
    let insecure = Guard::oidc("http://id.example.com", AUDIENCE).await;
    assert!(matches!(insecure, Err(BuildError::Issuer(_))));
}
