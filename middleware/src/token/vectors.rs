//! Signatures made by others: those that are good verify, and no other does.

use serde_json::{Value, json};

use super::jws::{Jws, LastHeader};
use crate::jwks::JwkSet;
use crate::vectors::{document, folder, read};

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
    let Some(suite) = document("wycheproof/json_web_signature_test.json") else { return };
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
    let Some(suite) = document("wycheproof/json_web_signature_test.json") else { return };
    for group in suite["testGroups"].as_array().unwrap() {
        let Some(key) = group.get("private").filter(|key| key["kty"] == "oct") else { continue };
        for case in group["tests"].as_array().unwrap() {
            assert!(!verifies(&json!({ "keys": [key] }), case["jws"].as_str().unwrap()), "{case}");
        }
    }
}

#[test]
fn of_the_key_sets_of_wycheproof_the_good_public_one_opens_what_it_should_and_no_other_does() {
    let Some(suite) = document("wycheproof/json_web_key_test.json") else { return };
    let mut opened = Vec::new();
    for group in suite["testGroups"].as_array().unwrap() {
        let sets = ["public", "private"].map(|name| (name, group.get(name)));
        for case in group["tests"].as_array().unwrap() {
            for (name, keys) in sets.into_iter().filter_map(|(name, keys)| Some((name, keys?))) {
                // Secrets and private keys open nothing, whatever is good by them.
                let is_good = case["result"] == "valid" && name == "public";
                assert_eq!(verifies(keys, case["jws"].as_str().unwrap()), is_good, "{name} {case}");
                opened.extend(is_good.then_some(&case["tcId"]));
            }
        }
    }
    assert_eq!(opened, [5]);
}

/// A key without what nobody may publish.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        key.as_object_mut().unwrap().remove(private);
    }
    key
}

/// What the cookbook of JOSE (RFC 7520) and its additions sign, by file.
fn cookbook(part: &str) -> Option<Vec<(String, Value)>> {
    let files = std::fs::read_dir(folder("jose-cookbook")?.join(part)).unwrap();
    let files =
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|it| it == "json"));
    Some(files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), read(&file))).collect())
}

#[test]
fn what_the_cookbook_signs_verifies_by_our_algorithms_and_by_no_others() {
    let (mut verified, mut others) = (Vec::new(), 0);
    for part in ["jws", "curve25519", "rfc7797"] {
        let Some(files) = cookbook(part) else { return };
        for (name, example) in files {
            let Some(jws) = example["output"]["compact"].as_str() else { continue };
            let key = &example["input"]["key"];
            assert!(!verifies(&json!({ "keys": [key] }), jws), "{name}: it brings its private part");
            if verifies(&json!({ "keys": [public(key)] }), jws) {
                verified.push((name, example["input"]["alg"].clone()));
            } else {
                others += 1;
            }
        }
    }
    verified.sort_by(|(one, _), (other, _)| one.cmp(other));
    let expected = [("4_1.rsa_v15_signature.json", "RS256"), ("jws.json", "EdDSA")];
    assert_eq!(verified, expected.map(|(name, alg)| (name.to_owned(), json!(alg))));
    assert!(others >= 4, "{others}");
}

#[test]
fn of_several_signatures_in_the_cookbook_ours_verifies_and_none_does_in_another_form_than_the_compact_one() {
    let Some(files) = cookbook("jws") else { return };
    let (_, example) = files.iter().find(|(name, _)| name.starts_with("4_8.")).unwrap();
    let keys = example["input"]["key"].as_array().unwrap();
    let payload = example["output"]["json"]["payload"].as_str().unwrap();
    let signatures = example["output"]["json"]["signatures"].as_array().unwrap();
    let verified: Vec<bool> = signatures
        .iter()
        .zip(keys)
        .map(|(one, key)| {
            let part = |name: &str| one[name].as_str().unwrap_or_default();
            let jws = format!("{}.{payload}.{}", part("protected"), part("signature"));
            verifies(&json!({ "keys": [public(key)] }), &jws)
        })
        .collect();
    assert_eq!(verified, [true, false, false], "RS256, ES512 in a header that is not signed, HS256");
    for (name, example) in &files {
        let keys = json!({ "keys": [public(&example["input"]["key"].get(0).unwrap_or(&example["input"]["key"]).clone())] });
        for form in ["json", "json_flat"] {
            assert!(!verifies(&keys, &example["output"][form].to_string()), "{name} {form}");
        }
    }
}

#[test]
fn nothing_that_the_cookbook_encrypts_is_taken_for_something_signed() {
    let (Some(files), Some(nested)) =
        (cookbook("jwe"), document("jose-cookbook/6.nesting_signatures_and_encryption.json"))
    else {
        return;
    };
    let compact = files.iter().filter_map(|(_, example)| example["output"]["compact"].as_str());
    let all: Vec<&str> = compact.chain(nested["encrypt"]["output"]["compact"].as_str()).collect();
    for jwe in &all {
        assert!(Jws::split(jwe, &LastHeader::default()).is_err(), "{jwe}");
    }
    assert!(all.len() >= 10, "{}", all.len());
}

#[test]
fn of_the_keys_in_the_cookbook_the_public_one_of_rsa_can_be_used() {
    let Some(files) = cookbook("jwk") else { return };
    let used = files.iter().filter(|(_, key)| JwkSet::parse(json!({ "keys": [key] }).to_string()).is_ok());
    let used: Vec<&str> = used.map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        used,
        ["3_3.rsa_public_key.json"],
        "of the others, none is public and of a curve that is ours"
    );
    assert_eq!(files.len(), 6);
}

#[test]
fn the_signatures_of_the_rfcs_verify_but_not_with_secrets_or_keys_of_their_own() {
    let Some(vectors) = document("rfc/vectors.json") else { return };
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
