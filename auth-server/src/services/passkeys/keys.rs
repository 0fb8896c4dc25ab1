//! What people call their passkeys.

/// Characters of a name at most.
const LONGEST: usize = 64;

/// What somebody calls a passkey: a line, with something on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KeyName(String);

impl KeyName {
    /// Reads a name as it was typed.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let name = typed.trim();
        let is_line = !name.is_empty() && !name.chars().any(char::is_control);
        (is_line && name.chars().count() <= LONGEST).then(|| Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_line_of_sixty_four_characters_at_most() {
        assert_eq!(KeyName::parse("  Key ring ").unwrap().as_str(), "Key ring");
        assert!(KeyName::parse(&"é".repeat(64)).is_some());
        for bad in ["", "   ", "two\nlines", "nul\0", &"é".repeat(65)] {
            assert_eq!(KeyName::parse(bad), None, "{bad:?}");
        }
    }
}
