//! Tokens: whoever has not the key of the issuer gets in with none.

use aws_lc_rs::signature::Ed25519KeyPair;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Map, Value};

use super::service::{AUDIENCE, ISSUER, KEY, KID, NOW, STRANGERS_KEY, ask, encoded, halves, with_signature};

const LEEWAY: f64 = 30.0;
const MAX_LIFETIME: f64 = 24.0 * 3_600.0;

/// A header and a payload: signed by the issuer they pass only if a second, slow reading finds them good, and signed by anybody
/// else, or by nobody, never. The text itself is no token either.
pub(crate) fn token(text: &[u8]) {
    let (header, payload) = halves(text);
    let signed = format!("{}.{}", encoded(header), encoded(payload));

    let own = with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref());
    if is_accepted(own.as_bytes()) {
        assert!(is_good(header, payload).is_some(), "{}", text.escape_ascii());
    }
    for stolen in [
        with_signature(&signed, STRANGERS_KEY.sign(signed.as_bytes()).as_ref()),
        with_signature(&signed, KEY.sign(payload).as_ref()),
        with_signature(&signed, &touched(&KEY, &signed)),
        with_signature(&signed, b""),
        format!("{own}.{own}"),
        format!("{own}="),
        signed,
    ] {
        assert!(!is_accepted(stolen.as_bytes()), "{stolen}");
    }
    assert!(!is_accepted(text), "{}", text.escape_ascii());
}

/// A good signature but for one bit.
fn touched(key: &Ed25519KeyPair, signed: &str) -> Vec<u8> {
    let mut signature = key.sign(signed.as_bytes()).as_ref().to_vec();
    let length = signature.len();
    if let Some(byte) = signature.get_mut(signed.len() % length) {
        *byte ^= 1 << (signed.len() % 8);
    }
    signature
}

fn is_accepted(token: &[u8]) -> bool {
    let Ok(credential) = HeaderValue::from_bytes(&[b"Bearer ", token].concat()) else { return false };
    let request = Request::get("/token").header(AUTHORIZATION, credential);
    let (status, _) = ask(request.body(Body::empty()).expect("a request"));
    assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
    status == StatusCode::OK
}

/// What has to stand in an access token (RFC 9068 §2), read without haste.
fn is_good(header: &[u8], payload: &[u8]) -> Option<()> {
    let read = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).ok();
    let (header, claims) = (read(header)?, read(payload)?);
    let text = |object: &Map<String, Value>, name: &str| Some(object.get(name)?.as_str()?.to_owned());
    let typ = text(&header, "typ")?.to_ascii_lowercase();
    let harmless = ["crit", "jku", "jwk", "x5c", "x5u"].iter().all(|name| !header.contains_key(*name));
    let named = header.get("kid").is_none_or(|kid| kid == KID);
    let signed = text(&header, "alg")? == "EdDSA";
    let is_access_token = matches!(&*typ, "at+jwt" | "application/at+jwt");

    let audience = match claims.get("aud")? {
        Value::Array(several) => several.iter().any(|name| name == AUDIENCE),
        name => name == AUDIENCE,
    };
    let identified = ["sub", "client_id", "jti"]
        .iter()
        .all(|name| text(&claims, name).is_some_and(|text| (1..=512).contains(&text.len())));
    let now = f64::from(u32::try_from(NOW).ok()?);
    let date = |name: &str| Some(claims.get(name)?.as_f64()?.trunc());
    let (exp, iat) = (date("exp")?, date("iat")?);
    let begun = iat <= now + LEEWAY && (!claims.contains_key("nbf") || date("nbf")? <= now + LEEWAY);
    let in_time = now < exp + LEEWAY && begun && iat >= 0.0 && iat <= exp && exp - iat <= MAX_LIFETIME;
    let bound = claims.contains_key("cnf");
    let issued = text(&claims, "iss")? == ISSUER;
    let good = [harmless, named, signed, is_access_token, audience, identified, in_time, !bound, issued];
    good.iter().all(|holds| *holds).then_some(())
}

/// A token that is good: without one, nothing would be shown by those that are not.
#[cfg(test)]
#[test]
fn a_good_token_is_accepted() {
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{KID}"}}"#);
    let payload = format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"s","client_id":"c","jti":"j","iat":{NOW},"exp":{}}}"#,
        NOW + 300
    );
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    assert!(is_accepted(with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref()).as_bytes()));
}
