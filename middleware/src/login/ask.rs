//! What a sign-in is asked for beyond the usual (RFC 9470 §4, OpenID Connect Core §3.1.2.1).

use serde::{Deserialize, Serialize};

const MAX_CLASSES: usize = 256;

/// How somebody has to have signed in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Ask {
    /// One of these classes, with spaces between.
    pub(super) acr_values: Option<String>,
    /// Within so many seconds.
    pub(super) max_age: Option<u64>,
}

impl Ask {
    /// Reads parameters of a query. They make a sign-in stricter and never weaker, so anybody may write them.
    pub(super) fn read(acr_values: Option<&str>, max_age: Option<&str>) -> Option<Self> {
        let is_plain = |text: &str| {
            let is_class = |byte: u8| matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'\\';
            text.len() <= MAX_CLASSES
                && text.split(' ').all(|class| !class.is_empty() && class.bytes().all(is_class))
        };
        if acr_values.is_some_and(|text| !is_plain(text)) {
            return None;
        }
        let digits = |text: &str| {
            let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        let max_age = match max_age {
            Some(text) => Some(digits(text)?),
            None => None,
        };
        Some(Self { acr_values: acr_values.map(str::to_owned), max_age })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.acr_values.is_none() && self.max_age.is_none()
    }

    /// Whether a class is one of those that were asked for.
    pub(super) fn accepts(&self, class: Option<&str>) -> bool {
        let among = |values: &String| class.is_some_and(|class| values.split(' ').any(|own| own == class));
        self.acr_values.as_ref().is_none_or(among)
    }

    /// The parameters, for an authorization request or for the page that begins it.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let classes = self.acr_values.clone().map(|values| ("acr_values", values));
        classes.into_iter().chain(self.max_age.map(|secs| ("max_age", secs.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        let ask = Ask::read(Some("phrh phr"), Some("300")).unwrap();
        assert!(ask.accepts(Some("phr")) && !ask.accepts(Some("ph")) && !ask.accepts(None));
        assert_eq!(ask.parameters().count(), 2);
        assert!(Ask::read(None, None).unwrap().is_empty() && Ask::default().accepts(None));
        for (classes, age) in [
            (Some(""), None),
            (Some("a  b"), None),
            (Some("a\nb"), None),
            (Some("a\"b"), None),
            (None, Some("")),
            (None, Some("-1")),
            (None, Some("+1")),
            (None, Some("1.5")),
            (None, Some("9999999999")),
        ] {
            assert_eq!(Ask::read(classes, age), None, "{classes:?} {age:?}");
        }
        assert_eq!(Ask::read(Some(&"a".repeat(257)), None), None);
    }
}
