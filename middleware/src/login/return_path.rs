//! Where somebody goes after a sign-in.

/// The longest path, with its query.
const MAX_BYTES: usize = 2_048;

/// A path of this service, which a browser can take for nothing else.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub(super) struct ReturnPath(String);

impl ReturnPath {
    /// The start page.
    pub(super) fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads a path with or without a query. Browsers take `//host` and `/\host` for another host, and pass over tabs and line
    /// breaks, so what holds any of that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let is_plain = |byte: u8| matches!(byte, 0x21..=0x7e) && byte != b'\\' && byte != b'#';
        let is_own = !rest.starts_with('/') && text.len() <= MAX_BYTES && text.bytes().all(is_plain);
        is_own.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was sealed is read as strictly as what was sent.
impl<'de> serde::Deserialize<'de> for ReturnPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_service_is_gone_to() {
        for path in ["/", "/orders", "/orders/7?page=2&x=%2F%2Fevil.example", "/a//b", "/@evil.example"] {
            assert_eq!(ReturnPath::parse(path).unwrap().as_str(), path);
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for path in [
            "",
            "orders",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/a\\b",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " /orders",
            "/orders ",
            "/or ders",
            "/\u{7f}",
            "/\u{e4}",
            "/\0",
            "https://evil.example/",
            "https:evil.example",
            "javascript:alert(1)",
            "?x",
            "/orders#x",
            &long,
        ] {
            assert_eq!(ReturnPath::parse(path), None, "{path:?}");
        }
    }
}
