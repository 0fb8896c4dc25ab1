//! The types of details that a client may ask for.

use crate::domain::client::{Client, Preset};
use crate::domain::details::kind::DetailsTypeName;
use crate::domain::ids::ApiId;
use crate::services::clients::form::DETAILS_TYPES;
use crate::services::fields::FieldErrors;
use crate::storage::{StoreError, Tx, details_types};

/// Each type exists, and is of an API that the client may ask tokens for.
pub(super) async fn check(tx: &mut Tx, client: &Client, errors: &mut FieldErrors) -> Result<(), StoreError> {
    for (position, name) in client.settings.details_types.iter().enumerate() {
        let pointer = format!("{DETAILS_TYPES}/{position}");
        match details_types::find(tx, name).await? {
            None => errors.refuse(pointer, "unknown", "there is no such type"),
            Some(kind) if client.settings.apis.contains(&kind.api) => {}
            Some(_) => {
                errors.refuse(pointer, "contradiction", "the type is of an API that is not among `apis`");
            }
        }
    }
    Ok(())
}

/// Refuses types of a client that has no request to ask for them in.
pub(super) fn check_asks(errors: &mut FieldErrors, client: &Client) {
    if client.settings.preset == Preset::Device && !client.settings.details_types.is_empty() {
        let message = "a device cannot ask in detail: its requests say scopes alone";
        errors.refuse(DETAILS_TYPES, "contradiction", message);
    }
}

/// The types of a client that exist still and are of one of these APIs: who changes itself keeps what an administrator gave it there.
pub(super) async fn kept(
    tx: &mut Tx,
    before: &Client,
    apis: &[ApiId],
) -> Result<Vec<DetailsTypeName>, StoreError> {
    let mut kept = Vec::new();
    for name in &before.settings.details_types {
        if details_types::find(tx, name).await?.is_some_and(|kind| apis.contains(&kind.api)) {
            kept.push(name.clone());
        }
    }
    Ok(kept)
}
