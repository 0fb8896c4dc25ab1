//! The certificates in the key set of a client ([RFC 8705 §2.2](https://www.rfc-editor.org/rfc/rfc8705#section-2.2)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::domain::confirmation::Thumbprint;
use crate::domain::secret::Digest32;

/// The certificates in a key set: the first of each `x5c`, and each `x5t#S256` (RFC 7517 §4.7, §4.9).
pub(crate) fn registered(jwks: &str) -> Vec<Thumbprint> {
    let set: Value = serde_json::from_str(jwks).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten();
    let of_key = |key: &Value| {
        let named = key.get("x5t#S256").and_then(Value::as_str).and_then(|text| Thumbprint::parse(text).ok());
        let first = key.pointer("/x5c/0").and_then(Value::as_str);
        let whole = first.and_then(|text| STANDARD.decode(text).ok()).map(|der| thumbprint(&der));
        [named, whole].into_iter().flatten()
    };
    keys.flat_map(of_key).collect()
}

/// What names a certificate.
pub(crate) fn thumbprint(der: &[u8]) -> Thumbprint {
    Thumbprint::of(&Digest32::of(der))
}
