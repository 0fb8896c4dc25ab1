//! What a refused caller is told in `WWW-Authenticate` (RFC 9110 §11.6.1).

use std::borrow::Cow;

use http::HeaderValue;

/// A challenge: a scheme and its parameters, each in quotes.
pub(crate) struct Challenge<'a> {
    scheme: &'static str,
    parameters: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Challenge<'a> {
    /// The challenge of RFC 6750 §3.
    pub(crate) const fn bearer() -> Self {
        Self { scheme: "Bearer", parameters: Vec::new() }
    }

    /// The challenge of RFC 9449 §7.1.
    pub(crate) const fn dpop() -> Self {
        Self { scheme: "DPoP", parameters: Vec::new() }
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// The text of the header. `None` if a value could be read as more than a value: scopes (RFC 6749 §3.3), classes of
    /// sign-in and URLs have neither quotes nor backslashes.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let is_plain = |text: &str| {
            text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
        };
        if !self.parameters.iter().all(|(_, value)| is_plain(value)) {
            return None;
        }
        let mut text = self.scheme.to_owned();
        for (position, (name, value)) in self.parameters.iter().enumerate() {
            text.extend([if position == 0 { " " } else { ", " }, name, "=\"", value, "\""]);
        }
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_quoted_and_stand_in_their_order() {
        let text = |challenge: Challenge<'_>| challenge.header().map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(text(Challenge::bearer()).as_deref(), Some("Bearer"));
        let two = Challenge::bearer().with("error", "invalid_token").with("scope", "a b");
        assert_eq!(text(two).as_deref(), Some(r#"Bearer error="invalid_token", scope="a b""#));
    }

    #[test]
    fn a_value_that_could_end_its_quotes_makes_no_challenge() {
        for value in ["a\"b", "a\\", "a\r\nb", "\u{e9}", "\0"] {
            assert!(Challenge::bearer().with("scope", value).header().is_none(), "{value:?}");
        }
    }
}
