//! The API that a request asks tokens for ([RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)).

use std::sync::Arc;

use crate::domain::client::Client;
use crate::domain::issuer::Issuer;
use crate::domain::rbac::Api;
use crate::storage::{Store, StoreError};

/// Why a request gets no tokens for what it names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResourceError {
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("resource is unknown, or the client may not ask for it")]
    Refused,
}

/// Finds the API by its audience. The issuer itself stands for no API: its tokens are for the userinfo endpoint.
pub(crate) async fn named(
    store: &Store,
    issuer: &Issuer,
    audience: Option<&str>,
    client: &Client,
) -> Result<Option<Arc<Api>>, ResourceError> {
    let Some(audience) = audience.filter(|audience| !issuer.is_meant_by(audience)) else {
        return Ok(None);
    };
    let api = store.api_by_audience(audience).await?;
    let allowed = api.filter(|api| client.settings.apis.contains(&api.id));
    Ok(Some(allowed.ok_or(ResourceError::Refused)?))
}
