//! Where the texts of an API are.

use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyDraft, PolicyRevision};
use crate::domain::rbac::Api;
use crate::services::admin_error::{AdminError, Thing};
use crate::storage::{Tx, apis, policies};

/// The API with this identifier.
pub(super) async fn find_api(tx: &mut Tx, id: &ApiId) -> Result<Api, AdminError> {
    apis::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::Api))
}

/// The revision in force.
pub(super) async fn find_active(tx: &mut Tx, api: &Api) -> Result<Option<PolicyRevision>, AdminError> {
    match api.active_revision {
        Some(number) => Ok(policies::find_revision(tx, &api.id, number).await?),
        None => Ok(None),
    }
}

/// The saved draft, or the one that everybody starts from.
pub(super) async fn find_draft(tx: &mut Tx, api: &Api) -> Result<PolicyDraft, AdminError> {
    if let Some(draft) = policies::find_draft(tx, &api.id).await? {
        return Ok(draft);
    }
    let active = find_active(tx, api).await?.ok_or(AdminError::NotFound(Thing::Draft))?;
    Ok(PolicyDraft {
        api: active.api,
        text: active.text,
        version: 0,
        updated_by: active.author,
        updated_at: active.created_at,
    })
}
