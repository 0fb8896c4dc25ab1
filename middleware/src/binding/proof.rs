//! A DPoP proof: a JWT that brings its own key (RFC 9449 §4).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jwks::{Algorithm, Jwk, VerifyingKey};
use crate::token::{NumericDate, object, present};

/// No proof is this long, even with the largest RSA key.
const MAX_BYTES: usize = 8 * 1024;

const TYPE: &str = "dpop+jwt";

/// The longest name of a proof.
const MAX_JTI: usize = 256;

/// A proof whose signature is good by the key in it.
pub(super) struct Proof {
    pub(super) claims: ProofClaims,
    /// The thumbprint of its key (RFC 7638).
    pub(super) thumbprint: String,
    pub(super) algorithm: Algorithm,
}

/// Why a proof is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProofFault {
    Malformed(&'static str),
    /// It is signed by another key than the token is bound to.
    OtherKey,
}

impl From<&'static str> for ProofFault {
    fn from(what: &'static str) -> Self {
        Self::Malformed(what)
    }
}

/// What a proof is about (§4.2).
#[derive(serde::Deserialize)]
pub(super) struct ProofClaims {
    pub(super) jti: String,
    pub(super) htm: String,
    pub(super) htu: String,
    pub(super) iat: NumericDate,
    #[serde(default, deserialize_with = "present")]
    pub(super) ath: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) nonce: Option<String>,
}

#[derive(serde::Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
    #[serde(default, deserialize_with = "present")]
    crit: Option<serde::de::IgnoredAny>,
}

impl Proof {
    /// Reads a proof and checks its signature, if its algorithm is one of these and its key the one of a thumbprint, where that
    /// is known.
    pub(super) fn verify(
        text: &str,
        thumbprint: Option<&str>,
        algorithms: &[Algorithm],
    ) -> Result<Self, ProofFault> {
        if text.len() > MAX_BYTES {
            return Err("it is too long".into());
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("it is not a compact JWS")?;
        let (header, payload) = signed.split_once('.').ok_or("it is not a compact JWS")?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "it is not a compact JWS");
        let Header { typ, alg, jwk, crit } = object(&decode(header)?).ok_or("its header is malformed")?;
        if !typ.eq_ignore_ascii_case(TYPE) {
            return Err("its type is not dpop+jwt".into());
        }
        if crit.is_some() {
            return Err("its header has critical extensions".into());
        }
        let algorithm = Algorithm::named(&alg).filter(|algorithm| algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or("its algorithm is not accepted")?;
        let own = jwk.thumbprint().ok_or("its key is of no known type")?;
        // Before anything is done with a key that anybody may have made.
        let expected = thumbprint.unwrap_or(&own);
        verify_slices_are_equal(own.as_bytes(), expected.as_bytes()).map_err(|_| ProofFault::OtherKey)?;
        let key = VerifyingKey::parse(&jwk.used_with(&alg)).map_err(|_| "its key cannot be used")?;
        if key.algorithm() != algorithm {
            return Err("its algorithm is not the one of its key".into());
        }
        let claims: ProofClaims = object(&decode(payload)?).ok_or("its claims are malformed")?;
        if claims.jti.is_empty() || claims.jti.len() > MAX_JTI {
            return Err("its claims are malformed".into());
        }
        // Last, because it is what costs most.
        if !key.verifies(signed.as_bytes(), &decode(signature)?) {
            return Err("its signature does not verify".into());
        }
        Ok(Self { claims, thumbprint: own, algorithm })
    }
}
