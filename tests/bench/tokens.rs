//! Access tokens for the guarded role, signed here so that no server takes part.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::roles::{AUDIENCE, ISSUER};

/// A key of the bench's own issuer.
pub(crate) struct Mint {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Mint {
    /// Makes a key.
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("our own");
        Self { key, random }
    }

    /// The public key as a set.
    pub(crate) fn jwks(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = point.split_at(33);
        let x = x.strip_prefix(&[4]).expect("an uncompressed point starts with 4");
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": "bench", "alg": "ES256", "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
        .to_string()
    }

    /// A token of number `n` that is valid for half an hour from `now`, in seconds.
    pub(crate) fn token(&self, n: u32, now: u64) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(&json!({"typ": "at+jwt", "alg": "ES256", "kid": "bench"}));
        let claims = part(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "bench", "client_id": "bench", "jti": format!("token-{n}"),
            "iat": now, "exp": now + 1_800, "scope": "orders", "roles": ["viewer"], "org": "acme",
        }));
        let message = format!("{header}.{claims}");
        let signature = self.key.sign(&self.random, message.as_bytes()).expect("a signature");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
