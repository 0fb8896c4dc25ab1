//! Keys of clients for each algorithm that can be named.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::rsa_keys::RsaKeys;
use serde_json::{Value, json};

/// A key of a client, and the algorithm that it signs by.
pub(super) struct Key {
    pair: Pair,
    alg: String,
}

enum Pair {
    Curve(SigningKeys),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeys),
}

impl Key {
    /// A new one. An algorithm that nobody here can sign by is not to be advertised before somebody can.
    pub(super) fn of(alg: &str) -> Self {
        let pair = match alg {
            "ES256" => Pair::Curve(SigningKeys::generate()),
            "EdDSA" => Pair::Edwards(Ed25519KeyPair::generate().unwrap()),
            "PS256" | "RS256" => Pair::Rsa(RsaKeys::generate()),
            other => panic!("no key signs by {other}"),
        };
        Self { pair, alg: alg.to_owned() }
    }

    /// The public half, as proofs carry it.
    pub(super) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Curve(keys) => {
                let set = keys.public_jwks();
                let key = &set["keys"][0];
                json!({ "crv": key["crv"], "kty": key["kty"], "x": key["x"], "y": key["y"] })
            }
            Pair::Edwards(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
            Pair::Rsa(keys) => keys.jwk(),
        }
    }

    /// The same as a key set for its algorithm.
    pub(super) fn jwks(&self) -> Value {
        let mut jwk = self.jwk();
        jwk["alg"] = json!(self.alg);
        json!({ "keys": [jwk] })
    }

    /// Signs claims as a JWT of some type.
    pub(super) fn sign(&self, typ: &str, claims: &Value) -> String {
        self.sign_with(json!({ "typ": typ }), claims)
    }

    /// The same with more in the header, where the algorithm is added unless another is named.
    pub(super) fn sign_with(&self, mut header: Value, claims: &Value) -> String {
        if header.get("alg").is_none() {
            header["alg"] = json!(self.alg);
        }
        match &self.pair {
            Pair::Curve(keys) => keys.sign_with(&header, claims),
            Pair::Edwards(pair) => {
                let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                let signed = format!("{}.{}", encode(&header), encode(claims));
                let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
                format!("{signed}.{signature}")
            }
            Pair::Rsa(keys) => keys.sign(&header, claims),
        }
    }
}
