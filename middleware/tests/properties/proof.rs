//! Proofs of keys (DPoP): whoever has not the key in them makes none, and one counts only where and when it was made for.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::KeyPair;
use http::Request;
use http::request::Parts;
use portcullis_guard::{Dpop, ProofVerifier};
use serde_json::{Map, Value};
use url::Url;

use super::service::{AUDIENCE, KEY, NOW, STRANGERS_KEY, encoded, halves, jwk, placed, with_signature};

const TOKEN: &str = "token";
const MAX_AGE: f64 = 60.0;
const LEEWAY: f64 = 10.0;

static PROOFS: LazyLock<ProofVerifier> = LazyLock::new(|| {
    let dpop = Dpop::new().origin(AUDIENCE);
    ProofVerifier::new(&dpop, Duration::from_secs(10)).expect("an origin")
});

/// A header and a payload of a proof, in which `KEY` and `STRANGER` stand for the keys and `ATH` for the digest of the token: signed by
/// the first key it is one only if a second, slow reading finds it good, and never if it is signed by the other, or by nobody.
pub(crate) fn proof(text: &[u8]) {
    let ath = encoded(digest(&SHA256, TOKEN.as_bytes()));
    let text = placed(text, "ATH", &ath);
    let (header, payload) = halves(&text);
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    if let Some(thumbprint) = accepted(&with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref())) {
        assert!(is_good(header, payload, &ath).is_some(), "{}", text.escape_ascii());
        // RFC 7638 §3: the members that are needed, in the order of their names.
        let members = jwk(&KEY);
        assert_eq!(thumbprint, encoded(digest(&SHA256, members.as_bytes())));
    }
    for stolen in [
        with_signature(&signed, KEY.sign(payload).as_ref()),
        with_signature(&signed, &[0; 64]),
        with_signature(&signed, b""),
        signed.clone(),
        String::from_utf8_lossy(&text).into_owned(),
    ] {
        assert_eq!(accepted(&stolen), None, "{stolen}");
    }
    let strangers = encoded(STRANGERS_KEY.public_key());
    if !text.windows(strangers.len()).any(|window| window == strangers.as_bytes()) {
        let stolen = with_signature(&signed, STRANGERS_KEY.sign(signed.as_bytes()).as_ref());
        assert_eq!(accepted(&stolen), None, "{stolen}");
    }
}

/// The key of a proof beside the token, if it is one.
fn accepted(proof: &str) -> Option<String> {
    let request = Request::get("/token").header("dpop", proof).body(());
    let (parts, ()): (Parts, ()) = request.ok()?.into_parts();
    let proof = PROOFS.verify(&parts, Some(TOKEN), NOW).ok()??;
    Some(proof.thumbprint().to_owned())
}

/// What has to stand in a proof (RFC 9449 §4.2, §4.3), read without haste.
fn is_good(header: &[u8], payload: &[u8], ath: &str) -> Option<()> {
    let read = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).ok();
    let (header, claims) = (read(header)?, read(payload)?);
    let text = |object: &Map<String, Value>, name: &str| Some(object.get(name)?.as_str()?.to_owned());
    let own: Map<String, Value> = serde_json::from_str(&jwk(&KEY)).ok()?;
    let shown = header.get("jwk")?.as_object()?;
    let key = own.iter().all(|(name, value)| shown.get(name) == Some(value)) && !shown.contains_key("d");
    let kind = text(&header, "typ")?.eq_ignore_ascii_case("dpop+jwt") && text(&header, "alg")? == "EdDSA";
    let htu = Url::parse(&text(&claims, "htu")?).ok()?;
    let place = htu.origin().ascii_serialization() == AUDIENCE && htu.username().is_empty();
    let path = percent_encoding::percent_decode_str(htu.path()).collect::<Vec<u8>>() == b"/token";
    let now = f64::from(u32::try_from(NOW).ok()?);
    let made = claims.get("iat")?.as_f64()?.trunc();
    let in_time = made + MAX_AGE + LEEWAY >= now && made <= now + LEEWAY;
    let named = (1..=256).contains(&text(&claims, "jti")?.len());
    let beside = text(&claims, "htm")? == "GET" && text(&claims, "ath")? == ath;
    let good = [key, kind, place, path, in_time, named, beside, !header.contains_key("crit")];
    good.iter().all(|holds| *holds).then_some(())
}

/// A proof that is good: without one, nothing would be shown by those that are not.
#[cfg(test)]
#[test]
fn a_good_proof_is_accepted() {
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}}"#, jwk(&KEY));
    let ath = encoded(digest(&SHA256, TOKEN.as_bytes()));
    let payload = format!(r#"{{"jti":"j","htm":"GET","htu":"{AUDIENCE}/token","iat":{NOW},"ath":"{ath}"}}"#);
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    assert!(accepted(&with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref())).is_some());
}
