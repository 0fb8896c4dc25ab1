//! Looks into tokens. Verifying them is the business of the relying party and of the guard.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The header of a token.
///
/// # Panics
///
/// When it is not a JWS in compact form.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

/// The claims of a token.
///
/// # Panics
///
/// When it is not a JWS in compact form.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap_or_else(|| panic!("no JWS: {token}"));
    let bytes =
        URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("no base64url ({error}): {token}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("no JSON ({error}): {token}"))
}

/// The same token with one character of its signature changed.
///
/// # Panics
///
/// When it has no signature.
pub fn damaged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a JWS has a signature");
    let first = signature.chars().next().expect("a signature has characters");
    let other = if first == 'A' { 'B' } else { 'A' };
    format!("{signed}.{other}{}", signature.chars().skip(1).collect::<String>())
}

/// The members of private and of shared keys (RFC 7518 §6) that a document shows.
pub fn private_members(document: &Value) -> Vec<String> {
    match document {
        Value::Object(members) => {
            let is_key = members.contains_key("kty");
            let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
            let own = members.keys().filter(|name| is_key && private.contains(&name.as_str())).cloned();
            own.chain(members.values().flat_map(private_members)).collect()
        }
        Value::Array(values) => values.iter().flat_map(private_members).collect(),
        _ => Vec::new(),
    }
}
