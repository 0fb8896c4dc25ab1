//! What clients that came by themselves look like, as the consent page shows it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::http::error::Cause;
use crate::services::registration::logo::LogoService;

/// `GET /logos/{name}`. What is shown was written here; it is nothing else, and does nothing, whatever it is opened as.
pub(super) async fn show(State(logos): State<LogoService>, Path(name): Path<String>) -> Response {
    let image = match logos.image(&name).await {
        Ok(Some(image)) => image,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            response.extensions_mut().insert(Cause::of(&error));
            return response;
        }
    };
    let mut response = image.into_response();
    for (name, value) in [
        (CONTENT_TYPE, "image/png"),
        // The name is that of the content.
        (CACHE_CONTROL, "private, max-age=86400, immutable"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
