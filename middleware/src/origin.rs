//! The origin of a page, as its browser writes it.

use http::HeaderValue;
use url::Url;

use crate::fetch::is_secure;

/// A text that no browser would send as the origin of a page that is to be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "`{0}` is not an origin as browsers write it: https and a host in lower case, with a port only if it is not 443 (http only for this machine)"
)]
pub struct NotAnOrigin(String);

/// Reads an origin. They are compared byte for byte, so one that is written in another way would never match; `null` is what many
/// pages are called, so it names nobody.
pub(crate) fn origin(text: &str) -> Result<HeaderValue, NotAnOrigin> {
    let fault = || NotAnOrigin(text.to_owned());
    let url = Url::parse(text).map_err(|_| fault())?;
    // The parser takes a wildcard for a name.
    if text.contains('*') || !is_secure(&url) || url.origin().ascii_serialization() != text {
        return Err(fault());
    }
    HeaderValue::try_from(text).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_write() {
        for good in
            ["https://a.example", "https://a.example:8443", "http://localhost:3000", "https://[::1]:1"]
        {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "null",
            "*",
            "",
            "a.example",
            "http://a.example",
            "https://a.example/",
            "https://a.example:443",
            "https://A.example",
            "https://a.example/app",
            "https://*.a.example",
            "https://u@a.example",
            "https://a.example?",
            "https://a.example#",
            " https://a.example",
            "https://\u{e4}.example",
            "data:,x",
            "file:///a",
            "https://a.example,https://b.example",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
