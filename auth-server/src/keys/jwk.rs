//! One public key: read from a JWK, written as one, named by its thumbprint, used to verify.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;

/// RSA moduli that are read: at least 2048 bits (RFC 7518 section 3.3), and at most 8192, because a larger one only costs time.
const MODULUS_LEN: std::ops::RangeInclusive<usize> = 256..=1024;
/// Largest RSA exponent that is read. Everybody uses 65537; a huge one makes each verification slow.
const MAX_EXPONENT_LEN: usize = 4;

/// A public key of a kind that we verify with. The kind decides the algorithm; a token never does (RFC 8725 section 3.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PublicKey {
    /// P-256, as the coordinates x and y one after the other.
    Ec256([u8; 64]),
    Ed25519([u8; 32]),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        padding: Padding,
    },
}

/// How an RSA key pads what it signs. A key has one way, or a weakness of one would be one of both (RFC 8725 section 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Padding {
    /// PKCS #1 version 1.5: RS256, and what a key does that does not say (OpenID Connect's default).
    Pkcs1,
    /// PSS: PS256.
    Pss,
}

/// Why a JWK is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum JwkError {
    #[error("is not a JWK, or lacks a member that its kind needs")]
    Malformed,
    #[error("holds a private or a shared key; send public keys only")]
    NotPublic,
    #[error("is not a key of the algorithm that it names")]
    OtherAlgorithm,
    #[error(
        "is of a kind or strength that is not accepted: use P-256, Ed25519 or RSA with 2048 to 8192 bits"
    )]
    Unsupported,
    #[error("is not for signatures")]
    WrongUse,
}

/// A JWK that somebody else sent (RFC 7517, RFC 7518 section 6).
#[derive(Deserialize)]
struct RawJwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
}

impl PublicKey {
    /// Reads a JWK of somebody else.
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, JwkError> {
        let raw = RawJwk::deserialize(jwk).map_err(|_| JwkError::Malformed)?;
        if raw.kty == "oct" || [&raw.d, &raw.k, &raw.p, &raw.q].into_iter().any(Option::is_some) {
            return Err(JwkError::NotPublic);
        }
        let for_signatures = raw.r#use.as_deref().is_none_or(|name| name == "sig")
            && raw.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return Err(JwkError::WrongUse);
        }
        let key = raw.key()?;
        match &raw.alg {
            Some(alg) if alg != key.alg().as_str() => Err(JwkError::OtherAlgorithm),
            _ => Ok(key),
        }
    }

    pub(crate) const fn alg(&self) -> SigningAlg {
        match self {
            Self::Ec256(_) => SigningAlg::Es256,
            Self::Ed25519(_) => SigningAlg::EdDsa,
            Self::Rsa { padding: Padding::Pkcs1, .. } => SigningAlg::Rs256,
            Self::Rsa { padding: Padding::Pss, .. } => SigningAlg::Ps256,
        }
    }

    /// The thumbprint of RFC 7638, which is our `kid`.
    pub(crate) fn thumbprint(&self) -> String {
        // The members that the RFC requires, in the order that it requires; `Value` keeps them sorted.
        URL_SAFE_NO_PAD.encode(Digest32::of(self.members().to_string().as_bytes()).as_bytes())
    }

    /// The JWK as we publish it.
    pub(crate) fn to_jwk(&self) -> Value {
        let mut jwk = self.members();
        if let Value::Object(members) = &mut jwk {
            members.insert("alg".to_owned(), self.alg().as_str().into());
            members.insert("kid".to_owned(), self.thumbprint().into());
            members.insert("use".to_owned(), "sig".into());
        }
        jwk
    }

    /// The key in the form that verifies.
    pub(crate) fn verifying(&self) -> Result<ParsedPublicKey, JwkError> {
        let parsed = match self {
            Self::Ec256(point) => {
                // The uncompressed form of SEC 1 section 2.3.3.
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], point].concat()).ok()
            }
            Self::Ed25519(point) => ParsedPublicKey::new(&ED25519, point).ok(),
            Self::Rsa { modulus, exponent, padding } => {
                let scheme = match padding {
                    Padding::Pkcs1 => &RSA_PKCS1_2048_8192_SHA256,
                    Padding::Pss => &RSA_PSS_2048_8192_SHA256,
                };
                PublicKeyComponents { n: modulus, e: exponent }.to_parsed_public_key(scheme).ok()
            }
        };
        parsed.ok_or(JwkError::Unsupported)
    }

    fn members(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec256(point) => {
                let (x, y) = point.split_at(32);
                json!({ "crv": "P-256", "kty": "EC", "x": text(x), "y": text(y) })
            }
            Self::Ed25519(point) => json!({ "crv": "Ed25519", "kty": "OKP", "x": text(point) }),
            Self::Rsa { modulus, exponent, .. } => {
                json!({ "e": text(exponent), "kty": "RSA", "n": text(modulus) })
            }
        }
    }
}

