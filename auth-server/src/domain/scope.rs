//! Scopes: what a token may be used for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most scopes one set may hold.
const MOST: usize = 64;
/// Longest scope.
const LONGEST: usize = 128;

/// A set of scope tokens ([RFC 6749 §3.3]); the order of the request does not matter.
///
/// [RFC 6749 §3.3]: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeSet(BTreeSet<String>);

/// Why a text is not a scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidScope {
    /// A character that RFC 6749 does not allow, or two spaces in a row.
    #[error("scopes are words of visible ASCII without quote and backslash, with one space between them")]
    Malformed,
    /// More or longer scopes than this server takes.
    #[error("at most 64 scopes of at most 128 characters")]
    TooLong,
}

impl ScopeSet {
    /// Accepts scope tokens with one space between them; the empty text is the empty set.
    pub fn parse(raw: &str) -> Result<Self, InvalidScope> {
        if raw.is_empty() {
            return Ok(Self::default());
        }
        raw.split(' ')
            .map(|token| check(token).map(|()| token.to_owned()))
            .collect::<Result<_, _>>()
            .and_then(Self::of)
    }

    fn of(tokens: BTreeSet<String>) -> Result<Self, InvalidScope> {
        if tokens.len() > MOST { Err(InvalidScope::TooLong) } else { Ok(Self(tokens)) }
    }

    /// Whether the set holds `scope`.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of this set is in `other`.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes of both sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The scopes that both sets hold.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The scopes that `keep` says.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| keep(scope)).cloned().collect())
    }

    /// The scopes in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is no scope in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
fn check(token: &str) -> Result<(), InvalidScope> {
    let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if token.is_empty() || !token.bytes().all(allowed) {
        Err(InvalidScope::Malformed)
    } else if token.len() > LONGEST {
        Err(InvalidScope::TooLong)
    } else {
        Ok(())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(raw: &str) -> Result<Self, InvalidScope> {
        Self::parse(raw)
    }
}

impl TryFrom<String> for ScopeSet {
    type Error = InvalidScope;

    fn try_from(raw: String) -> Result<Self, InvalidScope> {
        Self::parse(&raw)
    }
}

impl From<ScopeSet> for String {
    fn from(scopes: ScopeSet) -> Self {
        scopes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_matter() {
        let set = ScopeSet::parse("openid email openid").unwrap();
        assert_eq!(set, ScopeSet::parse("email openid").unwrap());
        assert_eq!(set.to_string(), "email openid");
    }

    #[test]
    fn the_empty_text_is_the_empty_set() {
        let set = ScopeSet::parse("").unwrap();
        assert!(set.is_empty());
        assert_eq!(set.to_string(), "");
    }

    #[test]
    fn malformed_scopes_are_refused() {
        for bad in [" ", "a  b", "a ", " a", "a\"b", "a\\b", "a\tb", "a\nb", "é", "a\0"] {
            assert_eq!(ScopeSet::parse(bad), Err(InvalidScope::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn too_many_and_too_long_scopes_are_refused() {
        let many: Vec<String> = (0..=MOST).map(|n| n.to_string()).collect();
        assert_eq!(ScopeSet::parse(&many.join(" ")), Err(InvalidScope::TooLong));
        assert_eq!(ScopeSet::parse(&"a".repeat(LONGEST + 1)), Err(InvalidScope::TooLong));
    }

    #[test]
    fn sets_compare_combine_and_narrow() {
        let small = ScopeSet::parse("a b").unwrap();
        let large = ScopeSet::parse("a b c").unwrap();
        assert!(small.is_subset_of(&large) && !large.is_subset_of(&small));
        assert_eq!(small.union(&large), large);
        assert_eq!(small.intersection(&large), small);
    }
}
