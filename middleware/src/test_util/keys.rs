//! Keys that sign in tests.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::{Value, json};

/// A key that signs by ES256, with its name.
pub(super) struct SigningKey {
    pub(super) kid: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Panics
    ///
    /// When the system has no randomness.
    pub(super) fn new(kid: impl Into<String>) -> Self {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the system has randomness");
        Self { kid: kid.into(), pair }
    }

    /// The public key: its two coordinates.
    pub(super) fn public(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
    }

    /// The public key as certificates have it, in DER.
    pub(super) fn spki(&self) -> Vec<u8> {
        let der: Option<PublicKeyX509Der<'_>> = self.pair.public_key().as_der().ok();
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    /// The same as files have it (RFC 7468 §13).
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(self.spki());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The public key as a key set has it.
    pub(super) fn published(&self) -> Value {
        let mut jwk = self.published_for("sig");
        insert(&mut jwk, "alg", "ES256".into());
        jwk
    }

    /// The public key, for a use.
    pub(super) fn published_for(&self, usage: &str) -> Value {
        let mut jwk = self.public();
        insert(&mut jwk, "kid", self.kid.as_str().into());
        insert(&mut jwk, "use", usage.into());
        jwk
    }

    pub(super) fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).expect("the key signs").as_ref().to_vec()
    }

    /// A compact JWS.
    pub(super) fn sign(&self, header: &str, payload: &[u8]) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(payload));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", encoded(signature))
    }
}

/// A key of a client, for proofs of possession (RFC 9449).
pub struct ProofKey(SigningKey);

impl ProofKey {
    /// A new key.
    ///
    /// # Panics
    ///
    /// When the system has no randomness.
    pub fn new() -> Self {
        Self(SigningKey::new(""))
    }

    /// What a token that is bound to this key says in `cnf` as `jkt`.
    pub fn thumbprint(&self) -> String {
        // The members stand in the order of their names, as RFC 7638 wants them.
        encoded(digest(&SHA256, self.0.public().to_string().as_bytes()))
    }

    /// A proof for one request with a token, made at this second.
    pub fn proof(&self, (method, url): (&str, &str), token: &str, unix_secs: u64) -> String {
        let claims = json!({
            "jti": format!("{method} {url} {unix_secs}"), "htm": method, "htu": url, "iat": unix_secs,
            "ath": encoded(digest(&SHA256, token.as_bytes())),
        });
        self.proof_of(&claims)
    }

    /// The same with the nonce that an answer asks for by `DPoP-Nonce` (RFC 9449 §8, §9), if it asks for one.
    pub fn proof_after(
        &self,
        challenge: &HeaderMap,
        (method, url): (&str, &str),
        token: &str,
        unix_secs: u64,
    ) -> String {
        let Some(nonce) = nonce_of(challenge) else { return self.proof((method, url), token, unix_secs) };
        let claims = json!({
            "jti": format!("{method} {url} {unix_secs} {nonce}"), "htm": method, "htu": url, "iat": unix_secs,
            "ath": encoded(digest(&SHA256, token.as_bytes())), "nonce": nonce,
        });
        self.proof_of(&claims)
    }

    /// A proof with these claims, whatever they are.
    pub fn proof_of(&self, claims: &Value) -> String {
        self.signed(&self.proof_header(), claims)
    }

    pub(super) fn proof_header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.0.public() })
    }

    pub(super) fn signed(&self, header: &Value, claims: &Value) -> String {
        self.0.sign(&header.to_string(), claims.to_string().as_bytes())
    }
}

impl Default for ProofKey {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ProofKey").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

/// The nonce that an answer asks for.
pub(super) fn nonce_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("dpop-nonce")?.to_str().ok()
}

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Sets a member of an object.
pub(super) fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
