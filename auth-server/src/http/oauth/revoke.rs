//! The revocation endpoint ([RFC 7009 §2](https://www.rfc-editor.org/rfc/rfc7009#section-2)).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::http::cors;
use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::services::revocations::RevocationService;

pub(super) async fn revoke(
    State(revocations): State<RevocationService>,
    request: ClientRequest,
) -> Result<Response, OAuthError> {
    revocations.revoke(&request.caller, request.token()?).await?;
    Ok(cors::open(NoStore(StatusCode::OK).into_response()))
}
