//! The device authorization endpoint ([RFC 8628 §3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::services::device::DeviceService;

/// A successful answer (RFC 8628 §3.2).
#[derive(Serialize)]
struct Body {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

pub(super) async fn begin(
    State(devices): State<DeviceService>,
    ClientRequest { caller, parameters }: ClientRequest,
) -> Result<Response, OAuthError> {
    let codes = devices.begin(&caller, &parameters).await?;
    let user_code = codes.user_code.shown();
    let body = Body {
        device_code: codes.device_code.expose().to_owned(),
        verification_uri_complete: format!("{}?user_code={user_code}", codes.verification_uri),
        verification_uri: codes.verification_uri,
        user_code,
        expires_in: codes.expires_in.as_secs(),
        interval: codes.interval.as_secs(),
    };
    Ok(NoStore(Json(body)).into_response())
}
