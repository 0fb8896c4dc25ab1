//! Public documents that are made once and asked for all day.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use crate::domain::secret::Digest32;
use crate::http::cors;

/// What the server says about itself, as it is sent: made once, when the server starts.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) body: Bytes,
    /// The `ETag`, quotes included.
    etag: String,
}

impl Description {
    /// Writes a document of texts, lists of texts and truth values.
    pub(crate) fn of(document: &impl Serialize) -> Self {
        let json = serde_json::to_vec(document);
        let body = Bytes::from(json.expect("texts, lists of texts and truth values are JSON"));
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Digest32::of(&body).as_bytes()));
        Self { body, etag }
    }

    /// Answers with the document, or says that the caller has it already.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        let document = Published {
            body: &self.body,
            etag: &self.etag,
            content_type: "application/json",
            cache_control: "public, max-age=3600",
        };
        document.answer(request)
    }
}

/// A public document.
pub(crate) struct Published<'a> {
    pub(crate) body: &'a Bytes,
    pub(crate) etag: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: &'static str,
}

impl Published<'_> {
    /// Answers with the document, or says that the caller has it already ([RFC 9110 §13.1.2]).
    ///
    /// [RFC 9110 §13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
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
