//! Signature algorithms, and a signing key as it is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;

/// An algorithm that this server signs with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum SigningAlg {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

/// The text names no algorithm that this server signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of EdDSA, ES256, PS256, RS256")]
pub struct UnknownAlgorithm;

impl SigningAlg {
    /// Every algorithm there is.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Ps256, Self::Rs256];

    /// The `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SigningAlg {
    type Err = UnknownAlgorithm;

    fn from_str(raw: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == raw).ok_or(UnknownAlgorithm)
    }
}

/// A signing key at rest: its public half in clear, its private half sealed.
///
/// It signs from `activates_at` until its successor does; it is published before and after, so that verifiers know it.
#[derive(Clone)]
pub struct StoredKey {
    /// The `kid`, unique for ever.
    pub kid: String,
    /// What it signs with.
    pub alg: SigningAlg,
    /// Counts the keys of an algorithm: of two replicas that rotate at once, one makes the next.
    pub generation: u32,
    /// The private half, encrypted by the caller.
    pub sealed: Vec<u8>,
    /// The public half as a JWK, in JSON.
    pub public_jwk: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signs for the first time.
    pub activates_at: Timestamp,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("generation", &self.generation)
            .field("activates_at", &self.activates_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_the_alg_value_everywhere() {
        for alg in SigningAlg::ALL {
            assert_eq!(alg.as_str().parse(), Ok(alg));
            assert_eq!(serde_json::to_string(&alg).unwrap(), format!("\"{alg}\""));
        }
        assert_eq!("none".parse::<SigningAlg>(), Err(UnknownAlgorithm));
    }
}
