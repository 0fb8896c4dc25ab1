//! Both discovery documents: the same bytes at both addresses.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::http::advertised::Advertised;

pub(super) async fn show(State(advertised): State<Advertised>, headers: HeaderMap) -> Response {
    advertised.description().await.answer(&headers)
}
