//! One public key, parsed once and bound to one algorithm.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A signature algorithm that the guard accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PSS with SHA-256, from 2048 bits.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, from 2048 bits.
    Rs256,
}

impl Algorithm {
    /// Every one of them.
    pub(crate) const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Ps256, Self::Rs256];

    /// The algorithm of a JOSE name. `Ed25519` is what RFC 9864 calls the only curve that `EdDSA` means here.
    pub(crate) fn named(alg: &str) -> Option<Self> {
        match alg {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    /// Its JOSE name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

/// Why a key of a set is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// `alg` does not fit `kty` and `crv`, or is not one of ours.
    #[error("its algorithm is not one of EdDSA, ES256, PS256, RS256, or does not fit its type")]
    Algorithm,
    /// A member is missing or not base64url of the right length, or the point is not on the curve.
    #[error("its members do not make a valid key")]
    Invalid,
    /// The set publishes the private key: whoever can read the set can sign.
    #[error("it is published with its private part")]
    Private,
    /// `use` or `key_ops` say that the key is not for signatures.
    #[error("it is not meant for signatures")]
    Use,
    /// An RSA modulus under 2048 or over 8192 bits or with the ROCA flaw (CVE-2017-15361), an exponent under
    /// 65537, or a point of small order.
    #[error("it is too weak")]
    Weak,
}

/// A public key that verifies signatures of one algorithm.
pub(crate) struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    pub(crate) fn parse(jwk: &Jwk) -> Result<Self, KeyFault> {
        if jwk.d.is_some() {
            return Err(KeyFault::Private);
        }
        jwk.check_use()?;
        let algorithm = jwk.algorithm()?;
        let key = match algorithm {
            Algorithm::EdDsa => jwk.ed25519()?,
            Algorithm::Es256 => jwk.p256()?,
            Algorithm::Ps256 => {
                jwk.rsa()?.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256).map_err(invalid)?
            }
            Algorithm::Rs256 => {
                jwk.rsa()?.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).map_err(invalid)?
            }
        };
        Ok(Self { kid: jwk.kid.clone(), algorithm, key })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// A JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2), as it is published.
#[derive(serde::Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    /// The key for an algorithm that a proof names beside it. A key that says itself what it is for stays with that.
    pub(crate) fn used_with(self, alg: &str) -> Self {
        let alg = self.alg.or_else(|| Some(alg.to_owned()));
        Self { alg, ..self }
    }

    /// What names the key wherever it is seen (RFC 7638): the digest of its necessary members in the order of their names.
    pub(crate) fn thumbprint(&self) -> Option<String> {
        let text = |member: &Option<String>| Some(Value::from(member.as_deref()?));
        let members = match self.kty.as_str() {
            "EC" => vec![
                ("crv", text(&self.crv)?),
                ("kty", "EC".into()),
                ("x", text(&self.x)?),
                ("y", text(&self.y)?),
            ],
            "OKP" => vec![("crv", text(&self.crv)?), ("kty", "OKP".into()), ("x", text(&self.x)?)],
            "RSA" => vec![("e", text(&self.e)?), ("kty", "RSA".into()), ("n", text(&self.n)?)],
            _ => return None,
        };
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let json = format!("{{{}}}", members.join(","));
        Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, json.as_bytes())))
    }

    fn check_use(&self) -> Result<(), KeyFault> {
        let usage = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if usage && operations { Ok(()) } else { Err(KeyFault::Use) }
    }

    /// The one algorithm that the key is used with (RFC 8725 §3.1): its `alg`, or what its type implies.
    fn algorithm(&self) -> Result<Algorithm, KeyFault> {
        let implied = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("RSA", _) => Algorithm::Rs256,
            _ => return Err(KeyFault::Algorithm),
        };
        let Some(own) = self.alg.as_deref() else { return Ok(implied) };
        match (Algorithm::named(own), implied) {
            (Some(Algorithm::Ps256), Algorithm::Rs256) => Ok(Algorithm::Ps256),
            (Some(own), implied) if own == implied => Ok(own),
            _ => Err(KeyFault::Algorithm),
        }
    }

    fn p256(&self) -> Result<ParsedPublicKey, KeyFault> {
        let mut point = vec![4]; // SEC 1 §2.3.3: an uncompressed point
        point.extend(member::<32>(self.x.as_deref())?);
        point.extend(member::<32>(self.y.as_deref())?);
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(invalid)
    }

    fn ed25519(&self) -> Result<ParsedPublicKey, KeyFault> {
        let point = member::<32>(self.x.as_deref())?;
        if is_small_order(point) {
            return Err(KeyFault::Weak);
        }
        ParsedPublicKey::new(&ED25519, point).map_err(invalid)
    }

    fn rsa(&self) -> Result<RsaPublicKeyComponents<Vec<u8>>, KeyFault> {
        let n = integer(self.n.as_deref())?;
        let e = integer(self.e.as_deref())?;
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let small_exponent = e.len() < 3 || e.last().is_none_or(|byte| byte % 2 == 0);
        if !(2048..=8192).contains(&bits) || small_exponent || e.len() > 4 || is_roca(&n) {
            return Err(KeyFault::Weak);
        }
        Ok(RsaPublicKeyComponents { n, e })
    }
}

fn invalid<E>(_: E) -> KeyFault {
    KeyFault::Invalid
}

fn bytes(member: Option<&str>) -> Result<Vec<u8>, KeyFault> {
    member.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(KeyFault::Invalid)
}

fn member<const N: usize>(text: Option<&str>) -> Result<[u8; N], KeyFault> {
    bytes(text)?.try_into().map_err(invalid)
}

/// A positive integer. RFC 7518 §2 forbids leading zeros; some issuers write one.
fn integer(text: Option<&str>) -> Result<Vec<u8>, KeyFault> {
    let bytes = bytes(text)?;
    let start = bytes.iter().position(|byte| *byte != 0).ok_or(KeyFault::Invalid)?;
    Ok(bytes.into_iter().skip(start).collect())
}

/// Whether a modulus has the mark of ROCA (CVE-2017-15361): such primes are powers of 65537 modulo many small
/// primes, so their product is one too. Another modulus is that for all of these by a chance of 2^-28 or so.
fn is_roca(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let residue = modulus.iter().fold(0, |residue, byte| (residue * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65_537 % prime));
        powers.zip(0..*prime).any(|(power, _)| power == residue)
    })
}

/// Whether a point on Curve25519 has an order of 8 or less: with such a key, one signature fits all messages.
///
/// These are the y coordinates of all such points, in every encoding; the highest bit is the sign of x.
fn is_small_order(mut point: [u8; 32]) -> bool {
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    let small = |low: u8| {
        let mut y = [0; 32];
        y.first_mut().into_iter().for_each(|byte| *byte = low);
        y
    };
    // p - 1, p and p + 1, where p = 2^255 - 19.
    let near_p = |low: u8| {
        let mut y = [0xff; 32];
        y.first_mut().into_iter().for_each(|byte| *byte = low);
        y.last_mut().into_iter().for_each(|byte| *byte = 0x7f);
        y
    };
    [small(0), small(1), near_p(0xec), near_p(0xed), near_p(0xee), ORDER_EIGHT, OTHER_ORDER_EIGHT]
        .contains(&point)
}

const ORDER_EIGHT: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
    0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const OTHER_ORDER_EIGHT: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
    0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];
