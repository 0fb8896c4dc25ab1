//! `application/x-www-form-urlencoded`, read strictly and pair by pair.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::fault::{Breach, Fault, Rule};
use super::pointer::{Segment, written};

/// The most fields in a form.
pub(super) const MAX_FIELDS: usize = 1_000;

/// Whether a form may give a field twice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Duplicates {
    /// It may: the form has check boxes or lists.
    Allow,
    /// It may, and what it says again is taken out of the body: the first counts. What is signed is refused instead, since it would change;
    /// so is a field of `multipart/form-data`, which is handed on while it is read, and a parameter of the query and a header, which are never changed.
    First,
    /// It may not: handlers disagree on which one counts.
    #[default]
    Reject,
}

impl Duplicates {
    /// What holds where nothing can be taken out.
    pub(super) const fn where_nothing_changes(self) -> Self {
        match self {
            Self::Allow => Self::Allow,
            Self::First | Self::Reject => Self::Reject,
        }
    }
}

/// A field of a form.
pub(crate) struct Field<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: Cow<'a, str>,
    /// Whether the value holds a control character, other than a tab or a line break.
    pub(crate) has_control: bool,
    /// Where the value stands in the body, encoded.
    pub(crate) span: Range<usize>,
    /// Where a pair stands that is to be taken out, with what separates it from the one before.
    pub(crate) repeated: Option<Range<usize>>,
}

/// Reads a whole form and calls `on_field` for each field.
pub(crate) fn read<'a>(
    body: &'a [u8],
    duplicates: Duplicates,
    mut on_field: impl FnMut(Field<'a>) -> Result<(), Breach>,
) -> Result<(), Fault> {
    let mut names = HashSet::new();
    let mut fields = 0;
    let mut start = 0;
    for pair in body.split(|byte| *byte == b'&') {
        let end = start + pair.len();
        if !pair.is_empty() {
            let (name, value_at) = split(pair);
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(Fault::whole(Rule::Members));
            }
            let name = decode(name).map_err(Fault::whole)?;
            if has_control(&name) {
                return Err(Fault::whole(Rule::Control));
            }
            let at = |breach: Breach| breach.at(written(&[Segment::Key(name.clone())]));
            let is_again = duplicates != Duplicates::Allow && !names.insert(name.clone());
            if is_again && duplicates == Duplicates::Reject {
                return Err(at(Rule::DuplicateField.into()));
            }
            // Another one is before it, and so is what separates them.
            let repeated = is_again.then(|| start.saturating_sub(1)..end);
            let value = decode(pair.get(value_at..).unwrap_or_default()).map_err(|rule| at(rule.into()))?;
            let has_control = has_control(&value);
            let span = start + value_at..end;
            let field = Field { name: name.clone(), value, has_control, span, repeated };
            on_field(field).map_err(at)?;
        }
        start = end + 1;
    }
    Ok(())
}

/// The name of a pair, and where its value starts.
fn split(pair: &[u8]) -> (&[u8], usize) {
    let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
        return (pair, pair.len());
    };
    (pair.get(..at).unwrap_or_default(), at + 1)
}

fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, Rule> {
    let decoded: Cow<'_, [u8]> = if encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        Cow::Owned(unescape(encoded)?)
    } else {
        Cow::Borrowed(encoded)
    };
    match decoded {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Rule::Encoding),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Rule::Encoding),
    }
}

pub(super) fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

fn unescape(encoded: &[u8]) -> Result<Vec<u8>, Rule> {
    let mut bytes = encoded.iter().copied();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Rule::Syntax);
                let code = digit()? << 4 | digit()?;
                u8::try_from(code).map_err(|_| Rule::Syntax)?
            }
            plain => plain,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Result<Vec<String>, (String, Rule)> {
        let mut seen = Vec::new();
        read(body.as_bytes(), Duplicates::Reject, |field| {
            if field.has_control {
                return Err(Rule::Control.into());
            }
            seen.push(format!("{}={} [{}]", field.name, field.value, &body[field.span]));
            Ok(())
        })
        .map(|()| seen)
        .map_err(|fault| (fault.pointer, fault.rule))
    }

    #[test]
    fn fields_are_decoded_in_order_with_their_spans() {
        assert_eq!(
            fields("a=1&b=x+y%26z&&c&d=").unwrap(),
            ["a=1 [1]", "b=x y&z [x+y%26z]", "c= []", "d= []"]
        );
        assert_eq!(fields("").unwrap(), [""; 0]);
    }

    #[test]
    fn malformed_fields_are_refused_with_their_name() {
        let table = [
            ("a=%", "/a", Rule::Syntax),
            ("a=%2", "/a", Rule::Syntax),
            ("a=%zz", "/a", Rule::Syntax),
            ("a=%ff", "/a", Rule::Encoding),
            ("a=%00", "/a", Rule::Control),
            ("a=\u{1}", "/a", Rule::Control),
            ("%ff=a", "", Rule::Encoding),
            ("%01=a", "", Rule::Control),
            ("a=1&%61=2", "/a", Rule::DuplicateField),
        ];
        for (body, pointer, rule) in table {
            assert_eq!(fields(body), Err((pointer.to_owned(), rule)), "{body}");
        }
    }

    #[test]
    fn a_field_may_be_given_twice_only_where_that_is_allowed() {
        let mut values = Vec::new();
        let take = |field: Field<'_>| {
            values.push(field.value.into_owned());
            Ok(())
        };
        read(b"a=1&a=2", Duplicates::Allow, take).unwrap();
        assert_eq!(values, ["1", "2"]);
    }

    #[test]
    fn what_is_said_again_is_to_be_taken_out_where_the_first_counts() {
        let body = "a=1&b=2&&a=3&%61=4&c=%61";
        let mut out = Vec::new();
        let take = |field: Field<'_>| {
            out.extend(field.repeated.map(|pair| &body[pair]));
            Ok(())
        };
        read(body.as_bytes(), Duplicates::First, take).unwrap();
        assert_eq!(out, ["&a=3", "&%61=4"]);
        let strict = Duplicates::First.where_nothing_changes();
        assert_eq!(strict, Duplicates::Reject);
        assert_eq!(Duplicates::Allow.where_nothing_changes(), Duplicates::Allow);
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let body = (0..=MAX_FIELDS).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(fields(&body).unwrap_err().1, Rule::Members);
    }
}
