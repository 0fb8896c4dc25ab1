//! Devices that have no browser of their own: the code that a person types in another one
//! ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)).

use std::fmt;
use std::net::IpAddr;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::{Digest32, Entropy};

/// The letters of a code: no vowels, so that no word comes of it, and none that is taken for another ([RFC 8628 §6.1]).
///
/// [RFC 8628 §6.1]: https://www.rfc-editor.org/rfc/rfc8628#section-6.1
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many letters a code has.
const LENGTH: usize = 8;
/// The longest text that is looked at.
const LONGEST: usize = 64;

/// The code that a device shows: 8 letters, 34 bits.
///
/// It is worth something for minutes only, and guesses are counted.
#[derive(Clone, Eq, PartialEq)]
pub struct UserCode(String);

/// The text is no code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a code of eight letters")]
pub struct InvalidUserCode;

impl UserCode {
    /// Makes a new code. Bytes that would favour some letters are left out.
    pub fn generate(entropy: &Entropy) -> Self {
        let mut letters = String::with_capacity(LENGTH);
        while letters.len() < LENGTH {
            for byte in entropy.bytes::<16>() {
                let fair = usize::from(byte) < 256 - 256 % ALPHABET.len();
                if let Some(letter) = ALPHABET.get(usize::from(byte) % ALPHABET.len())
                    && fair
                    && letters.len() < LENGTH
                {
                    letters.push(char::from(*letter));
                }
            }
        }
        Self(letters)
    }

    /// Reads what a person typed: in either case, with dashes and blanks wherever they like.
    pub fn parse(raw: &str) -> Result<Self, InvalidUserCode> {
        if raw.len() > LONGEST {
            return Err(InvalidUserCode);
        }
        let is_between =
            |letter: char| letter.is_whitespace() || "-_.\u{2010}\u{2011}\u{2013}".contains(letter);
        let letters: String = raw
            .chars()
            .filter(|letter| !is_between(*letter))
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        let known = letters.bytes().all(|letter| ALPHABET.contains(&letter));
        if known && letters.len() == LENGTH { Ok(Self(letters)) } else { Err(InvalidUserCode) }
    }

    /// As it is shown: `WDJB-MJHT`.
    pub fn shown(&self) -> String {
        let (first, second) = self.0.split_at(LENGTH / 2);
        format!("{first}-{second}")
    }

    /// What is stored in its place. The key is of the server: so few letters could be found by trying them all.
    pub fn digest(&self, key: &[u8; 32]) -> Digest32 {
        Digest32::of_parts(&[key, self.0.as_bytes()])
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(..)")
    }
}

/// What a device asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceRequest {
    /// Who asks.
    pub client: ClientId,
    /// For what.
    pub scopes: ScopeSet,
    /// The API that access tokens are for (RFC 8707).
    pub resource: Option<ApiId>,
    /// From where.
    pub address: Option<IpAddr>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when somebody may decide, and the device may ask what was decided.
    pub expires_at: Timestamp,
    /// When somebody decided.
    pub decided_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shown(raw: &str) -> Option<String> {
        UserCode::parse(raw).ok().map(|code| code.shown())
    }

    #[test]
    fn a_code_is_read_however_a_person_types_it() {
        for raw in
            ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "WDJB\u{2013}MJHT", "w d j b - m j h t", "Wdjb_Mjht"]
        {
            assert_eq!(shown(raw).as_deref(), Some("WDJB-MJHT"), "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        let long = format!("WDJB-MJHT{}", " ".repeat(LONGEST));
        for raw in ["", "WDJB-MJH", "WDJB-MJHTB", "WDJB-MJHA", "WDJB-MJH1", "ẄDJB-MJHT", "ſDJB-MJHT", &long]
        {
            assert_eq!(shown(raw), None, "{raw}");
        }
    }

    #[test]
    fn codes_have_every_letter_and_do_not_repeat() {
        let entropy = Entropy::seeded(1);
        let codes: BTreeSet<String> = (0..500).map(|_| UserCode::generate(&entropy).0).collect();
        assert_eq!(codes.len(), 500);
        let letters: BTreeSet<u8> = codes.iter().flat_map(|code| code.bytes()).collect();
        assert_eq!(letters, ALPHABET.iter().copied().collect());
        assert!(codes.iter().all(|code| UserCode::parse(code).is_ok()));
    }

    #[test]
    fn a_code_is_not_printed() {
        assert_eq!(format!("{:?}", UserCode::parse("WDJBMJHT").unwrap()), "UserCode(..)");
    }
}
