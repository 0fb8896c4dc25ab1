//! Proof Key for Code Exchange ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)), method S256 only.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::secret::Digest32;

/// The challenge that comes with an authorization request: the SHA-256 of a verifier that only the client knows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeChallenge(Digest32);

/// Why a challenge or verifier is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PkceError {
    /// The challenge is not the base64url form of 32 bytes.
    #[error("code_challenge must be the base64url form of a SHA-256, 43 characters")]
    MalformedChallenge,
    /// The verifier breaks RFC 7636 §4.1.
    #[error("code_verifier must have 43 to 128 characters out of A-Z a-z 0-9 - . _ ~")]
    MalformedVerifier,
    /// Another method than S256; none given means `plain` (RFC 7636 §4.3).
    #[error("code_challenge_method must be S256")]
    MethodNotS256,
}

impl CodeChallenge {
    /// Accepts a challenge with its method.
    pub fn parse(method: Option<&str>, value: &str) -> Result<Self, PkceError> {
        if method != Some("S256") {
            return Err(PkceError::MethodNotS256);
        }
        URL_SAFE_NO_PAD
            .decode(value)
            .ok()
            .and_then(|bytes| Digest32::from_slice(&bytes))
            .map(Self)
            .ok_or(PkceError::MalformedChallenge)
    }

    /// The challenge that `verifier` answers.
    pub fn of(verifier: &CodeVerifier) -> Self {
        Self(Digest32::of(verifier.0.as_bytes()))
    }

    /// Whether `verifier` answers this challenge; takes the same time either way.
    pub fn verify(&self, verifier: &CodeVerifier) -> bool {
        self.0.matches(&Self::of(verifier).0)
    }
}

impl TryFrom<String> for CodeChallenge {
    type Error = PkceError;

    fn try_from(raw: String) -> Result<Self, PkceError> {
        Self::parse(Some("S256"), &raw)
    }
}

impl From<CodeChallenge> for String {
    fn from(challenge: CodeChallenge) -> Self {
        URL_SAFE_NO_PAD.encode(challenge.0.as_bytes())
    }
}

/// The verifier that comes with a token request. It is never printed.
#[derive(Clone)]
pub struct CodeVerifier(String);

impl CodeVerifier {
    /// Accepts a verifier (RFC 7636 §4.1).
    pub fn parse(raw: &str) -> Result<Self, PkceError> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if (43..=128).contains(&raw.len()) && raw.bytes().all(unreserved) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(PkceError::MalformedVerifier)
        }
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let challenge = CodeChallenge::parse(Some("S256"), CHALLENGE).unwrap();
        assert!(challenge.verify(&CodeVerifier::parse(VERIFIER).unwrap()));
        assert!(!challenge.verify(&CodeVerifier::parse(&VERIFIER.to_lowercase()).unwrap()));
        assert_eq!(String::from(challenge), CHALLENGE);
    }

    #[test]
    fn plain_and_a_missing_method_are_refused() {
        for method in [None, Some("plain"), Some("s256"), Some("")] {
            assert_eq!(CodeChallenge::parse(method, CHALLENGE), Err(PkceError::MethodNotS256));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for bad in
            ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="]
        {
            assert_eq!(CodeChallenge::parse(Some("S256"), bad), Err(PkceError::MalformedChallenge), "{bad}");
        }
        for bad in [&VERIFIER[..42], &"a".repeat(129), &format!("{VERIFIER}+"), &format!("{VERIFIER}é")] {
            assert_eq!(CodeVerifier::parse(bad).unwrap_err(), PkceError::MalformedVerifier, "{bad}");
        }
    }
}
