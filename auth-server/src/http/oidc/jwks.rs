//! The public keys of this server ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)).

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::http::published::Published;
use crate::keys::ring::KeyRing;

pub(super) async fn show(State(keys): State<KeyRing>, headers: HeaderMap) -> Response {
    let published = keys.published();
    let document = Published {
        body: &published.body,
        etag: &published.etag,
        content_type: "application/jwk-set+json",
        // Short: a key that was withdrawn in a hurry must be forgotten soon.
        cache_control: "public, max-age=300",
    };
    document.answer(&headers)
}
