//! Sets of public keys: ours as published, and those that clients registered.

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;
use crate::keys::jwk::{JwkError, PublicKey};
use crate::keys::jwt::{CompactJwt, JwtError, VerifiedJwt};

/// The keys that a client may register at most.
const MAX_KEYS: usize = 10;
/// The longest key set that is read.
const MAX_JWKS_LEN: usize = 32 * 1024;

/// The document at our `jwks_uri`, ready to be sent.
#[derive(Debug)]
pub(crate) struct PublishedKeys {
    pub(crate) body: Bytes,
    /// The `ETag`, quotes included.
    pub(crate) etag: String,
}

impl PublishedKeys {
    pub(crate) fn of<'a>(keys: impl Iterator<Item = &'a PublicKey>) -> Self {
        let body = json!({ "keys": keys.map(PublicKey::to_jwk).collect::<Vec<_>>() }).to_string();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Digest32::of(body.as_bytes()).as_bytes()));
        Self { body: body.into(), etag }
    }
}

/// A public key ready to verify.
#[derive(Debug)]
pub(crate) struct VerifyingKey {
    kid: Option<String>,
    alg: SigningAlg,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    pub(crate) fn new(kid: Option<String>, key: &PublicKey) -> Result<Self, JwkError> {
        Ok(Self { kid, alg: key.alg(), key: key.verifying()? })
    }

    /// Verifies with this key alone. The algorithm is the key's; the header must agree.
    pub(crate) fn verify(&self, jwt: &CompactJwt<'_>) -> Result<(), JwtError> {
        if jwt.header.alg != self.alg.as_str() {
            return Err(JwtError::UnknownKey);
        }
        self.key.verify_sig(jwt.signed.as_bytes(), &jwt.signature).map_err(|_| JwtError::BadSignature)
    }
}

/// The keys that a client registered, with which it signs its `private_key_jwt` assertions (RFC 7523).
#[derive(Debug)]
pub(crate) struct ExternalKeys(Vec<VerifyingKey>);

/// Why a registered key set is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwksError {
    #[error("is not a JWK set: an object with a list of `keys`")]
    Malformed,
    #[error("must hold 1 to {MAX_KEYS} keys")]
    Count,
    #[error("is longer than {MAX_JWKS_LEN} bytes")]
    TooLong,
    #[error("key {position} {cause}")]
    Key { position: usize, cause: JwkError },
}

