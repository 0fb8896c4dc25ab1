//! The query: read like a form, and never changed.

use http::Method;

use super::declared::{Declared, Findings, Flat};
use super::fault::Fault;
use super::form::{self, Duplicates};
use super::report::{FieldReports, ReportedField};

/// What the query may hold.
pub(crate) struct QueryRules {
    pub(super) declared: Declared,
    /// What it may hold beside where it stands for a form.
    pub(super) of_forms: Declared,
    pub(super) duplicates: Duplicates,
    /// Of a parameter that is not declared.
    pub(super) longest_text: usize,
}

/// Whether a query stands for a form: a browser sends one so by `GET`, and readers of forms take it for one then, and by `HEAD`.
pub(super) fn is_form(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

impl QueryRules {
    /// How often each parameter that only reports was wrong.
    pub(super) fn reports(&self) -> impl Iterator<Item = FieldReports> {
        self.declared.reports().chain(self.of_forms.reports())
    }

    /// Checks a query, and returns what is only to be reported.
    pub(crate) fn check(&self, query: &str, is_form: bool) -> Result<Vec<ReportedField>, Fault> {
        let has_none = self.declared.is_empty() && (!is_form || self.of_forms.is_empty());
        // Decoded, it gets no longer.
        let is_short = query.len() <= self.longest_text;
        if has_none && is_short && self.duplicates == Duplicates::Allow && is_sound(query.as_bytes()) {
            return Ok(Vec::new());
        }
        let mut findings = Findings::default();
        let outcome = form::read(query.as_bytes(), self.duplicates, |field| {
            let form::Field { name, value, has_control, span, repeated: _ } = field;
            let is_of_form = is_form && !self.declared.names(&name);
            let declared = if is_of_form { &self.of_forms } else { &self.declared };
            declared.field(Flat { name: &name, value: &value, has_control, span }, &mut findings)
        });
        outcome.map_err(Fault::of_query)?;
        for field in &mut findings.reported {
            field.pointer.replace_range(..1, "?");
        }
        Ok(findings.reported)
    }
}

/// Whether a query is UTF-8 without control characters once it is decoded: told without decoding it, since nearly every query is.
fn is_sound(query: &[u8]) -> bool {
    let mut bytes = query.iter().copied();
    let mut character = Character::default();
    while let Some(byte) = bytes.next() {
        let decoded = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return false };
                match u8::try_from(high << 4 | low) {
                    // What separates stays apart from what only says so; tabs and line breaks are looked at more closely.
                    Ok(0..0x20) | Err(_) => return false,
                    Ok(decoded) => decoded,
                }
            }
            0..0x20 => return false,
            plain => plain,
        };
        if !character.take(decoded) {
            return false;
        }
    }
    character.is_complete()
}

/// A character of UTF-8 that is not complete yet.
#[derive(Default)]
struct Character {
    bytes: [u8; 4],
    length: usize,
}

impl Character {
    /// Takes the next byte, unless no character goes on so.
    fn take(&mut self, byte: u8) -> bool {
        if self.length == 0 && byte.is_ascii() {
            return true;
        }
        let Some(place) = self.bytes.get_mut(self.length) else { return false };
        *place = byte;
        self.length += 1;
        match std::str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()) {
            Ok(_) => {
                self.length = 0;
                true
            }
            // Not wrong so far, only not complete.
            Err(error) => error.error_len().is_none(),
        }
    }

    const fn is_complete(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::input::fault::{Part, Rule};
    use crate::input::field::Field;
    use crate::input::{InputPolicy, InputRules};

    fn checked(policy: &InputPolicy, query: &str) -> Result<(), (Option<String>, Rule)> {
        let rules: InputRules = policy.rules().unwrap();
        let outcome = rules.query.check(query, false);
        outcome.map(|_| ()).map_err(|fault| {
            assert_eq!(fault.part, Part::Query);
            (fault.parameter(), fault.rule)
        })
    }

    #[test]
    fn text_passes_and_what_is_no_text_is_refused() {
        let strict = InputPolicy::strict();
        for query in [
            "",
            "a=1&b=2&a=3",
            "q=AT%26T+%3Cb%3E+I+%3C3+you",
            "q=%F0%9F%91%A9%E2%80%8D%F0%9F%91%A7",
            "lines=a%0D%0Ab%09c",
            "flag",
            "=x",
            "a=é",
        ] {
            assert_eq!(checked(&strict, query), Ok(()), "{query}");
        }
        for (query, name, rule) in [
            ("a=1&b=%00", Some("b"), Rule::Control),
            ("b=%1b", Some("b"), Rule::Control),
            ("b=%ff", Some("b"), Rule::Encoding),
            ("b=%C3", Some("b"), Rule::Encoding),
            ("b=%C3&c=%A9", Some("b"), Rule::Encoding),
            ("b=%ED%A0%80", Some("b"), Rule::Encoding),
            ("b=100%", Some("b"), Rule::Syntax),
            ("b=%zz", Some("b"), Rule::Syntax),
            ("a/b~=%2", Some("a/b~"), Rule::Syntax),
            ("%00=1", None, Rule::Control),
        ] {
            assert_eq!(checked(&strict, query), Err((name.map(str::to_owned), rule)), "{query}");
        }
    }

    #[test]
    fn parameters_are_held_to_their_kind() {
        let policy = InputPolicy::strict()
            .query("sort", Field::one_of(["asc", "desc"]))
            .query("page", Field::integer(1..=999))
            .query("token", Field::opaque());
        assert_eq!(checked(&policy, "sort=asc&page=7&other=x&token=%00"), Ok(()));
        let refused = |name: &str, rule| Err((Some(name.to_owned()), rule));
        assert_eq!(checked(&policy, "sort=%61scending"), refused("sort", Rule::Choice));
        assert_eq!(checked(&policy, "sort=asc&sort=up"), refused("sort", Rule::Choice));
        assert_eq!(checked(&policy, "page="), refused("page", Rule::Number));
        assert_eq!(checked(&policy, "p%61ge=1000"), refused("page", Rule::Range));
        assert_eq!(checked(&policy, "other=%00"), refused("other", Rule::Control));
        let once = InputPolicy::strict().query_duplicates(Duplicates::Reject);
        assert_eq!(checked(&once, "a=1&b=1"), Ok(()));
        assert_eq!(checked(&once, "a=1&%61=1"), refused("a", Rule::DuplicateField));
    }

    #[test]
    fn a_parameter_that_only_reports_passes_and_is_counted() {
        let rules = InputPolicy::strict().query("sort", Field::one_of(["asc"]).report()).rules().unwrap();
        let reported = rules.query.check("sort=up&sort=asc", false).unwrap();
        assert_eq!((reported.len(), reported[0].rule, reported[0].kind), (1, "choice", "enum"));
        assert_eq!((rules.reports()[0].field.as_str(), rules.reports()[0].count), ("?sort", 1));
    }

    proptest! {
        #[test]
        fn what_is_sound_at_a_glance_is_so_on_a_closer_look(
            query in prop::collection::vec("%[0-9a-fA-F]{2}|%[c-f][0-9a-f]%[89a-f][0-9a-f]|[a-z&=+é%]", 0..12),
        ) {
            let query = query.concat();
            let closely = form::read(query.as_bytes(), Duplicates::Allow, |field| {
                if field.has_control { Err(Rule::Control.into()) } else { Ok(()) }
            });
            if is_sound(query.as_bytes()) {
                prop_assert!(closely.is_ok(), "{}: {:?}", query, closely);
            }
        }
    }
}
