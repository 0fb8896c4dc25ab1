//! Why nothing is granted in detail.

use std::fmt;

/// Why details are not granted: always `invalid_authorization_details`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DetailsFault {
    /// The type does not allow what is said (RFC 9396 §5).
    Conformity,
    /// It is said to count where its type does not.
    Elsewhere,
    /// More than the grant, or than the token that is exchanged, has.
    Exceeding,
    /// Not a list of objects with a type.
    Malformed,
    /// The endpoint grants nothing in detail.
    NotHere,
    /// There is no such type, or not for this client.
    Type,
}

impl DetailsFault {
    /// In words for clients: fixed, and of the characters that RFC 6749 §4.1.2.1 allows.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Conformity => {
                "one of authorization_details has members or values that its type does not allow, or lacks some"
            }
            Self::Elsewhere => {
                "one of authorization_details counts at another place: see its locations, and the resource"
            }
            Self::Exceeding => "authorization_details exceed what was granted",
            Self::Malformed => {
                "authorization_details is not a JSON list of at most 16 objects with a type, repeats a member, says U+0000, or is too large or deep"
            }
            Self::NotHere => "authorization_details cannot be asked for here",
            Self::Type => {
                "one of authorization_details has a type that is unknown, or that the client may not ask for"
            }
        }
    }
}

impl fmt::Display for DetailsFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

impl std::error::Error for DetailsFault {}
