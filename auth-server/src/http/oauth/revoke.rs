//! The revocation endpoint ([RFC 7009 §2](https://www.rfc-editor.org/rfc/rfc7009#section-2)).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::http::cors;
use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::{OAuthError, Unreadable};
use crate::http::oauth::no_store::NoStore;
use crate::services::revocations::RevocationService;

pub(super) async fn revoke(
    State(revocations): State<RevocationService>,
    ClientRequest { caller, parameters }: ClientRequest,
) -> Result<Response, OAuthError> {
    let token = parameters.get("token").map_err(|error| OAuthError::unreadable(error.into()))?;
    let token = token.ok_or_else(|| OAuthError::unreadable(Unreadable::Token))?;
    revocations.revoke(&caller, token).await?;
    Ok(cors::open(NoStore(StatusCode::OK).into_response()))
}
