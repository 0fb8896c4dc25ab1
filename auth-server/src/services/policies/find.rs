//! Where an API, its texts and its schedules are.

use crate::domain::ids::{ApiId, ScheduleId};
use crate::domain::policy::{PolicyDraft, PolicyRevision};
use crate::domain::rbac::Api;
use crate::domain::schedule::PolicySchedule;
use crate::services::admin_error::{AdminError, Thing};
use crate::storage::{Tx, apis, policies, schedules};

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

/// The schedule with this identifier, if it is one of this API.
pub(super) async fn find_schedule(
    tx: &mut Tx,
    api: &ApiId,
    id: &ScheduleId,
) -> Result<PolicySchedule, AdminError> {
    let found = schedules::find(tx, id).await?.filter(|schedule| schedule.api == *api);
    found.ok_or(AdminError::NotFound(Thing::Schedule))
}