impl RawJwk {
    fn key(&self) -> Result<PublicKey, JwkError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let point = [member(self.x.as_ref())?, member(self.y.as_ref())?];
                // Each coordinate has the full length of the field (RFC 7518 section 6.2.1.2).
                let [32, 32] = [point[0].len(), point[1].len()] else { return Err(JwkError::Malformed) };
                point.concat().try_into().map(PublicKey::Ec256).map_err(|_| JwkError::Malformed)
            }
            ("OKP", Some("Ed25519")) => {
                member(self.x.as_ref())?.try_into().map(PublicKey::Ed25519).map_err(|_| JwkError::Malformed)
            }
            ("RSA", _) => {
                let modulus = member(self.n.as_ref())?;
                let exponent = member(self.e.as_ref())?;
                let full = modulus.first().is_some_and(|first| modulus.len() > 256 || *first >= 0x80);
                if !full || !MODULUS_LEN.contains(&modulus.len()) || exponent.len() > MAX_EXPONENT_LEN {
                    return Err(JwkError::Unsupported);
                }
                let pss = self.alg.as_deref() == Some(SigningAlg::Ps256.as_str());
                let padding = if pss { Padding::Pss } else { Padding::Pkcs1 };
                Ok(PublicKey::Rsa { modulus, exponent, padding })
            }
            _ => Err(JwkError::Unsupported),
        }
    }
}

fn member(text: Option<&String>) -> Result<Vec<u8>, JwkError> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(JwkError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 section 3.1.
    const RFC_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn read(jwk: &str) -> Result<PublicKey, JwkError> {
        PublicKey::from_jwk(&serde_json::from_str(jwk).unwrap())
    }

    fn with(jwk: &str, name: &str, value: Value) -> Result<PublicKey, JwkError> {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk[name] = value;
        PublicKey::from_jwk(&jwk)
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        assert_eq!(read(RFC_7638).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037() {
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(read(jwk).unwrap().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_published_reads_back_as_the_same_key() {
        for jwk in [RFC_7638, EC] {
            let key = read(jwk).unwrap();
            assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key.clone()));
            assert_eq!(key.verifying().err(), None);
        }
    }

    #[test]
    fn private_and_shared_keys_are_refused() {
        for name in ["d", "k", "p", "q"] {
            assert_eq!(with(EC, name, json!("AQAB")), Err(JwkError::NotPublic), "{name}");
        }
        assert_eq!(read(r#"{"kty":"oct","x":"AQAB"}"#), Err(JwkError::NotPublic));
    }

    #[test]
    fn a_key_for_something_else_is_refused() {
        assert_eq!(with(EC, "use", json!("enc")), Err(JwkError::WrongUse));
        assert_eq!(with(EC, "key_ops", json!(["encrypt"])), Err(JwkError::WrongUse));
        assert_eq!(with(EC, "alg", json!("RS256")), Err(JwkError::OtherAlgorithm));
        assert_eq!(with(RFC_7638, "alg", json!("HS256")), Err(JwkError::OtherAlgorithm));
    }

    #[test]
    fn weak_huge_and_broken_keys_are_refused() {
        assert_eq!(with(EC, "crv", json!("P-521")), Err(JwkError::Unsupported));
        assert_eq!(with(EC, "x", json!("AQAB")), Err(JwkError::Malformed));
        assert_eq!(with(EC, "x", json!(5)), Err(JwkError::Malformed));
        let rsa_of = |length: usize| with(RFC_7638, "n", json!(URL_SAFE_NO_PAD.encode(vec![0xff; length])));
        for length in [0, 128, 255, 1025] {
            assert_eq!(rsa_of(length), Err(JwkError::Unsupported), "{length}");
        }
        let short = URL_SAFE_NO_PAD.encode([&[0x7f][..], &[0xff; 255]].concat());
        assert_eq!(with(RFC_7638, "n", json!(short)), Err(JwkError::Unsupported));
        let off_the_curve = with(EC, "y", json!(URL_SAFE_NO_PAD.encode([7; 32]))).unwrap();
        assert_eq!(off_the_curve.verifying().err(), Some(JwkError::Unsupported));
    }
}
