//! Key sets: whoever signs by a key that is not in one gets in with nothing.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use portcullis_guard::{Clock, Guard, GuardExt, GuardedRouter, Issuer, JwkSet, SharedKeys, authenticated};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

use super::service::{
    AUDIENCE, ISSUER, KEY, KID, NOW, STRANGERS_KEY, answered, encoded, jwk, placed, with_signature,
};

/// A service whose keys are replaced each time.
struct Place {
    keys: SharedKeys,
    runtime: Runtime,
    router: Router,
}

/// One at a time: whose keys count is the same for all.
static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| {
    let first = format!(r#"{{"keys":[{}]}}"#, jwk(&KEY));
    let keys = SharedKeys::new(JwkSet::parse(first).expect("a key set"));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let guard = Guard::builder()
        .issuer(Issuer::shared(ISSUER, keys.clone()))
        .audience(AUDIENCE)
        .clock(Clock::from_fn(|| Duration::from_secs(NOW)))
        .manual_refresh();
    let guard = runtime.block_on(guard.build()).expect("a guard");
    let router = GuardedRouter::new().route("/", get(async || "").guard(authenticated())).guarded_by(&guard);
    Mutex::new(Place { keys, runtime, router })
});

/// A key set, in which `KEY` and `STRANGER` stand for the keys: it is one only if a second, slow reading finds as many public keys in it,
/// and only who has a key that stands in it gets in.
pub(crate) fn jwks(text: &[u8]) {
    let text = placed(text, "KID", KID);
    let Ok(set) = JwkSet::parse(&text) else { return };
    let shown = text.escape_ascii();
    let read: Option<Map<String, Value>> = serde_json::from_slice(&text).ok();
    let listed = read.as_ref().and_then(|read| read.get("keys")).and_then(Value::as_array);
    let listed = listed.unwrap_or_else(|| panic!("no key set: {shown}"));
    let public = listed.iter().filter(|key| is_public(key)).count();
    assert!(!set.is_empty() && set.len() <= public, "{} of {public}: {shown}", set.len());

    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    place.keys.store(set);
    for key in [&*KEY, &*STRANGERS_KEY] {
        let x = Value::from(encoded(key.public_key()));
        let holds = listed.iter().any(|listed| is_public(listed) && listed.get("x") == Some(&x));
        for header in [r#"{"alg":"EdDSA","typ":"at+jwt"}"#, r#"{"alg":"EdDSA","typ":"at+jwt","kid":"known"}"#]
        {
            assert!(holds || !is_accepted(&place, &token(key, header)), "{header}: {shown}");
        }
    }
}

fn is_public(key: &Value) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    match text("kty") {
        Some("EC") => text("x").is_some() && text("y").is_some(),
        Some("OKP") => text("crv") == Some("Ed25519") && text("x").is_some(),
        Some("RSA") => text("n").is_some() && text("e").is_some(),
        _ => false,
    }
}

/// A token that is good, by a key that may not be.
fn token(key: &Ed25519KeyPair, header: &str) -> String {
    let payload = format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"s","client_id":"c","jti":"j","iat":{NOW},"exp":{}}}"#,
        NOW + 300
    );
    let signed = format!("{}.{}", encoded(header), encoded(payload));
    let signature = key.sign(signed.as_bytes());
    with_signature(&signed, signature.as_ref())
}

fn is_accepted(place: &Place, token: &str) -> bool {
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
    let (status, _) =
        answered(&place.runtime, &place.router, request.body(Body::empty()).expect("a request"));
    assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
    status == StatusCode::OK
}

/// Keys that stand in a set open the door: without that, nothing would be shown by those that do not.
#[cfg(test)]
#[test]
fn a_key_of_the_set_is_accepted_and_another_is_not() {
    let place = PLACE.lock().unwrap();
    for (own, other) in [(&*KEY, &*STRANGERS_KEY), (&*STRANGERS_KEY, &*KEY)] {
        let set = JwkSet::parse(format!(r#"{{"keys":[{}]}}"#, jwk(own))).unwrap();
        place.keys.store(set);
        let header = r#"{"alg":"EdDSA","typ":"at+jwt"}"#;
        assert!(is_accepted(&place, &token(own, header)));
        assert!(!is_accepted(&place, &token(other, header)));
    }
}
