//! Numbers, as JSON writes them.

use std::ops::RangeInclusive;

use crate::input::fault::Rule;
use crate::input::json::{Bounds, read};

/// Whether a text is an integer in the range, written without a fraction or an exponent.
pub(super) fn check_integer(text: &str, range: &RangeInclusive<i64>) -> Result<(), Rule> {
    if !is_number(text) || text.contains(['.', 'e', 'E']) {
        return Err(Rule::Number);
    }
    // More digits than the type holds are too many for the range, too.
    let is_inside = text.parse::<i64>().is_ok_and(|number| range.contains(&number));
    if is_inside { Ok(()) } else { Err(Rule::Range) }
}

/// Whether a text is a number in the range.
pub(super) fn check(text: &str, range: &RangeInclusive<f64>) -> Result<(), Rule> {
    if !is_number(text) {
        return Err(Rule::Number);
    }
    let number = text.parse::<f64>().map_err(|_| Rule::Number)?;
    if number.is_finite() && range.contains(&number) { Ok(()) } else { Err(Rule::Range) }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && read(text.as_bytes(), Bounds { depth: 0, members: 0 }, |_, _| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_at_any_length() {
        for text in ["0", "-0", "1", "99", "-5"] {
            assert_eq!(check_integer(text, &(-5..=99)), Ok(()), "{text}");
        }
        for text in ["100", "-6", "12345678901234567890123"] {
            assert_eq!(check_integer(text, &(-5..=99)), Err(Rule::Range), "{text}");
        }
        for text in ["", " 1", "1 ", "+1", "01", "1.0", "1e1", "0x1", "1_0", "١", "NaN", "--1"] {
            assert_eq!(check_integer(text, &(-5..=99)), Err(Rule::Number), "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0.10", "1e-3", "0.5E0", "1"] {
            assert_eq!(check(text, &(0.0..=1.0)), Ok(()), "{text}");
        }
        for text in ["1.01", "-0.1", "1e400", "-1e400"] {
            assert_eq!(check(text, &(0.0..=1.0)), Err(Rule::Range), "{text}");
        }
        for text in ["", "inf", "NaN", ".5", "1.", "1,5", "1 2"] {
            assert_eq!(check(text, &(0.0..=1.0)), Err(Rule::Number), "{text}");
        }
    }
}
