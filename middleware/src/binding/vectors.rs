//! Thumbprints and token digests that RFCs show, as they lie among the data of others.

use serde_json::{Value, json};

use super::proof::ProofClaims;
use super::rules::check_token;
use crate::jwks::Jwk;
use crate::vectors::document;

/// The examples of a kind: so many there are, or the data are not what they were.
fn of_kind(kind: &str, least: usize) -> Vec<Value> {
    let Some(Value::Array(all)) = document("rfc/vectors.json") else { return Vec::new() };
    let found: Vec<Value> = all.into_iter().filter(|vector| vector["kind"] == kind).collect();
    assert!(found.len() >= least, "{kind}: {}", found.len());
    found
}

// RFC 7638 §3.1, RFC 8037 A.3, RFC 9449 §6.1
#[test]
fn keys_have_the_thumbprints_that_the_rfcs_say() {
    for vector in of_kind("jwk_thumbprint", 3) {
        let key: Jwk = serde_json::from_value(vector["jwk"].clone()).unwrap();
        assert_eq!(key.thumbprint().as_deref(), vector["sha256"].as_str(), "{}", vector["source"]);
    }
}

// RFC 9449 §7.1
#[test]
fn the_digest_of_a_token_in_a_proof_is_the_one_that_the_rfc_says() {
    for vector in of_kind("ath", 1) {
        let (token, ath) = (vector["access_token"].as_str().unwrap(), &vector["ath"]);
        let claims = json!({ "jti": "a", "htm": "GET", "htu": "https://a.test", "iat": 1, "ath": ath });
        let claims: ProofClaims = serde_json::from_value(claims).unwrap();
        assert_eq!(check_token(&claims, token), Ok(()));
        assert!(check_token(&claims, &format!("{token}x")).is_err());
    }
}
