//! Public documents that are made once and asked for all day.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::cors;

/// A public document.
pub(super) struct Published<'a> {
    pub(super) body: &'a Bytes,
    pub(super) etag: &'a str,
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
}

impl Published<'_> {
    /// Answers with the document, or says that the caller has it already ([RFC 9110 §13.1.2]).
    ///
    /// [RFC 9110 §13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let known = request.get_all(IF_NONE_MATCH).iter().any(|tags| has_tag(tags, self.etag));
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let content_type = (CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            ([content_type], Body::from(self.body.clone())).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache_control));
        // The tag is base64url in quotes.
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            headers.insert(ETAG, etag);
        }
        cors::open(response)
    }
}

/// The comparison is weak: a proxy that compressed the document may have weakened the tag.
fn has_tag(tags: &HeaderValue, etag: &str) -> bool {
    let tags = tags.to_str().unwrap_or_default();
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tags: &[&'static str]) -> StatusCode {
        let body = Bytes::from_static(b"{}");
        let document = Published {
            body: &body,
            etag: "\"a\"",
            content_type: "application/json",
            cache_control: "max-age=1",
        };
        let headers: HeaderMap =
            tags.iter().map(|tag| (IF_NONE_MATCH, HeaderValue::from_static(tag))).collect();
        document.answer(&headers).status()
    }

    #[test]
    fn a_caller_that_has_the_document_is_told_so() {
        for tags in [&["\"a\""][..], &["W/\"a\""], &["\"b\", \"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert_eq!(status(tags), StatusCode::NOT_MODIFIED, "{tags:?}");
        }
        for tags in [&[][..], &["\"b\""], &["a"], &["\"A\""]] {
            assert_eq!(status(tags), StatusCode::OK, "{tags:?}");
        }
    }
}
