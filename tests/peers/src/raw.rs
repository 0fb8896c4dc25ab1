//! One verification of a signature, with nothing around it: by the library of the guard, and by that of jwt-authorizer.

use std::hint::black_box;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::thread_time;

/// What a token is verified by, and its parts.
pub(crate) struct Signed {
    point: Vec<u8>,
    message: String,
    signature: Vec<u8>,
}

impl Signed {
    /// A token that the only key of a set has signed.
    pub(crate) fn new(jwks: &str, token: &str) -> Self {
        let jwks: Value = serde_json::from_str(jwks).expect("our own set");
        let member = |name: &str| decode(jwks["keys"][0][name].as_str().expect("a coordinate"));
        let point = [vec![4], member("x"), member("y")].concat();
        let (message, signature) = token.rsplit_once('.').expect("a token has three parts");
        Self { point, message: message.to_owned(), signature: decode(signature) }
    }

    /// CPU microseconds of one verification by aws-lc-rs, the key parsed before.
    pub(crate) fn by_aws_lc(&self, count: u32) -> f64 {
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point).expect("our own key");
        thread_time::micros(count, || {
            key.verify_sig(black_box(self.message.as_bytes()), &self.signature).expect("our own signature");
        })
    }

    /// The same by ring.
    pub(crate) fn by_ring(&self, count: u32) -> f64 {
        use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point);
        thread_time::micros(count, || {
            key.verify(black_box(self.message.as_bytes()), &self.signature).expect("our own signature");
        })
    }
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("our own base64url")
}
