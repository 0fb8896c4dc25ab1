//! The pushed authorization request endpoint ([RFC 9126 §2](https://www.rfc-editor.org/rfc/rfc9126#section-2)).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::http::cors;
use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::http::oauth::proving::ProvingRequest;
use crate::services::authorize::AuthorizeService;

/// A successful answer (RFC 9126 §2.2).
#[derive(Serialize)]
struct Body {
    request_uri: String,
    expires_in: u64,
}

pub(super) async fn push(
    State(authorize): State<AuthorizeService>,
    ProvingRequest(ClientRequest { caller, parameters }): ProvingRequest,
) -> Result<Response, OAuthError> {
    let pushed = authorize.push(&caller, &parameters).await?;
    let body = Body { request_uri: pushed.request_uri, expires_in: pushed.expires_in.as_secs() };
    Ok(cors::open(NoStore((StatusCode::CREATED, Json(body))).into_response()))
}
