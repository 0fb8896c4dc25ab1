//! Distinguished names, as a certificate has them and as people write them
//! ([RFC 4514](https://www.rfc-editor.org/rfc/rfc4514)).

use std::collections::BTreeSet;

use super::der::{IA5_STRING, OBJECT_IDENTIFIER, PRINTABLE_STRING, Reader, SEQUENCE, SET, UTF8_STRING};

/// A name: its parts as they are written, the last one of the certificate first. Two are the same if they are so letter for letter;
/// how the certificate encodes the letters does not matter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DistinguishedName(Vec<BTreeSet<Attribute>>);

/// The kind of a part, as digits, and its value.
type Attribute = (String, Value);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Value {
    /// Anything that is no text, as it is encoded.
    Encoded(Vec<u8>),
    Text(String),
}

/// The text is no distinguished name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("is empty")]
    Empty,
    #[error("has an escape that means nothing, or ends in one")]
    Escape,
    #[error("has a part that is not of the form KIND=VALUE")]
    Part,
    #[error(
        "has a part of an unknown kind: use CN, O, OU, L, ST, C, STREET, DC, UID, E, SERIALNUMBER or digits"
    )]
    Kind,
}

/// RFC 4514 §3, and two that certificates of clients often have.
const KINDS: [(&str, &str); 12] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("E", "1.2.840.113549.1.9.1"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("SERIALNUMBER", "2.5.4.5"),
];

impl DistinguishedName {
    /// Reads what somebody wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        let part = |part: &str| -> Result<BTreeSet<Attribute>, NameError> {
            split(part, '+').into_iter().map(attribute).collect()
        };
        split(text, ',').into_iter().map(part).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the name in a certificate (RFC 5280 §4.1.2.4).
    pub(super) fn from_der(sequence: &[u8]) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), Reader::new(sequence));
        while !rest.is_at_end() {
            let (mut attributes, mut set) = (BTreeSet::new(), Reader::new(rest.take(SET)?));
            while !set.is_at_end() {
                let mut attribute = Reader::new(set.take(SEQUENCE)?);
                let kind = digits(attribute.take(OBJECT_IDENTIFIER)?)?;
                attributes.insert((kind, value(attribute.next()?)?));
            }
            parts.push(attributes);
        }
        parts.reverse();
        Some(Self(parts))
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn value((tag, bytes): (u8, &[u8])) -> Option<Value> {
    if matches!(tag, IA5_STRING | PRINTABLE_STRING | UTF8_STRING) {
        return str::from_utf8(bytes).ok().map(|text| Value::Text(text.to_owned()));
    }
    Some(Value::Encoded([&[tag], bytes].concat()))
}

/// Splits at a sign that no backslash stands before.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == at => {
                parts.push(text.get(start..index).unwrap_or_default());
                start = index + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn attribute(text: &str) -> Result<Attribute, NameError> {
    let (kind, value) = text.split_once('=').ok_or(NameError::Part)?;
    let kind = kind.trim();
    let known = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)).map(|(_, digits)| *digits);
    let is_digits = |kind: &str| {
        kind.contains('.')
            && kind.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let kind = known.or_else(|| is_digits(kind).then_some(kind)).ok_or(NameError::Kind)?;
    Ok((kind.to_owned(), Value::Text(unescaped(value.trim_start())?)))
}

/// RFC 4514 §2.4: a backslash stands before a sign, or before two digits of a byte. Blanks at the end count only with one.
fn unescaped(text: &str) -> Result<String, NameError> {
    if text.starts_with(['#', '"']) {
        // Encoded values, and the quotes of the specification before.
        return Err(NameError::Part);
    }
    let (mut bytes, mut kept, mut rest) = (Vec::new(), 0, text.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            kept = if byte == b' ' { kept } else { bytes.len() };
            continue;
        }
        let sign = rest.next().ok_or(NameError::Escape)?;
        bytes.push(match char::from(sign).to_digit(16) {
            None if b" \"#+,;<=>\\".contains(&sign) => sign,
            None => return Err(NameError::Escape),
            Some(high) => {
                let low =
                    rest.next().and_then(|sign| char::from(sign).to_digit(16)).ok_or(NameError::Escape)?;
                u8::try_from(high << 4 | low).map_err(|_| NameError::Escape)?
            }
        });
        kept = bytes.len();
    }
    bytes.truncate(kept);
    if bytes.is_empty() {
        Err(NameError::Part)
    } else {
        String::from_utf8(bytes).map_err(|_| NameError::Escape)
    }
}

/// An object identifier in digits (X.690 §8.19).
fn digits(bytes: &[u8]) -> Option<String> {
    let (mut numbers, mut number) = (Vec::new(), 0_u64);
    for byte in bytes {
        number = number.checked_mul(0x80)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    let (first, others) = numbers.split_first()?;
    let root = (*first / 40).min(2);
    let all = [root, first - root * 40].into_iter().chain(others.iter().copied());
    Some(all.map(|number| number.to_string()).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Vec<(String, String)>> {
        let text_of = |value: Value| match value {
            Value::Text(text) => text,
            Value::Encoded(bytes) => format!("{bytes:?}"),
        };
        let DistinguishedName(parts) = DistinguishedName::parse(text).unwrap();
        let part = |part: BTreeSet<Attribute>| {
            part.into_iter().map(|(kind, value)| (kind, text_of(value))).collect()
        };
        parts.into_iter().map(part).collect()
    }

    #[test]
    fn the_examples_of_rfc_4514_are_read() {
        let pair = |kind: &str, value: &str| (kind.to_owned(), value.to_owned());
        assert_eq!(
            parsed("UID=jsmith,DC=example,DC=net"),
            [
                [pair("0.9.2342.19200300.100.1.1", "jsmith")],
                [pair("0.9.2342.19200300.100.1.25", "example")],
                [pair("0.9.2342.19200300.100.1.25", "net")]
            ]
        );
        assert_eq!(
            parsed("OU=Sales+CN=J.  Smith")[0],
            [pair("2.5.4.11", "Sales"), pair("2.5.4.3", "J.  Smith")]
        );
        assert_eq!(
            parsed(r#"CN=James \"Jim\" Smith\, III"#)[0],
            [pair("2.5.4.3", r#"James "Jim" Smith, III"#)]
        );
        assert_eq!(parsed(r"CN=Lu\C4\8Di\C4\87")[0], [pair("2.5.4.3", "Lučić")]);
        assert_eq!(parsed(r"cn=a\ , o=b ")[0], [pair("2.5.4.3", "a ")]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, error) in [
            ("", NameError::Empty),
            ("  ", NameError::Empty),
            ("orders", NameError::Part),
            ("CN=", NameError::Part),
            ("CN=a,,O=b", NameError::Part),
            ("CN=#0403", NameError::Part),
            ("CN=\"a\"", NameError::Part),
            ("XY=a", NameError::Kind),
            ("=a", NameError::Kind),
            ("CN=a\\", NameError::Escape),
            (r"CN=a\z", NameError::Escape),
            (r"CN=a\C4", NameError::Escape),
        ] {
            assert_eq!(DistinguishedName::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn object_identifiers_are_read_in_digits() {
        assert_eq!(digits(&[0x55, 0x04, 0x03]).as_deref(), Some("2.5.4.3"));
        assert_eq!(
            digits(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]).as_deref(),
            Some("1.2.840.113549.1.9.1")
        );
        assert_eq!(digits(&[]), None);
        assert_eq!(digits(&[0xff; 12]), None);
    }
}
