//! For how long whoever sent a document says that it holds (RFC 9111 §4.2), to a cache that nobody shares.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};

/// How much longer the document of an answer holds by its own word; not at all where it says nothing, or nothing that can be read.
///
/// What a cache on the way kept it for is taken off. `Expires` is not read: who means it says `max-age` as well.
pub(crate) fn fresh_for(headers: &HeaderMap) -> Duration {
    let texts: Option<Vec<&str>> =
        headers.get_all(CACHE_CONTROL).iter().map(|value| value.to_str().ok()).collect();
    let directives = texts.iter().flatten().flat_map(|text| text.split(','));
    let mut max_age = None;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Duration::ZERO,
            // §4.2.1: of two, either could be meant.
            "max-age" if max_age.is_some() => return Duration::ZERO,
            "max-age" => max_age = Some(seconds(value)),
            _ => {}
        }
    }
    let whole = max_age.flatten().unwrap_or_default();
    Duration::from_secs(whole).saturating_sub(age(headers))
}

/// §1.2.2: digits and nothing else; one that is too large to count is very large. §5.2: they may be quoted.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// For how long caches on the way have had it. An age that cannot be read is a great one.
fn age(headers: &HeaderMap) -> Duration {
    let one = |value: &HeaderValue| value.to_str().ok().and_then(seconds).unwrap_or(u64::MAX);
    Duration::from_secs(headers.get_all(AGE).iter().map(one).max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(fields: &[(&'static str, &str)]) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        fresh_for(&headers).as_secs()
    }

    #[test]
    fn what_a_document_says_of_its_freshness_is_read_and_what_is_in_doubt_is_none() {
        for (value, expected) in [
            ("max-age=300", 300),
            ("public, max-age=300", 300),
            ("Max-Age=\"300\" , must-revalidate", 300),
            ("s-maxage=900, max-age=300", 300),
            ("max-age=99999999999999999999999", u64::MAX),
            ("s-maxage=900", 0),
            ("public", 0),
            ("", 0),
            ("max-age", 0),
            ("max-age=", 0),
            ("max-age=-1", 0),
            ("max-age=+1", 0),
            ("max-age=1.5", 0),
            ("max-age=\"300", 0),
            ("x-max-age=300", 0),
            ("max-age=300, max-age=600", 0),
            ("max-age=300, no-cache", 0),
            ("NO-STORE, max-age=300", 0),
            ("no-cache=\"set-cookie\", max-age=300", 0),
        ] {
            assert_eq!(secs(&[("cache-control", value)]), expected, "{value}");
        }
        assert_eq!(secs(&[]), 0);
        assert_eq!(secs(&[("cache-control", "public"), ("cache-control", "max-age=60")]), 60);
        assert_eq!(secs(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]), 0);
    }

    #[test]
    fn the_time_in_a_cache_on_the_way_counts() {
        for (age, expected) in [("0", 300), ("100", 200), ("300", 0), ("301", 0), ("x", 0), ("-1", 0)] {
            assert_eq!(secs(&[("cache-control", "max-age=300"), ("age", age)]), expected, "{age}");
        }
        assert_eq!(secs(&[("cache-control", "max-age=300"), ("age", "1"), ("age", "250")]), 50);
    }
}
