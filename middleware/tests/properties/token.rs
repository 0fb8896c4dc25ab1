//! Tokens: whoever has not the key of the issuer gets in with none.

use std::fmt::Debug;

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
    hold(text, |token| is_accepted(token).then_some(()), is_good);
}

/// The same for whichever service takes tokens, and for what it reads in them.
pub(super) fn hold<T: Debug + PartialEq>(
    text: &[u8],
    taken: fn(&[u8]) -> Option<T>,
    expected: fn(&[u8], &[u8]) -> Option<T>,
) {
    let (header, payload) = halves(text);
    let signed = format!("{}.{}", encoded(header), encoded(payload));

    let own = with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref());
    let read = taken(own.as_bytes());
    if read.is_some() {
        assert_eq!(read, expected(header, payload), "{}", text.escape_ascii());
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
        assert!(taken(stolen.as_bytes()).is_none(), "{stolen}");
    }
    assert!(taken(text).is_none(), "{}", text.escape_ascii());
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
    let Some(request) = bearing(token) else { return false };
    let (status, _) = ask(request);
    assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
    status == StatusCode::OK
}

/// A request with a token, if it can be put into a header.
pub(super) fn bearing(token: &[u8]) -> Option<Request<Body>> {
    let credential = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    let request = Request::get("/token").header(AUTHORIZATION, credential);
    Some(request.body(Body::empty()).expect("a request"))
}

/// What has to stand in an access token (RFC 9068 §2), read without haste.
fn is_good(header: &[u8], payload: &[u8]) -> Option<()> {
    let read = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).ok();
    let (header, claims) = (read(header)?, read(payload)?);
    let typ = text(&header, "typ")?.to_ascii_lowercase();
    let is_access_token = matches!(&*typ, "at+jwt" | "application/at+jwt");

    let audience = match claims.get("aud")? {
        Value::Array(several) => several.iter().any(|name| name == AUDIENCE),
        name => name == AUDIENCE,
    };
    let identified = ["sub", "client_id", "jti"]
        .iter()
        .all(|name| text(&claims, name).is_some_and(|text| (1..=512).contains(&text.len())));
    let good = [is_signed(&header)?, is_access_token, audience, identified, is_issued(&claims)?];
    good.iter().all(|holds| *holds).then_some(())
}

/// What a member says, if it is a text.
pub(super) fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    Some(object.get(name)?.as_str()?.to_owned())
}

/// Whether a header says of the signature what the issuer does.
pub(super) fn is_signed(header: &Map<String, Value>) -> Option<bool> {
    let harmless = ["crit", "jku", "jwk", "x5c", "x5u"].iter().all(|name| !header.contains_key(*name));
    let named = header.get("kid").is_none_or(|kid| kid == KID);
    Some(harmless && named && text(header, "alg")? == "EdDSA")
}

/// Whether a token is of the issuer, at this time, and of whoever bears it.
pub(super) fn is_issued(claims: &Map<String, Value>) -> Option<bool> {
    let now = f64::from(u32::try_from(NOW).ok()?);
    let date = |name: &str| Some(claims.get(name)?.as_f64()?.trunc());
    let (exp, iat) = (date("exp")?, date("iat")?);
    let begun = iat <= now + LEEWAY && (!claims.contains_key("nbf") || date("nbf")? <= now + LEEWAY);
    let in_time = now < exp + LEEWAY && begun && iat >= 0.0 && iat <= exp && exp - iat <= MAX_LIFETIME;
    Some(in_time && !claims.contains_key("cnf") && text(claims, "iss")? == ISSUER)
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
