//! What people are told when a sign-in comes to nothing: a small page, or a problem document for scripts.

use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
};
use http::{Response, StatusCode, header};
use serde_json::json;

use super::navigation::is_navigation;

use crate::body::Body;

/// A page may do nothing and is shown in no frame.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Why a sign-in or a sign-out came to nothing. Nothing of what was sent is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The issuer does not answer, or the store.
    Away,
    /// The link or the answer is malformed.
    BadRequest,
    /// The person or the issuer said no.
    Denied,
    /// What the issuer said is not to be believed, or of no use.
    Distrusted,
    /// The issuer signed somebody in otherwise than was asked.
    NotStrong,
    /// No sign-in that this browser began.
    Stale,
}

impl Failure {
    /// The status and the code: the only place where they are chosen.
    const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Away => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Denied => (StatusCode::FORBIDDEN, "access_denied"),
            Self::Distrusted => (StatusCode::BAD_GATEWAY, "sign_in_failed"),
            Self::NotStrong => (StatusCode::FORBIDDEN, "insufficient_user_authentication"),
            Self::Stale => (StatusCode::BAD_REQUEST, "sign_in_expired"),
        }
    }

    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Away => ("Please try again soon", "You cannot be signed in or out at the moment."),
            Self::BadRequest => (
                "This link does not work",
                "It is incomplete, or has something in it that does not belong there.",
            ),
            Self::Denied => ("You were not signed in", "The sign-in was cancelled or not allowed."),
            Self::Distrusted => (
                "The sign-in did not work",
                "Its answer cannot be used here. The log of this service says why.",
            ),
            Self::NotStrong => (
                "This page needs another sign-in",
                "You were signed in, but not in the way or as recently as the page needs it.",
            ),
            Self::Stale => (
                "This sign-in is over",
                "It has expired, was finished before or was begun in another browser.",
            ),
        }
    }

    /// The answer to whoever sent these headers. `again`: a path of this service where they may start over.
    pub(super) fn answered(self, headers: &HeaderMap, again: &str) -> Response<Body> {
        let (status, code) = self.answer();
        let (title, detail) = self.text();
        let (media, body) = if is_navigation(headers) {
            ("text/html; charset=utf-8", page(title, detail, again))
        } else {
            let problem = json!({
                "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(),
                "detail": format!("{title}: {detail}"), "code": code,
            });
            ("application/problem+json", problem.to_string())
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().extend(HEADERS);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
        if self == Self::Away {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn page(title: &str, detail: &str, again: &str) -> String {
    let again = escaped(again);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <h1>{title}</h1><p>{detail}</p><p><a href=\"{again}\">Try again</a></p></html>"
    )
}

/// For an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_back_is_escaped() {
        let page = page("T", "D", "/auth/login?return_to=\"><script>alert(1)</script>&x");
        assert!(!page.contains("<script>") && page.contains("&quot;&gt;&lt;script&gt;"), "{page}");
    }

    #[test]
    fn people_get_a_page_and_scripts_a_document() {
        let accept = |media| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(media))]);
        for (media, content) in
            [("text/html", "text/html; charset=utf-8"), ("application/json", "application/problem+json")]
        {
            let response = Failure::Away.answered(&accept(media), "/");
            assert_eq!(response.headers()[CONTENT_TYPE], content);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert!(response.headers().contains_key(RETRY_AFTER));
        }
    }
}
