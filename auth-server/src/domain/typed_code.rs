//! Codes that people type: letters and digits that nobody takes for one another.

use std::fmt;

use zeroize::Zeroizing;

use crate::domain::secret::Entropy;

const GROUP: usize = 4;
/// Base 32 as Crockford has it: without letters that look like digits, or like each other. A character is five bits.
const ALPHABET: [char; 32] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm',
    'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'y', 'z',
];

/// A code of `LENGTH` characters. It is never printed.
pub struct TypedCode<const LENGTH: usize>(Zeroizing<String>);

impl<const LENGTH: usize> TypedCode<LENGTH> {
    /// A new one, of random characters.
    pub fn generate(entropy: &Entropy) -> Self {
        let bytes = entropy.bytes::<LENGTH>();
        Self(Zeroizing::new(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 31))).collect()))
    }

    /// Reads a code as people type it: in whichever case, with or without blanks and hyphens, and with letters for digits.
    pub fn parse(typed: &str) -> Option<Self> {
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
    pub fn shown(&self) -> String {
        let characters: Vec<char> = self.0.chars().collect();
        let groups: Vec<String> = characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    /// What a digest is made of.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<const LENGTH: usize> fmt::Debug for TypedCode<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = TypedCode::<16>::generate(&Entropy::seeded(1));
        let shown = code.shown();
        assert_eq!(shown.len(), 16 + 3);
        for typed in [shown.clone(), shown.to_uppercase(), shown.replace('-', " "), shown.replace('-', "")] {
            assert_eq!(TypedCode::<16>::parse(&typed).unwrap().as_bytes(), code.as_bytes(), "{typed}");
        }
        assert_eq!(TypedCode::<16>::parse("oOiIlL0000000000").unwrap().as_bytes(), b"0011110000000000");
        for bad in
            ["", "0000", "00000000000000000", "u000000000000000", "é00000000000000", &"0".repeat(1 << 20)]
        {
            assert!(TypedCode::<16>::parse(bad).is_none());
        }
        assert_eq!(TypedCode::<8>::generate(&Entropy::seeded(1)).shown().len(), 8 + 1);
        assert_eq!(format!("{code:?}"), "TypedCode(..)");
    }
}
