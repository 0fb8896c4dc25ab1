//! Activations at a later time.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ScheduleId};
use crate::domain::schedule::{PolicySchedule, ScheduleEnd, ScheduleRequest};
use crate::storage::policies::read_text;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO policy_schedules (id, api_id, model, rules, cases, sha256, message, base_revision, activate_at,
                                  written_by, requested_by, requested_at, approved_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const FIND: &str = "
    SELECT id, api_id, model, rules, cases, sha256, message, base_revision, activate_at,
           written_by, requested_by, requested_at, approved_by, ended_at, ending, revision
      FROM policy_schedules WHERE id = $1";
const FIND_WAITING: &str = "SELECT id FROM policy_schedules WHERE api_id = $1 AND ended_at IS NULL";
const LIST: &str = "
    SELECT id, api_id, '', '', '', sha256, message, base_revision, activate_at,
           written_by, requested_by, requested_at, approved_by, ended_at, ending, revision
      FROM policy_schedules WHERE api_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
const FINISH: &str = "
    UPDATE policy_schedules
       SET ended_at = $2, ending = $3, revision = $4, model = '', rules = '', cases = ''
     WHERE id = $1 AND ending IS NULL";
const APPROVE: &str = "
    UPDATE policy_schedules SET approved_by = $2 WHERE id = $1 AND ending IS NULL AND approved_by IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, FIND_WAITING, LIST, FINISH, APPROVE];

/// Behind every identifier, in whatever order the database has texts: identifiers go on with hexadecimal digits.
const LAST: &str = "sch_z";

/// Adds a schedule. One at a time waits for an API.
pub async fn insert(tx: &mut Tx, schedule: &PolicySchedule) -> Result<(), StoreError> {
    let values = [
        (&schedule.id).into(),
        (&schedule.api).into(),
        schedule.text.model.as_str().into(),
        schedule.text.rules.as_str().into(),
        schedule.text.cases.as_str().into(),
        (&schedule.sha256).into(),
        schedule.message.as_str().into(),
        schedule.base_revision.into(),
        schedule.activate_at.into(),
        schedule.request.written_by.as_str().into(),
        schedule.request.requested_by.as_str().into(),
        schedule.request.requested_at.into(),
        schedule.approved_by.as_deref().into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The schedule with this identifier.
pub async fn find(tx: &mut Tx, id: &ScheduleId) -> Result<Option<PolicySchedule>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The schedule that waits for an API.
pub async fn find_waiting(tx: &mut Tx, api: &ApiId) -> Result<Option<ScheduleId>, StoreError> {
    tx.fetch_optional(FIND_WAITING, &[api.into()]).await?.map(|row| row.get(0)).transpose()
}

/// The schedules of an API behind `after`, newest first, without their texts.
pub async fn list(
    tx: &mut Tx,
    api: &ApiId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<PolicySchedule>, StoreError> {
    let values = [api.into(), after.unwrap_or(LAST).into(), limit.into()];
    tx.fetch_all(LIST, &values).await?.iter().map(read).collect()
}

/// Ends a schedule and forgets its text; `false` when it has ended before.
pub async fn finish(tx: &mut Tx, id: &ScheduleId, end: ScheduleEnd) -> Result<bool, StoreError> {
    let values = [id.into(), end.at.into(), end.how.as_str().into(), end.revision.into()];
    Ok(tx.execute(FINISH, &values).await? > 0)
}

/// Notes who approved a schedule; `false` when it has ended, or somebody did before.
pub async fn approve(tx: &mut Tx, id: &ScheduleId, by: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(APPROVE, &[id.into(), by.into()]).await? > 0)
}

fn read(row: &Row) -> Result<PolicySchedule, StoreError> {
    Ok(PolicySchedule {
        id: row.get(0)?,
        api: row.get(1)?,
        text: read_text(row, 2)?,
        sha256: row.get(5)?,
        message: row.get(6)?,
        base_revision: row.get(7)?,
        activate_at: row.get(8)?,
        request: ScheduleRequest {
            written_by: row.get(9)?,
            requested_by: row.get(10)?,
            requested_at: row.get(11)?,
        },
        approved_by: row.get(12)?,
        end: read_end(row)?,
    })
}

fn read_end(row: &Row) -> Result<Option<ScheduleEnd>, StoreError> {
    let Some(at) = row.get::<Option<Timestamp>>(13)? else { return Ok(None) };
    Ok(Some(ScheduleEnd { at, how: row.parse(14)?, revision: row.get(15)? }))
}
