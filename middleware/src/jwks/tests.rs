//! Key sets: which keys are used, which are not, and what changes when they change.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const ES256: Algorithm = Algorithm::Es256;

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519(kid: &str) -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key().as_ref()) })
}

fn p256(kid: &str) -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..]) })
}

fn rsa(bits: usize, exponent: &[u8]) -> Value {
    let mut modulus = vec![0xff; bits / 8];
    modulus[0] = 0xc1;
    json!({ "kty": "RSA", "kid": "r", "n": b64(&modulus), "e": b64(exponent) })
}

fn set(keys: &[Value]) -> Result<JwkSet, JwksError> {
    JwkSet::parse(json!({ "keys": keys }).to_string())
}

fn fault(key: &Value) -> KeyFault {
    match set(std::slice::from_ref(key)) {
        Err(JwksError::NoUsableKey(Some(fault))) => fault,
        other => panic!("{key}: {other:?}"),
    }
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

#[test]
fn keys_of_every_accepted_kind_are_used() {
    let keys = [
        ed25519("a"),
        p256("b"),
        with(rsa(2048, &[1, 0, 1]), "alg", "RS256"),
        with(with(rsa(4096, &[1, 0, 1]), "alg", "PS256"), "kid", "p"),
    ];
    assert_eq!(set(&keys).unwrap().len(), 4);
}

#[test]
fn keys_that_are_weak_private_or_for_something_else_are_not_used() {
    assert_eq!(fault(&rsa(1024, &[1, 0, 1])), KeyFault::Weak);
    assert_eq!(fault(&rsa(2040, &[1, 0, 1])), KeyFault::Weak);
    assert_eq!(fault(&rsa(16_384, &[1, 0, 1])), KeyFault::Weak);
    for exponent in [&[3][..], &[1], &[1, 0, 0], &[1, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(fault(&rsa(2048, exponent)), KeyFault::Weak, "{exponent:?}");
    }
    assert_eq!(fault(&with(ed25519("a"), "d", "AA")), KeyFault::Private);
    assert_eq!(fault(&with(p256("a"), "use", "enc")), KeyFault::Use);
    assert_eq!(fault(&with(p256("a"), "key_ops", json!(["sign"]))), KeyFault::Use);
    for (name, value) in
        [("alg", "HS256"), ("alg", "none"), ("alg", "ES384"), ("crv", "P-384"), ("kty", "oct")]
    {
        assert_eq!(fault(&with(p256("a"), name, value)), KeyFault::Algorithm, "{name} {value}");
    }
    assert_eq!(fault(&with(rsa(2048, &[1, 0, 1]), "alg", "ES256")), KeyFault::Algorithm);
    assert_eq!(fault(&json!({ "kty": "oct", "k": "AA" })), KeyFault::Algorithm);
}

#[test]
fn keys_that_are_no_keys_are_not_used() {
    let point = p256("a");
    assert_eq!(fault(&with(point.clone(), "x", b64(&[1; 32]))), KeyFault::Invalid, "not on the curve");
    assert_eq!(fault(&with(point.clone(), "x", b64(&[1; 31]))), KeyFault::Invalid);
    assert_eq!(fault(&with(point.clone(), "y", Value::Null)), KeyFault::Invalid);
    assert_eq!(fault(&with(point, "x", "not base64!")), KeyFault::Invalid);
    assert_eq!(fault(&with(ed25519("a"), "x", b64(&[7; 33]))), KeyFault::Invalid);
    assert_eq!(fault(&json!("key")), KeyFault::Invalid);
    assert_eq!(fault(&json!({ "kty": 5 })), KeyFault::Invalid);
}

#[test]
fn ed25519_points_of_small_order_are_refused_with_either_sign() {
    let low = |byte: u8| {
        let mut point = [0; 32];
        point[0] = byte;
        point
    };
    let near_p = |byte: u8| {
        let mut point = [0xff; 32];
        point[0] = byte;
        point[31] = 0x7f;
        point
    };
    for mut point in [low(0), low(1), near_p(0xec), near_p(0xed), near_p(0xee)] {
        for sign in [0, 0x80] {
            point[31] |= sign;
            assert_eq!(fault(&with(ed25519("a"), "x", b64(&point))), KeyFault::Weak, "{point:x?}");
        }
    }
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let set = set(&[json!({ "kty": "oct" }), rsa(1024, &[1, 0, 1]), p256("good"), json!(null)]).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.find(Some("good"), ES256).is_some());
}

#[test]
fn what_is_not_a_key_set_is_refused() {
    for text in ["", "{}", "[]", "<html>", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(JwkSet::parse(text), Err(JwksError::Malformed)), "{text}");
    }
    assert!(matches!(set(&[]), Err(JwksError::NoUsableKey(None))));
    let many: Vec<Value> = (0..65).map(|n| p256(&n.to_string())).collect();
    assert!(matches!(set(&many), Err(JwksError::Malformed)));
}

#[test]
fn a_key_is_found_by_its_name_and_without_a_name_only_if_it_is_the_only_one() {
    let one = set(&[p256("a")]).unwrap();
    assert!(one.find(None, ES256).is_some() && one.find(Some("a"), ES256).is_some());
    assert!(one.find(Some("b"), ES256).is_none() && one.find(Some(""), ES256).is_none());
    let two = set(&[p256("a"), p256("b")]).unwrap();
    assert!(two.find(None, ES256).is_none() && two.find(Some("b"), ES256).is_some());
}

#[test]
fn of_two_keys_with_one_name_neither_is_used_unless_their_algorithms_differ() {
    let ambiguous = set(&[p256("a"), p256("a"), p256("b")]).unwrap();
    assert_eq!(ambiguous.len(), 1);
    assert!(ambiguous.find(Some("a"), ES256).is_none());
    let two = set(&[with(rsa(2048, &[1, 0, 1]), "alg", "PS256"), rsa(2048, &[1, 0, 1]), p256("r")]).unwrap();
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256, ES256] {
        assert_eq!(two.find(Some("r"), algorithm).map(|key| key.algorithm()), Some(algorithm));
    }
    assert!(
        two.find(Some("r"), Algorithm::EdDsa).is_some(),
        "a known key of another algorithm is not a new key"
    );
}

#[test]
fn storing_the_same_keys_again_keeps_their_generation() {
    let first = set(&[p256("a")]).unwrap();
    let keys = SharedKeys::new(first.clone());
    keys.store(first);
    assert_eq!(keys.load().generation, 1);
    keys.store(set(&[p256("a")]).unwrap());
    assert_eq!(keys.load().generation, 2);
}

#[test]
fn an_issuer_is_configured_once() {
    let jwks = json!({ "keys": [p256("a")] }).to_string();
    let build = |names: &[&str]| {
        let issuers = names.iter().map(|name| Issuer::static_jwks(*name, &jwks)).collect();
        Trusts::build(issuers, &mut LazyFetcher::default(), &Clock::system(), None).map(|_| ())
    };
    assert!(build(&["https://a.test", "https://b.test"]).is_ok());
    assert!(matches!(build(&["https://a.test", "https://a.test"]), Err(IssuerError::Twice(_))));
}
