//! Signatures made by others: those that are good verify, and no other does.

use std::path::Path;

use serde_json::{Value, json};

use super::jws::{Jws, LastHeader};
use crate::jwks::JwkSet;

/// The test data beside the repository, if it is there.
fn vectors(file: &str) -> Option<Value> {
    let beside = |folder: &Path| folder.join("shared/vectors").join(file);
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let text = Path::new(&package).ancestors().find_map(|at| std::fs::read(beside(at)).ok());
    if text.is_none() {
        println!("skipped: there is no shared/vectors/{file} beside the repository");
    }
    text.map(|text| serde_json::from_slice(&text).unwrap())
}

fn verifies(keys: &Value, jws: &str) -> bool {
    let (Ok(set), Ok(jws)) = (JwkSet::parse(keys.to_string()), Jws::split(jws, &LastHeader::default()))
    else {
        return false;
    };
    let name = jws.key_name();
    set.find(name.kid, name.algorithm).is_some_and(|key| jws.verify(key).is_ok())
}

#[test]
fn the_signatures_of_wycheproof_are_judged_as_it_says() {
    let Some(suite) = vectors("wycheproof/json_web_signature_test.json") else { return };
    let (mut good, mut bad) = (0, 0);
    for group in suite["testGroups"].as_array().unwrap() {
        let Some(key) = group.get("public") else { continue };
        for case in group["tests"].as_array().unwrap() {
            let verified = verifies(&json!({ "keys": [key] }), case["jws"].as_str().unwrap());
            assert_eq!(verified, case["result"] == "valid", "{case}");
            if verified { good += 1 } else { bad += 1 }
        }
    }
    assert!(good >= 2 && bad >= 100, "{good} good, {bad} bad");
}

#[test]
fn no_secret_key_of_wycheproof_verifies_anything() {
    let Some(suite) = vectors("wycheproof/json_web_signature_test.json") else { return };
    for group in suite["testGroups"].as_array().unwrap() {
        let Some(key) = group.get("private").filter(|key| key["kty"] == "oct") else { continue };
        for case in group["tests"].as_array().unwrap() {
            assert!(!verifies(&json!({ "keys": [key] }), case["jws"].as_str().unwrap()), "{case}");
        }
    }
}

#[test]
fn the_mixed_key_sets_of_wycheproof_open_nothing_that_they_should_not() {
    let Some(suite) = vectors("wycheproof/json_web_key_test.json") else { return };
    for group in suite["testGroups"].as_array().unwrap() {
        let Some(keys) = group.get("public").or_else(|| group.get("private")) else { continue };
        for case in group["tests"].as_array().unwrap().iter().filter(|case| case["result"] == "invalid") {
            assert!(!verifies(keys, case["jws"].as_str().unwrap()), "{case}");
        }
    }
}

#[test]
fn the_signatures_of_the_rfcs_verify_but_not_with_secrets_or_keys_of_their_own() {
    let Some(vectors) = vectors("rfc/vectors.json") else { return };
    let of_kind =
        |kind: &'static str| vectors.as_array().unwrap().iter().filter(move |vector| vector["kind"] == kind);
    for vector in of_kind("jws_verify") {
        let source = vector["source"].as_str().unwrap();
        // RFC 7515 A.1 is an HMAC; the proofs of RFC 9449 bring their key along.
        let ours = vector["alg"] != "HS256" && !source.starts_with("RFC 9449");
        assert_eq!(
            verifies(&json!({ "keys": [vector["jwk"]] }), vector["jws"].as_str().unwrap()),
            ours,
            "{source}"
        );
    }
    for vector in of_kind("jws_reject") {
        let keys = json!({ "keys": of_kind("jws_verify").map(|vector| &vector["jwk"]).collect::<Vec<_>>() });
        assert!(!verifies(&keys, vector["jws"].as_str().unwrap()));
    }
    assert!(of_kind("jws_verify").count() >= 4 && of_kind("jws_reject").count() >= 1);
}

// JW-28
proptest::proptest! {
    #[test]
    fn any_text_is_taken_apart_without_a_panic(token in "(\\PC{0,40}|[A-Za-z0-9_.=-]{0,120})") {
        let _ = Jws::parse(&token, "at+jwt", 8_192);
    }

    #[test]
    fn any_header_and_payload_are_read_without_a_panic(header in "\\PC{0,80}", payload: Vec<u8>) {
        let encode = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes);
        let token = format!("{}.{}.AA", encode(header.as_bytes()), encode(&payload));
        let _ = Jws::parse(&token, "at+jwt", 8_192);
    }

    #[test]
    fn any_key_is_read_without_a_panic(kty in "(EC|OKP|RSA|oct)", crv in "(P-256|Ed25519|X)", bytes: Vec<u8>) {
        let text = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, &bytes);
        let key = json!({ "kty": kty, "crv": crv, "x": text, "y": text, "n": text, "e": text });
        let _ = JwkSet::parse(json!({ "keys": [key] }).to_string());
        let _ = JwkSet::parse(&bytes);
    }
}
