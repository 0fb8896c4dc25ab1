//! The arguments of statements.

use std::borrow::Cow;

use crate::domain::clock::Timestamp;
use crate::domain::ids::Id;
use crate::domain::secret::Digest32;

/// An argument of a statement. Each kind has its own nothing, because PostgreSQL wants to know its type.
pub(super) enum Value<'a> {
    Bytes(Option<Cow<'a, [u8]>>),
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(Some(i64::from(number)))
    }
}

// Counters start at one and are incremented by us: none comes near the end of 63 bits.
impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Int(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Int(Some(time.as_micros()))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(time: Option<Timestamp>) -> Self {
        Self::Int(time.map(Timestamp::as_micros))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Cow::Owned))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Some(Cow::Borrowed(bytes)))
    }
}

impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        Self::Bytes(bytes.map(Cow::Borrowed))
    }
}

impl<'a> From<&'a Digest32> for Value<'a> {
    fn from(digest: &'a Digest32) -> Self {
        Self::Bytes(Some(Cow::Borrowed(digest.as_bytes())))
    }
}

impl<'a, K> From<&'a Id<K>> for Value<'a> {
    fn from(id: &'a Id<K>) -> Self {
        Self::Text(Some(Cow::Borrowed(id.as_str())))
    }
}

impl<'a, K> From<Option<&'a Id<K>>> for Value<'a> {
    fn from(id: Option<&'a Id<K>>) -> Self {
        Self::Text(id.map(|id| Cow::Borrowed(id.as_str())))
    }
}
