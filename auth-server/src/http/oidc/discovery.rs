//! Both discovery documents: the same bytes at both addresses.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::http::metadata::Discovery;
use crate::http::oidc::published::Published;

pub(super) async fn show(State(discovery): State<Discovery>, headers: HeaderMap) -> Response {
    let document = Published {
        body: &discovery.body,
        etag: &discovery.etag,
        content_type: "application/json",
        cache_control: "public, max-age=3600",
    };
    document.answer(&headers)
}
