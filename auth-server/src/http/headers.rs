//! The headers that every answer carries, whatever went wrong before it.

use http::Request;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::domain::issuer::Issuer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Two years, as the preload lists of browsers ask for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Below this, `AuthZEN` is spoken.
const AUTHZEN: &str = "/access/";

/// What the caller calls a request, where its protocol has the answer repeat that, a refusal no less than a decision (section 10.1.2
/// of the [AuthZEN Authorization API](https://openid.net/specs/authorization-api-1_0.html)).
pub(crate) fn name_given<B>(request: &Request<B>) -> Option<HeaderValue> {
    let speaks_authzen = request.uri().path().starts_with(AUTHZEN);
    request.headers().get(REQUEST_ID).filter(|_| speaks_authzen).cloned()
}

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
    pub(crate) fn apply(&self, headers: &mut HeaderMap, request_id: HeaderValue) {
        headers.insert(REQUEST_ID, request_id);
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

    fn applied(issuer: &str, mut headers: HeaderMap) -> HeaderMap {
        let id = HeaderValue::from_static("0123456789abc");
        SecurityHeaders::of(&Issuer::parse(issuer).unwrap()).apply(&mut headers, id);
        headers
    }

    #[test]
    fn a_name_of_the_caller_counts_where_authzen_is_spoken() {
        let given = |path: &str| {
            let request = Request::post(path).header(REQUEST_ID, "theirs").body(()).unwrap();
            name_given(&request)
        };
        assert_eq!(given("/access/v1/evaluation").unwrap(), "theirs");
        assert_eq!(given("/access/nothing").unwrap(), "theirs");
        for other in ["/token", "/access", "/api/v1/users"] {
            assert_eq!(given(other), None, "{other}");
        }
        assert_eq!(name_given(&Request::post("/access/v1/evaluation").body(()).unwrap()), None);
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
