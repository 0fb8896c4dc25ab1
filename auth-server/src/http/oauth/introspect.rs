//! The introspection endpoint ([RFC 7662 §2](https://www.rfc-editor.org/rfc/rfc7662#section-2)).

use axum::Json;
use axum::extract::State;

use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::{OAuthError, Unreadable};
use crate::http::oauth::no_store::NoStore;
use crate::services::introspect::{Introspection, IntrospectionService};

pub(super) async fn introspect(
    State(introspection): State<IntrospectionService>,
    ClientRequest { caller, parameters }: ClientRequest,
) -> Result<NoStore<Json<Introspection>>, OAuthError> {
    let token = parameters.get("token").map_err(|error| OAuthError::unreadable(error.into()))?;
    let token = token.ok_or_else(|| OAuthError::unreadable(Unreadable::Token))?;
    let found = introspection.introspect(&caller.client, token, caller.now).await?;
    Ok(NoStore(Json(found)))
}
