//! ID tokens of ours that clients send back, to say whom they mean.

use serde_json::Value;

use crate::domain::issuer::Issuer;
use crate::keys::jwt::VerifiedJwt;
use crate::keys::ring::KeyRing;

/// Reads one. It may have expired: it is a hint, and proves nothing (OpenID Connect Core §3.1.2.1).
pub(crate) fn read(keys: &KeyRing, issuer: &Issuer, hint: &str) -> Option<VerifiedJwt> {
    let token = keys.verify(hint).ok()?;
    let is_ours = token.claims.get("iss").and_then(Value::as_str) == Some(issuer.as_str());
    (is_ours && token.is_id_token()).then_some(token)
}
