//! The headers that every answer carries, whatever went wrong before it.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::domain::issuer::Issuer;
use crate::http::extract::request_id::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Two years, as the preload lists of browsers ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Sets the headers that protect an answer.
#[derive(Clone, Debug)]
pub(crate) struct SecurityHeaders {
    hsts: Hsts,
}

/// Whether browsers are told to insist on TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hsts {
    Off,
    On,
}

impl SecurityHeaders {
    pub(crate) fn of(issuer: &Issuer) -> Self {
        Self { hsts: if issuer.is_https() { Hsts::On } else { Hsts::Off } }
    }

    /// Adds what is missing. Where a page needs another policy, it has set its own; the rest is not for a handler to choose.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, id: RequestId) {
        // A protocol may want the name that the caller gave; ours is in the log.
        headers.entry(REQUEST_ID).or_insert_with(|| id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        if self.hsts == Hsts::On {
            headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
        }
        for (name, value) in [
            (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
        ] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;

    fn applied(issuer: &str, mut headers: HeaderMap) -> HeaderMap {
        let id = RequestId::generate(&Entropy::seeded(1));
        SecurityHeaders::of(&Issuer::parse(issuer).unwrap()).apply(&mut headers, id);
        headers
    }

    #[test]
    fn an_answer_that_set_nothing_gets_the_strict_set() {
        let headers = applied("https://id.example.com", HeaderMap::new());
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(headers[STRICT_TRANSPORT_SECURITY].to_str().unwrap().starts_with("max-age=63072000"));
    }

    #[test]
    fn a_page_keeps_its_own_policy_but_not_its_own_framing() {
        let mut own = HeaderMap::new();
        own.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
        own.insert(X_FRAME_OPTIONS, HeaderValue::from_static("ALLOWALL"));
        let headers = applied("https://id.example.com", own);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
    }

    #[test]
    fn plain_http_on_this_machine_makes_no_promise_of_tls() {
        assert!(!applied("http://localhost:8080", HeaderMap::new()).contains_key(STRICT_TRANSPORT_SECURITY));
    }
}
