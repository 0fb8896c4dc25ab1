//! Headers that may be there once.

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderValue};

/// A header is there several times: of two values, either could be meant, and two readers may choose differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Several;

/// The value of a header that may be there once.
pub(crate) fn at_most_one(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Option<&HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() { Err(Several) } else { Ok(value) }
}

/// The value of a header that has to be there exactly once to count.
pub(crate) fn exactly_one(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    at_most_one(headers, name).ok().flatten()
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;

    #[test]
    fn of_two_values_none_counts() {
        let value = HeaderValue::from_static;
        let mut headers = HeaderMap::new();
        assert_eq!((at_most_one(&headers, HOST), exactly_one(&headers, HOST)), (Ok(None), None));
        headers.append(HOST, value("a"));
        assert_eq!(at_most_one(&headers, "host"), Ok(Some(&value("a"))));
        assert_eq!(exactly_one(&headers, HOST), Some(&value("a")));
        // Also not where both are the same.
        headers.append(HOST, value("a"));
        assert_eq!((at_most_one(&headers, HOST), exactly_one(&headers, HOST)), (Err(Several), None));
    }
}
