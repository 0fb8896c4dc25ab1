//! Recovery codes: what gets somebody in who lost the device. Each is 80 random bits, so a keyed digest is enough to keep.

use std::fmt;

use zeroize::Zeroizing;

use crate::domain::secret::Entropy;

/// How many somebody gets.
pub(crate) const CODES: usize = 10;
/// Characters of a code, each of them five random bits: none can be guessed, however often somebody tries.
const LENGTH: usize = 16;
const GROUP: usize = 4;
/// Base 32 as Crockford has it: without letters that look like digits, or like each other.
const ALPHABET: [char; 32] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm',
    'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'y', 'z',
];

/// A recovery code. It is never printed.
pub(crate) struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    pub(crate) fn generate(entropy: &Entropy) -> Self {
        let bytes = entropy.bytes::<LENGTH>();
        Self(Zeroizing::new(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31))).collect()))
    }

    /// Reads a code as people type it: in whichever case, with or without blanks and hyphens, and with letters for digits.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let read = |c: char| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        // What is far too long is not looked at further.
        let typed = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LENGTH + 1);
        let text: Zeroizing<String> = Zeroizing::new(typed.map(read).collect());
        let is_code = text.len() == LENGTH && text.chars().all(|c| ALPHABET.contains(&c));
        is_code.then_some(Self(text))
    }

    /// In groups of four.
    pub(crate) fn shown(&self) -> String {
        let characters: Vec<char> = self.0.chars().collect();
        let groups: Vec<String> = characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate(&Entropy::seeded(1));
        let shown = code.shown();
        assert_eq!(shown.len(), LENGTH + 3);
        for typed in [shown.clone(), shown.to_uppercase(), shown.replace('-', " "), shown.replace('-', "")] {
            assert_eq!(RecoveryCode::parse(&typed).unwrap().as_bytes(), code.as_bytes(), "{typed}");
        }
        assert_eq!(RecoveryCode::parse("oOiIlL0000000000").unwrap().as_bytes(), b"0011110000000000");
        for bad in
            ["", "0000", "00000000000000000", "u000000000000000", "é00000000000000", &"0".repeat(1 << 20)]
        {
            assert!(RecoveryCode::parse(bad).is_none());
        }
        assert_eq!(format!("{code:?}"), "RecoveryCode(..)");
    }
}
