//! Which state of a thing an admin saw, so that nobody overwrites what somebody else wrote meanwhile.

use serde::Serialize;

use crate::domain::secret::Digest32;

/// How many hexadecimal digits make a version: 128 bits, so two states never share one by accident.
const VERSION_DIGITS: usize = 32;

/// A fingerprint of one state of a thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version(String);

impl Version {
    /// The version of `state`: everything that an admin can see or change.
    pub fn of(state: &impl Serialize) -> Self {
        // A state is plain data with text keys, which always serialises; an empty text would only make writes fail.
        let text = serde_json::to_vec(state).unwrap_or_default();
        Self(Digest32::of(&text).hex().chars().take(VERSION_DIGITS).collect())
    }

    /// The version of something that counts its changes.
    pub fn number(count: u64) -> Self {
        Self(count.to_string())
    }

    /// A version as a caller named it. It need not exist.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A thing and the version that it is at.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The thing.
    pub value: T,
    /// Its version.
    pub version: Version,
}

/// What has to be true of the current state before it is changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Precondition {
    /// Change it whatever it is: for callers that looked at nothing, such as the command line.
    Any,
    /// Change it only while it is at one of these versions.
    Matches(Vec<Version>),
}

impl Precondition {
    /// Whether something at `current` may be changed.
    pub fn holds(&self, current: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Matches(versions) => versions.contains(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_states_share_a_version_and_different_ones_do_not() {
        assert_eq!(Version::of(&("a", 1)), Version::of(&("a", 1)));
        assert_ne!(Version::of(&("a", 1)), Version::of(&("a", 2)));
        assert_eq!(Version::of(&("a", 1)).as_str().len(), VERSION_DIGITS);
    }

    #[test]
    fn a_precondition_holds_only_for_a_version_that_it_names() {
        let seen = Precondition::Matches(vec![Version::number(3)]);
        assert!(seen.holds(&Version::named("3")));
        assert!(!seen.holds(&Version::number(4)));
        assert!(!Precondition::Matches(Vec::new()).holds(&Version::number(1)));
        assert!(Precondition::Any.holds(&Version::number(9)));
    }
}
