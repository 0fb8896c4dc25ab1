//! Addresses of the web.

use url::Url;

/// Whether a text is an absolute address with one of these schemes, and every reader takes it for the same one.
///
/// What a browser would repair before it goes there is refused: white space, control characters, backslashes. So are names and
/// passwords in front of the host, which make an address look like another one.
pub(super) fn is_address(text: &str, schemes: &[String]) -> bool {
    let repaired = |character: char| character.is_whitespace() || character.is_control() || character == '\\';
    if text.contains(repaired) {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    let authority = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    schemes.iter().any(|scheme| scheme == url.scheme())
        && (!url.has_host() || authority.is_some_and(|rest| !rest.starts_with('/')))
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_with_an_allowed_scheme_pass() {
        let schemes = ["https".to_owned(), "mailto".to_owned()];
        for text in [
            "https://example.org",
            "HTTPS://example.org/a?b=c&d#e",
            "https://bücher.example/",
            "https://[::1]:8443/",
            "mailto:a@b",
        ] {
            assert!(is_address(text, &schemes), "{text}");
        }
        for text in [
            "",
            "example.org",
            "//example.org",
            "/path",
            "http://example.org",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            " https://example.org",
            "https://example.org/\u{1}",
            "https://exa\tmple.org",
            "https:\\\\example.org",
            "https:example.org",
            "https:/example.org",
            "https:///example.org",
            "https://bank.example@evil.example/",
            "https://user:pass@example.org/",
            "https://",
            "data:text/html,x",
        ] {
            assert!(!is_address(text, &schemes), "{text}");
        }
    }
}
