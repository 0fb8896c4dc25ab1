//! Clients that prove who they are by signing (RFC 7523), and what attackers sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_server::domain::clock::Timestamp;
use serde_json::{Value, json};

use crate::authorize::random_text;

/// A key pair of a client.
#[derive(Debug)]
pub struct SigningKeys {
    pair: EcdsaKeyPair,
    kid: String,
}

impl SigningKeys {
    /// New ES256 keys.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn generate() -> Self {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the machine has randomness");
        Self { pair, kid: random_text() }
    }

    /// The public half as a key set.
    ///
    /// # Panics
    ///
    /// When the library gives no point of the curve.
    pub fn public_jwks(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        // SEC 1 §2.3.3: a byte that says "uncompressed", then both coordinates.
        let (x, y) = point.get(1..33).zip(point.get(33..65)).expect("a P-256 point has 65 bytes");
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": encode(x), "y": encode(y) }] })
    }

    /// Signs claims as a JWT.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as("JWT", claims)
    }

    /// Signs claims as a JWT that says of which kind it is.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn sign_as(&self, typ: &str, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "ES256", "kid": self.kid, "typ": typ }), claims)
    }

    /// Signs claims as a JWT with a header of the caller's choice.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// Signs what may be no header and no claims at all.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature =
            self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("the machine has randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The form that a client authenticates by: an assertion that is good now.
pub fn assertion_fields(
    keys: &SigningKeys,
    client: &str,
    issuer: &str,
    now: Timestamp,
) -> [(&'static str, String); 2] {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = keys.sign(&assertion_of(client, issuer, now));
    [("client_assertion_type", kind.to_owned()), ("client_assertion", assertion)]
}

/// The claims of a good client assertion: for the issuer, for a minute, once.
pub fn assertion_of(client: &str, issuer: &str, now: Timestamp) -> Value {
    let now = now.as_secs();
    json!({ "iss": client, "sub": client, "aud": issuer, "iat": now, "exp": now + 60, "jti": random_text() })
}
