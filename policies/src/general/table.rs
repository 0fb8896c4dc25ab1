//! The texts of a policy as numbers, and back.

use crate::intern::{Names, UNNAMED};

/// Every distinct text of a policy.
#[derive(Default)]
pub(super) struct Table {
    names: Names,
    texts: Vec<Box<str>>,
}

/// A text, and its number if the policy has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) number: u32,
    pub(super) text: &'a str,
}

impl Table {
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        let number = self.names.intern(text);
        if number as usize == self.texts.len() {
            self.texts.push(text.into());
        }
        number
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", AsRef::as_ref)
    }

    pub(super) fn value<'a>(&self, text: &'a str) -> Value<'a> {
        Value { number: self.names.get(text).unwrap_or(UNNAMED), text }
    }

    pub(super) fn stored(&self, number: u32) -> Value<'_> {
        Value { number, text: self.text(number) }
    }
}

/// Two texts without a number are both unknown to the policy, but may still be the same.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && (self.number != UNNAMED || self.text == other.text)
    }
}
