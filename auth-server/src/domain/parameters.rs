//! Request parameters of the OAuth endpoints, read strictly.
//!
//! A parser that repairs what it reads lets two parties see two different requests, so whatever is
//! not clean UTF-8 form data is refused here, before any rule looks at it.

use std::fmt;

/// The longest value that any OAuth parameter may have, in bytes after decoding.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The most parameters that one request may carry.
const MAX_PARAMETERS: usize = 64;

/// The parameters of one request, in the order sent.
///
/// Holding one proves that every name and value is UTF-8 without control characters, and that
/// neither their number nor their length is unreasonable.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

/// Why a parameter cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParametersError {
    /// A name or value holds a control character.
    #[error("a parameter holds a control character")]
    Control,
    /// A percent escape is cut short, is not hexadecimal, or does not decode to UTF-8.
    #[error("a parameter is not percent-encoded UTF-8")]
    Encoding,
    /// The same parameter was sent more than once.
    #[error("a parameter was sent more than once")]
    Repeated,
    /// A value is longer than any that a request needs.
    #[error("a parameter is too long")]
    TooLong,
    /// There are more parameters than any request needs.
    #[error("too many parameters")]
    TooMany,
}

impl Parameters {
    /// Reads `application/x-www-form-urlencoded` data: a query string or a form body.
    pub fn parse(encoded: &[u8]) -> Result<Self, ParametersError> {
        let mut pairs = Vec::new();
        for piece in encoded.split(|byte| *byte == b'&') {
            if piece.is_empty() {
                continue;
            }
            if pairs.len() == MAX_PARAMETERS {
                return Err(ParametersError::TooMany);
            }
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Parameters that came another way than as form data, held to the same rules.
    pub fn of(pairs: Vec<(String, String)>) -> Result<Self, ParametersError> {
        if pairs.len() > MAX_PARAMETERS {
            return Err(ParametersError::TooMany);
        }
        pairs.iter().flat_map(|(name, value)| [name, value]).try_for_each(|text| check(text))?;
        Ok(Self { pairs })
    }

    /// The value of a parameter.
    ///
    /// A parameter without a value counts as absent, and one that was sent twice is an error
    /// ([RFC 6749 §3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)).
    pub fn get(&self, name: &str) -> Result<Option<&str>, ParametersError> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(ParametersError::Repeated);
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Every value of a parameter that may be repeated, such as `resource`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether any parameter other than `except` was sent more than once.
    pub fn has_repeats(&self, except: &str) -> bool {
        self.pairs.iter().enumerate().any(|(index, (name, _))| {
            name != except && self.pairs.iter().skip(index + 1).any(|(later, _)| later == name)
        })
    }

    /// Whether the request holds any of these parameters.
    pub fn has_any(&self, names: &[&str]) -> bool {
        self.pairs.iter().any(|(name, _)| names.contains(&name.as_str()))
    }

    /// The same parameters as form data, for a request that continues as another method.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }
}

/// The names only: values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// Decodes one half of a form pair.
///
/// `form_urlencoded` replaces what it cannot decode; here that is an error.
pub fn decode(encoded: &[u8]) -> Result<String, ParametersError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(hex).ok_or(ParametersError::Encoding)?;
                let low = rest.next().and_then(hex).ok_or(ParametersError::Encoding)?;
                high << 4 | low
            }
            plain => plain,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| ParametersError::Encoding)?;
    check(&text)?;
    Ok(text)
}

fn check(text: &str) -> Result<(), ParametersError> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(ParametersError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(ParametersError::Control);
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(encoded: &str) -> Parameters {
        Parameters::parse(encoded.as_bytes()).unwrap()
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        let parameters = parse("state=&nonce&scope=openid+profile");
        assert_eq!(parameters.get("state"), Ok(None));
        assert_eq!(parameters.get("nonce"), Ok(None));
        assert_eq!(parameters.get("scope"), Ok(Some("openid profile")));
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_when_one_of_them_is_empty() {
        let parameters = parse("state=a&state=");
        assert_eq!(parameters.get("state"), Err(ParametersError::Repeated));
        assert!(parameters.has_repeats("resource"));
        assert!(!parse("resource=a&resource=b").has_repeats("resource"));
    }

    #[test]
    fn broken_escapes_and_foreign_encodings_are_refused() {
        for encoded in ["a=%", "a=%4", "a=%zz", "a=%ff%fe", "%c3=1"] {
            assert_eq!(Parameters::parse(encoded.as_bytes()), Err(ParametersError::Encoding), "{encoded}");
        }
        assert_eq!(Parameters::parse(b"a=\xff"), Err(ParametersError::Encoding));
    }

    #[test]
    fn control_characters_are_refused() {
        for encoded in ["a=%00", "a=%0d%0aSet-Cookie:x", "a%09=1"] {
            assert_eq!(Parameters::parse(encoded.as_bytes()), Err(ParametersError::Control), "{encoded}");
        }
    }

    #[test]
    fn unreasonable_sizes_are_refused() {
        let long = format!("a={}", "x".repeat(MAX_VALUE_BYTES + 1));
        assert_eq!(Parameters::parse(long.as_bytes()), Err(ParametersError::TooLong));
        let many = "a=1&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(Parameters::parse(many.as_bytes()), Err(ParametersError::TooMany));
    }

    #[test]
    fn what_was_read_is_written_back_alike() {
        let parameters = parse("scope=openid+profile&state=%C3%A4%26b");
        assert_eq!(parse(&parameters.encode()), parameters);
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let shown = format!("{:?}", parse("client_secret=hunter2"));
        assert!(shown.contains("client_secret") && !shown.contains("hunter2"));
    }
}
