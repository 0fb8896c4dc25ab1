//! A document that was fetched, and what its server says of it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};

/// A document that was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) body: Bytes,
    /// What it is said to be, without parameters, in lower case; empty where nothing is said.
    pub(crate) media_type: String,
    /// How long it may be kept, where that is said.
    pub(crate) lifetime: Option<Duration>,
}

impl Document {
    pub(super) fn of(headers: &HeaderMap, body: Bytes) -> Self {
        let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = said.split(';').next().unwrap_or_default();
        Self { body, media_type: essence.trim().to_ascii_lowercase(), lifetime: lifetime(headers) }
    }

    /// Whether it is said to be JSON (RFC 8259, or a type built on it: RFC 6839 §3.1).
    pub(crate) fn is_json(&self) -> bool {
        let of_json = |subtype: &str| subtype == "json" || subtype.ends_with("+json");
        self.media_type.strip_prefix("application/").is_some_and(of_json)
    }
}

/// `max-age`, less the time that it spent on the way (RFC 9111 §4.2.1 and §5.1). What is not to be kept lives no time at all.
fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let said: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if said.iter().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Some(Duration::ZERO);
    }
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()).and_then(|age| age.trim().parse().ok());
    let longest = said.iter().find_map(|directive| {
        directive.strip_prefix("max-age=").and_then(|seconds| seconds.trim_matches('"').parse::<u64>().ok())
    })?;
    Some(Duration::from_secs(longest.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn told(lines: &[(&'static str, &'static str)]) -> Document {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Document::of(&headers, Bytes::new())
    }

    #[test]
    fn only_json_is_taken_for_json() {
        for yes in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(told(&[("content-type", yes)]).is_json(), "{yes}");
        }
        for no in ["text/html", "text/json", "application/jsonp", "application/xml", ""] {
            assert!(!told(&[("content-type", no)]).is_json(), "{no}");
        }
        assert!(!told(&[]).is_json());
    }

    #[test]
    fn what_is_said_of_keeping_counts() {
        let lifetime =
            |lines: &[(&'static str, &'static str)]| told(lines).lifetime.map(|kept| kept.as_secs());
        assert_eq!(lifetime(&[]), None);
        assert_eq!(lifetime(&[("cache-control", "public")]), None);
        assert_eq!(lifetime(&[("cache-control", "public, Max-Age=600")]), Some(600));
        assert_eq!(lifetime(&[("cache-control", "max-age=600"), ("age", "250")]), Some(350));
        assert_eq!(lifetime(&[("cache-control", "max-age=600"), ("age", "900")]), Some(0));
        assert_eq!(lifetime(&[("cache-control", "max-age=600"), ("cache-control", "no-store")]), Some(0));
        assert_eq!(lifetime(&[("cache-control", "max-age=soon")]), None);
    }
}
