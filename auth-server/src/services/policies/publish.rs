//! Putting a policy in force: a new revision and the pointer to it, in one transaction.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::ids::ScheduleId;
use crate::domain::policy::{PolicyRevision, PolicyText};
use crate::domain::rbac::Api;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::policies::find::find_active;
use crate::services::policies::shadow::without_cases;
use crate::storage::{Tx, apis, policies, shadows};

/// A policy that compiles and is to be put in force.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// Why: it is shown in the history.
    pub(crate) message: String,
    /// The version of the draft that it was; it has to be that still.
    pub(crate) draft_version: Option<u64>,
    /// The older revision that it repeats.
    pub(crate) restores: Option<u64>,
    /// The revision that it is to replace, if it has to be that one.
    pub(crate) over: Option<u64>,
    /// What it says.
    pub(crate) text: PolicyText,
    /// Who asked for it earlier, if it was put off until now.
    pub(crate) put_off: Option<PutOff>,
}

/// A request that is carried out later than it was made.
#[derive(Clone, Debug)]
pub(crate) struct PutOff {
    /// The schedule.
    pub(crate) schedule: ScheduleId,
    /// Who asked.
    pub(crate) requested_by: String,
    /// Who approved it, if somebody did.
    pub(crate) approved_by: Option<String>,
}

/// Refuses a text that is in force as it is, to the byte: rules, cases and model. Asked in the transaction that would put it
/// there, of two who activate the same at once the second is told.
pub(crate) async fn require_change(tx: &mut Tx, api: &Api, text: &PolicyText) -> Result<(), AdminError> {
    match find_active(tx, api).await? {
        Some(active) if active.text == *text => Err(AdminError::NothingChanged),
        _ => Ok(()),
    }
}

/// Puts a policy in force and says so in the audit trail.
pub(crate) async fn publish(
    tx: &mut Tx,
    api: &Api,
    publication: Publication,
    caller: &Caller,
) -> Result<PolicyRevision, AdminError> {
    let restores = publication.restores;
    let put_off = publication.put_off.clone();
    let revision = add_revision(tx, api, publication, caller).await?;
    let mut detail = json!({
        "revision": revision.number,
        "replaces": api.active_revision,
        "restores": restores,
        "sha256": revision.sha256.hex(),
        "message": revision.message,
    });
    if let Some(PutOff { schedule, requested_by, approved_by }) = put_off
        && let Some(detail) = detail.as_object_mut()
    {
        detail.insert("schedule".to_owned(), json!(schedule));
        detail.insert("requested_by".to_owned(), json!(requested_by));
        detail.insert("approved_by".to_owned(), json!(approved_by));
    }
    tx.audit(caller.event(AuditAction::PolicyActivated).on(&api.id).with(detail));
    follow_shadow(tx, api, &revision.text).await?;
    tx.invalidate();
    Ok(revision)
}

/// What was tried and is in force now is tried no longer. Anything else is compared with something else from now on.
async fn follow_shadow(tx: &mut Tx, api: &Api, text: &PolicyText) -> Result<(), AdminError> {
    let Some(tried) = &api.shadow else { return Ok(()) };
    if *tried == without_cases(text.clone()).sha256() {
        shadows::stop(tx, &api.id).await?;
    } else {
        shadows::reset(tx, &api.id).await?;
    }
    Ok(())
}

/// Adds the next revision and points the API at it, as a part of something that is recorded as a whole.
pub(crate) async fn add_revision(
    tx: &mut Tx,
    api: &Api,
    publication: Publication,
    caller: &Caller,
) -> Result<PolicyRevision, AdminError> {
    let newest = policies::newest_revision(tx, &api.id).await?.unwrap_or_default();
    let revision = PolicyRevision {
        api: api.id.clone(),
        number: newest.saturating_add(1),
        sha256: publication.text.sha256(),
        text: publication.text,
        author: publication.put_off.map_or_else(|| caller.actor.to_string(), |put_off| put_off.requested_by),
        message: publication.message,
        created_at: caller.now,
    };
    policies::insert_revision(tx, &revision).await?;
    apis::set_active_revision(tx, &api.id, revision.number).await?;
    Ok(revision)
}
