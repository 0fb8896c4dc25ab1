//! What tokens are bound to: a key of the client ([RFC 9449 §6]), or its certificate ([RFC 8705 §3]).
//!
//! [RFC 9449 §6]: https://www.rfc-editor.org/rfc/rfc9449#section-6
//! [RFC 8705 §3]: https://www.rfc-editor.org/rfc/rfc8705#section-3

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;

/// The SHA-256 of a key (RFC 7638) or of a certificate, in base64url.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Thumbprint(String);

/// The text is no thumbprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the base64url form of a SHA-256, 43 characters")]
pub struct InvalidThumbprint;

impl Thumbprint {
    /// Reads one.
    pub fn parse(raw: &str) -> Result<Self, InvalidThumbprint> {
        let bytes = URL_SAFE_NO_PAD.decode(raw).map_err(|_| InvalidThumbprint)?;
        if bytes.len() == 32 { Ok(Self(raw.to_owned())) } else { Err(InvalidThumbprint) }
    }

    /// That of something with this digest.
    pub fn of(digest: &Digest32) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest.as_bytes()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = InvalidThumbprint;

    fn try_from(raw: String) -> Result<Self, InvalidThumbprint> {
        Self::parse(&raw)
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.0
    }
}

/// What a token is bound to: the claim `cnf` (RFC 7800 §3.1). Empty: nothing, so that whoever has it may use it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Confirmation {
    /// A key, which each request proves by DPoP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<Thumbprint>,
    /// A certificate, which the client shows in the TLS handshake.
    #[serde(default, rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub x5t: Option<Thumbprint>,
}

impl Confirmation {
    /// Whether nothing is bound.
    pub const fn is_empty(&self) -> bool {
        self.jkt.is_none() && self.x5t.is_none()
    }

    /// Whether somebody who shows `held` has everything that this asks for.
    pub fn is_met_by(&self, held: &Self) -> bool {
        let met = |asked: &Option<Thumbprint>, held: &Option<Thumbprint>| asked.is_none() || asked == held;
        met(&self.jkt, &held.jkt) && met(&self.x5t, &held.x5t)
    }

    /// The `token_type` of an access token that is bound so (RFC 9449 §5).
    pub const fn token_type(&self) -> &'static str {
        if self.jkt.is_some() { "DPoP" } else { "Bearer" }
    }
}

/// A proof that a request brought, and that was made for it. It counts once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyProof {
    /// The key.
    pub key: Thumbprint,
    /// What it is signed by.
    pub alg: SigningAlg,
    /// Names the proof among all of them.
    pub name: Digest32,
    /// When it is taken nowhere any more.
    pub good_until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbprint(letter: &str) -> Thumbprint {
        Thumbprint::parse(&letter.repeat(43)).unwrap()
    }

    #[test]
    fn a_thumbprint_is_32_bytes_in_base64url() {
        assert_eq!(thumbprint("A").as_str(), "A".repeat(43));
        for bad in
            ["", "A", &"A".repeat(42), &"A".repeat(44), &format!("{}=", "A".repeat(43)), &"+".repeat(43)]
        {
            assert_eq!(Thumbprint::parse(bad), Err(InvalidThumbprint), "{bad}");
        }
    }

    #[test]
    fn whoever_holds_all_that_is_asked_for_meets_it() {
        let key = Confirmation { jkt: Some(thumbprint("A")), x5t: None };
        let other = Confirmation { jkt: Some(thumbprint("E")), x5t: None };
        let both = Confirmation { x5t: Some(thumbprint("E")), ..key.clone() };
        let nothing = Confirmation::default();
        for (asked, held, met) in [
            (&nothing, &nothing, true),
            (&nothing, &key, true),
            (&key, &nothing, false),
            (&key, &other, false),
            (&key, &key, true),
            (&key, &both, true),
            (&both, &key, false),
        ] {
            assert_eq!(asked.is_met_by(held), met, "{asked:?} {held:?}");
        }
    }

    #[test]
    fn the_claim_has_the_names_of_the_registry() {
        let both = Confirmation { jkt: Some(thumbprint("A")), x5t: Some(thumbprint("E")) };
        let json = serde_json::to_value(&both).unwrap();
        assert_eq!(json, serde_json::json!({ "jkt": "A".repeat(43), "x5t#S256": "E".repeat(43) }));
        assert_eq!(both.token_type(), "DPoP");
        assert_eq!(Confirmation { jkt: None, ..both }.token_type(), "Bearer");
    }
}
