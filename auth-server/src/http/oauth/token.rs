//! The token endpoint ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::http::cors;
use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::http::oauth::proving::ProvingRequest;
use crate::services::token::TokenService;

pub(super) async fn exchange(
    State(tokens): State<TokenService>,
    ProvingRequest(ClientRequest { caller, parameters }): ProvingRequest,
) -> Result<Response, OAuthError> {
    let issued = tokens.exchange(&caller, &parameters).await?;
    Ok(cors::open(NoStore(Json(issued)).into_response()))
}
