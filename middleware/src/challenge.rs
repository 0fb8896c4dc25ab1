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

    /// Names what is protected where nothing else is said: RFC 6750 §3 has `Bearer` never stand alone.
    pub(crate) fn never_bare(self, realm: &'a str) -> Self {
        if !self.parameters.is_empty() {
            return self;
        }
        // An audience may be any text.
        self.with("realm", if is_plain(realm) { realm } else { "service" })
    }

    /// The text of the header. `None` if a value could be read as more than a value: scopes (RFC 6749 §3.3), classes of
    /// sign-in and URLs have neither quotes nor backslashes.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
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

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
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
    fn a_scheme_does_not_stand_alone() {
        let text = |challenge: Challenge<'_>| challenge.header().map(|it| it.to_str().unwrap().to_owned());
        let bare = |realm| text(Challenge::bearer().never_bare(realm));
        assert_eq!(bare("https://api.test").as_deref(), Some(r#"Bearer realm="https://api.test""#));
        assert_eq!(bare("a\"b").as_deref(), Some(r#"Bearer realm="service""#));
        let said = Challenge::bearer().with("scope", "a").never_bare("https://api.test");
        assert_eq!(text(said).as_deref(), Some(r#"Bearer scope="a""#));
    }

    #[test]
    fn a_value_that_could_end_its_quotes_makes_no_challenge() {
        for value in ["a\"b", "a\\", "a\r\nb", "\u{e9}", "\0"] {
            assert!(Challenge::bearer().with("scope", value).header().is_none(), "{value:?}");
        }
    }
}
