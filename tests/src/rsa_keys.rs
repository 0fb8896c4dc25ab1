//! RSA keys of clients, which sign in either of two ways.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An RSA key pair of a client.
#[derive(Debug)]
pub struct RsaKeys(RsaKeyPair);

impl RsaKeys {
    /// A new one, of 2048 bits.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness.
    pub fn generate() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine has randomness"))
    }

    /// The public half as a key that proofs carry.
    pub fn jwk(&self) -> Value {
        let public = self.0.public_key();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let modulus = public.modulus().big_endian_without_leading_zero();
        let exponent = public.exponent().big_endian_without_leading_zero();
        json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
    }

    /// The public half as a key set for one algorithm.
    pub fn jwks(&self, alg: &str) -> Value {
        let mut jwk = self.jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".to_owned(), json!(alg));
        }
        json!({ "keys": [jwk] })
    }

    /// Signs claims by what the header names: `RS256` or `PS256`.
    ///
    /// # Panics
    ///
    /// When the key does not sign.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let by_pss = header.get("alg").is_some_and(|alg| alg == "PS256");
        let encoding: &'static dyn RsaEncoding = if by_pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(encoding, &random, signed.as_bytes(), &mut signature).expect("the key signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
