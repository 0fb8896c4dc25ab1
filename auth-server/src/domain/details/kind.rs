//! Types of details: what each may say, and how people are told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::details::schema::DetailsSchema;
use crate::domain::details::{Detail, Details};
use crate::domain::ids::ApiId;

/// The name of a type: the `type` of its details (RFC 9396 §2.1). It belongs to one API.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DetailsTypeName(String);

/// The text is not the name of a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the name of a type has 1 to 128 visible ASCII characters without quotes, angle brackets and backslash"
)]
pub struct InvalidTypeName;

impl DetailsTypeName {
    /// Accepts a name: a word, or a URI.
    pub fn parse(raw: &str) -> Result<Self, InvalidTypeName> {
        let plain = raw.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\".contains(&b));
        if plain && (1..=128).contains(&raw.len()) { Ok(Self(raw.to_owned())) } else { Err(InvalidTypeName) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DetailsTypeName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for DetailsTypeName {
    type Err = InvalidTypeName;

    fn from_str(raw: &str) -> Result<Self, InvalidTypeName> {
        Self::parse(raw)
    }
}

impl TryFrom<String> for DetailsTypeName {
    type Error = InvalidTypeName;

    fn try_from(raw: String) -> Result<Self, InvalidTypeName> {
        Self::parse(&raw)
    }
}

impl From<DetailsTypeName> for String {
    fn from(name: DetailsTypeName) -> Self {
        name.0
    }
}

/// A type of details.
#[derive(Clone, Debug)]
pub struct DetailsType {
    /// What details call it.
    pub name: DetailsTypeName,
    /// The API that it is for: tokens for others do not carry its details.
    pub api: ApiId,
    /// What people are told that it is: `Make a payment`.
    pub title: String,
    /// What its details may say.
    pub schema: DetailsSchema,
    /// What people are told that members are.
    pub labels: Vec<MemberLabel>,
    /// Whether people are asked each time.
    pub consent: DetailsConsent,
}

/// What people are told that a member of details is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemberLabel {
    /// Which: the names that lead to it with slashes before them, `/amount/currency`. Entries of lists have no names.
    pub member: String,
    /// What it is called.
    pub label: String,
}

/// Whether people are asked again for what they allowed before.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DetailsConsent {
    /// For a payment: allowing one does not allow the same again.
    #[default]
    EachTime,
    /// For access that goes on: what was allowed stays allowed.
    Remembered,
}

impl DetailsConsent {
    /// The name of the choice.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EachTime => "each_time",
            Self::Remembered => "remembered",
        }
    }
}

/// The text names no such choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected each_time or remembered")]
pub struct UnknownConsent;

impl FromStr for DetailsConsent {
    type Err = UnknownConsent;

    fn from_str(raw: &str) -> Result<Self, UnknownConsent> {
        [Self::EachTime, Self::Remembered].into_iter().find(|way| way.as_str() == raw).ok_or(UnknownConsent)
    }
}

/// Every type that there is.
#[derive(Clone, Debug, Default)]
pub struct DetailsTypes(BTreeMap<String, DetailsType>);

impl DetailsTypes {
    /// The type of this name.
    pub fn get(&self, name: &str) -> Option<&DetailsType> {
        self.0.get(name)
    }

    /// The type of a detail.
    pub fn of(&self, detail: &Detail) -> Option<&DetailsType> {
        self.get(detail.kind())
    }

    /// The types in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &DetailsType> {
        self.0.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of these details those that are for an API, and that their types still allow.
    pub fn at(&self, api: Option<&ApiId>, details: &Details) -> Details {
        details.only(|detail| {
            self.of(detail).is_some_and(|kind| Some(&kind.api) == api && kind.schema.allows(detail))
        })
    }

    /// Of these details those that are remembered once they are allowed.
    pub fn remembered(&self, details: &Details) -> Details {
        details.only(|detail| self.of(detail).is_some_and(|kind| kind.consent == DetailsConsent::Remembered))
    }
}

impl FromIterator<DetailsType> for DetailsTypes {
    fn from_iter<I: IntoIterator<Item = DetailsType>>(types: I) -> Self {
        Self(types.into_iter().map(|kind| (kind.name.to_string(), kind)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_a_word_or_a_uri() {
        for good in ["payment", "https://scheme.example/files", "urn:example:a_b-c", &"a".repeat(128)] {
            assert_eq!(DetailsTypeName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\"", "a\\", "<a>", "ä", "a\n", &"a".repeat(129)] {
            assert_eq!(DetailsTypeName::parse(bad), Err(InvalidTypeName), "{bad:?}");
        }
    }

    #[test]
    fn choices_have_names() {
        for way in [DetailsConsent::EachTime, DetailsConsent::Remembered] {
            assert_eq!(way.as_str().parse(), Ok(way));
        }
        assert_eq!("never".parse::<DetailsConsent>(), Err(UnknownConsent));
    }
}
