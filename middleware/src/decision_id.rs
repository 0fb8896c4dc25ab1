//! Names of decisions.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a decision: unique among the decisions of all guards, and nothing more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecisionId {
    guard: u64,
    number: u64,
}

/// What begins each name.
const PREFIX: &str = "dec_";

impl DecisionId {
    /// The name, without the machinery of formatting: each refusal has it twice.
    pub(crate) fn text(self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + 32);
        text.push_str(PREFIX);
        push_hex::<16>(&mut text, self.guard);
        match u32::try_from(self.number) {
            Ok(_) => push_hex::<8>(&mut text, self.number),
            Err(_) => push_hex::<16>(&mut text, self.number),
        }
        text
    }
}

/// Appends the last so many hexadecimal digits of a number.
fn push_hex<const DIGITS: usize>(text: &mut String, number: u64) {
    let digit = |place: usize| {
        let value = (number >> (4 * (DIGITS - 1 - place)) & 0xf) as u8;
        value + if value < 10 { b'0' } else { b'a' - 10 }
    };
    let digits: [u8; DIGITS] = std::array::from_fn(digit);
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

impl fmt::Display for DecisionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

/// Names decisions, without drawing randomness for each.
pub(crate) struct DecisionIds {
    guard: u64,
    next: AtomicU64,
}

impl DecisionIds {
    pub(crate) fn new() -> Self {
        // The seeds of the standard library's hasher differ between processes and instances.
        Self { guard: RandomState::new().hash_one(()), next: AtomicU64::new(1) }
    }

    /// What tells this guard from every other.
    pub(crate) const fn guard(&self) -> u64 {
        self.guard
    }

    pub(crate) fn next(&self) -> DecisionId {
        DecisionId { guard: self.guard, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_within_a_guard_and_between_guards() {
        let (one, other) = (DecisionIds::new(), DecisionIds::new());
        let names = [one.next(), one.next(), other.next()].map(|id| id.to_string());
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2], "{names:?}");
    }

    #[test]
    fn a_name_is_hexadecimal_of_full_width_and_grows_where_the_number_does() {
        let name = |guard, number| DecisionId { guard, number }.to_string();
        assert_eq!(name(0xab, 0x1f), "dec_00000000000000ab0000001f");
        assert_eq!(name(u64::MAX, 0), "dec_ffffffffffffffff00000000");
        assert_eq!(name(1, 0x1_2345_6789), "dec_00000000000000010000000123456789");
    }
}