impl ExternalKeys {
    /// Reads a key set. One bad key refuses the set, so that a client learns of it when it registers and not at its first token.
    pub(crate) fn parse(jwks: &str) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        if jwks.len() > MAX_JWKS_LEN {
            return Err(JwksError::TooLong);
        }
        let set: Set = serde_json::from_str(jwks).map_err(|_| JwksError::Malformed)?;
        if set.keys.is_empty() || set.keys.len() > MAX_KEYS {
            return Err(JwksError::Count);
        }
        let read = |(index, jwk): (usize, &Value)| {
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            PublicKey::from_jwk(jwk)
                .and_then(|key| VerifyingKey::new(kid, &key))
                .map_err(|cause| JwksError::Key { position: index + 1, cause })
        };
        set.keys.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Reads a key set that a client publishes. Keys that are none of ours, or for something else, are passed over (RFC 7517 §5).
    pub(crate) fn of_published(jwks: &[u8]) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(jwks).map_err(|_| JwksError::Malformed)?;
        let usable = |jwk: &Value| {
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            PublicKey::from_jwk(jwk).and_then(|key| VerifyingKey::new(kid, &key)).ok()
        };
        let keys: Vec<VerifyingKey> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(JwksError::Count);
        }
        Ok(Self(keys))
    }

    /// What its keys sign by, in their order.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = SigningAlg> {
        self.0.iter().map(|key| key.alg)
    }

    /// Verifies a JWT with the key that it names. One that names none is tried with each key of its algorithm; there are few.
    pub(crate) fn verify(&self, token: &str) -> Result<VerifiedJwt, JwtError> {
        let jwt = CompactJwt::parse(token)?;
        let named = jwt.header.kid.as_deref();
        let candidates = self.0.iter().filter(|key| named.is_none() || key.kid.as_deref() == named);
        let mut refusal = JwtError::UnknownKey;
        for key in candidates {
            match key.verify(&jwt) {
                Ok(()) => return jwt.into_verified(),
                Err(JwtError::BadSignature) => refusal = JwtError::BadSignature,
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendices A.2 (RS256) and A.3 (ES256).
    const KEYS: [(&str, &str); 2] = [
        (
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];

    fn both() -> ExternalKeys {
        ExternalKeys::parse(&format!(r#"{{"keys":[{},{}]}}"#, KEYS[0].0, KEYS[1].0)).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7515_verify() {
        for (_, token) in KEYS {
            assert_eq!(both().verify(token).unwrap().claims["iss"], "joe");
        }
    }

    #[test]
    fn a_changed_token_does_not_verify() {
        for (_, token) in KEYS {
            let changed = token.replacen(".eyJpc3MiOiJqb2Ui", ".eyJpc3MiOiJqb2Uj", 1);
            assert_ne!(changed, token);
            assert_eq!(both().verify(&changed).err(), Some(JwtError::BadSignature));
        }
    }

    #[test]
    fn none_and_hmac_name_no_key_that_could_exist() {
        for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"] {
            for signature in ["", "AAAA"] {
                let token = format!("{header}.eyJpc3MiOiJqb2UifQ.{signature}");
                assert_eq!(both().verify(&token).err(), Some(JwtError::UnknownKey), "{token}");
            }
        }
    }

    #[test]
    fn a_token_that_names_another_key_is_not_tried_with_this_one() {
        let named = KEYS[1].0.replacen('{', r#"{"kid":"one","#, 1);
        let keys = ExternalKeys::parse(&format!(r#"{{"keys":[{named}]}}"#)).unwrap();
        let unnamed = keys.verify(KEYS[1].1).unwrap();
        assert_eq!(unnamed.claims["iss"], "joe", "a token without a key id is tried");
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"two"}"#);
        let token = format!("{header}.{}", KEYS[1].1.split_once('.').unwrap().1);
        assert_eq!(keys.verify(&token).err(), Some(JwtError::UnknownKey));
    }

    #[test]
    fn a_set_with_one_bad_key_is_refused_and_the_key_is_counted() {
        let private = KEYS[1].0.replacen('{', r#"{"d":"AQAB","#, 1);
        let refused =
            ExternalKeys::parse(&format!(r#"{{"keys":[{},{private}]}}"#, KEYS[0].0)).unwrap_err().to_string();
        assert!(refused.starts_with("key 2 holds a private"), "{refused}");
        for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(matches!(ExternalKeys::parse(text), Err(JwksError::Malformed)), "{text}");
        }
        assert!(matches!(ExternalKeys::parse(r#"{"keys":[]}"#), Err(JwksError::Count)));
        let many = [KEYS[1].0; MAX_KEYS + 1].join(",");
        assert!(matches!(ExternalKeys::parse(&format!(r#"{{"keys":[{many}]}}"#)), Err(JwksError::Count)));
    }

    #[test]
    fn of_a_published_set_what_cannot_be_used_is_passed_over() {
        let odd = r#"{"kty":"oct","k":"AQAB"},{"kty":"EC","crv":"P-521","x":"a","y":"b"},5"#;
        let keys = ExternalKeys::of_published(format!(r#"{{"keys":[{odd},{}]}}"#, KEYS[1].0).as_bytes());
        assert_eq!(keys.unwrap().verify(KEYS[1].1).unwrap().claims["iss"], "joe");
        for none in [r#"{"keys":[]}"#.to_owned(), format!(r#"{{"keys":[{odd}]}}"#)] {
            assert!(matches!(ExternalKeys::of_published(none.as_bytes()), Err(JwksError::Count)), "{none}");
        }
        assert!(matches!(ExternalKeys::of_published(b"<html>"), Err(JwksError::Malformed)));
    }

    #[test]
    fn the_published_document_names_each_key_and_changes_its_etag_with_them() {
        let key = |jwk| PublicKey::from_jwk(&serde_json::from_str(jwk).unwrap()).unwrap();
        let (rsa, ec) = (key(KEYS[0].0), key(KEYS[1].0));
        let one = PublishedKeys::of([&rsa].into_iter());
        let two = PublishedKeys::of([&rsa, &ec].into_iter());
        assert_ne!(one.etag, two.etag);
        let set: Value = serde_json::from_slice(&two.body).unwrap();
        assert_eq!(set["keys"][1]["kid"], ec.thumbprint());
        assert_eq!(set["keys"][0]["use"], "sig");
    }
}
