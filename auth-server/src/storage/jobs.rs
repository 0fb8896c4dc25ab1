//! The job queue: work that a transaction leaves behind, done once by whichever replica takes it.

use crate::domain::clock::Timestamp;
use crate::domain::ids::JobId;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "INSERT INTO jobs (id, kind, payload, run_at, attempts) VALUES ($1, $2, $3, $4, 0)";
const IS_PENDING: &str = "SELECT 1 FROM jobs WHERE kind = $1 AND finished_at IS NULL LIMIT 1";
const FINISH: &str = "
    UPDATE jobs SET finished_at = $3, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2 AND finished_at IS NULL";
const RETRY: &str = "
    UPDATE jobs SET run_at = $3, last_error = $4, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2 AND finished_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, IS_PENDING, FINISH, RETRY];

/// A job that this replica has taken, until its lease runs out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeasedJob {
    /// Names the job.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// What with: JSON that the kind understands.
    pub payload: String,
    /// How often it was taken, this time included.
    pub attempts: u32,
}

/// Adds a job to be done at `run_at` or later.
pub async fn insert(
    tx: &mut Tx,
    id: &JobId,
    kind: &str,
    payload: &str,
    run_at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(INSERT, &[id.into(), kind.into(), payload.into(), run_at.into()]).await.map(drop)
}

/// Whether a job of this kind waits or is being done.
pub async fn is_pending(tx: &mut Tx, kind: &str) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_PENDING, &[kind.into()]).await?.is_some())
}

/// Takes the job that has been due longest, if any: until `leased_until` nobody else gets it.
pub async fn take(
    tx: &mut Tx,
    lease_token: &str,
    leased_until: Timestamp,
    now: Timestamp,
) -> Result<Option<LeasedJob>, StoreError> {
    let values = [leased_until.into(), lease_token.into(), now.into()];
    let Some(row) = tx.fetch_optional(tx.dialect().due_jobs(), &values).await? else { return Ok(None) };
    Ok(Some(LeasedJob { id: row.get(0)?, kind: row.get(1)?, payload: row.get(2)?, attempts: row.get(3)? }))
}

/// Notes that a job is done; `false` when the lease was lost to another replica.
pub async fn finish(tx: &mut Tx, id: &JobId, lease_token: &str, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(FINISH, &[id.into(), lease_token.into(), now.into()]).await? > 0)
}

/// Puts a job back that failed; `false` when the lease was lost to another replica.
pub async fn retry(
    tx: &mut Tx,
    id: &JobId,
    lease_token: &str,
    run_at: Timestamp,
    error: &str,
) -> Result<bool, StoreError> {
    Ok(tx.execute(RETRY, &[id.into(), lease_token.into(), run_at.into(), error.into()]).await? > 0)
}
