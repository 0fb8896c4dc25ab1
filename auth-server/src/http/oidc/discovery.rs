//! Both discovery documents: the same bytes at both addresses.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::http::metadata::Discovery;

pub(super) async fn show(State(discovery): State<Discovery>, headers: HeaderMap) -> Response {
    discovery.0.answer(&headers)
}
