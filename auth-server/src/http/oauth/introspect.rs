//! The introspection endpoint ([RFC 7662 §2](https://www.rfc-editor.org/rfc/rfc7662#section-2)).

use axum::Json;
use axum::extract::State;

use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::services::introspect::{Introspection, IntrospectionService};

pub(super) async fn introspect(
    State(introspection): State<IntrospectionService>,
    request: ClientRequest,
) -> Result<NoStore<Json<Introspection>>, OAuthError> {
    let found =
        introspection.introspect(&request.caller.client, request.token()?, request.caller.now).await?;
    Ok(NoStore(Json(found)))
}
