//! The job queue: work that a transaction leaves behind, done once by whichever replica takes it.

use crate::domain::clock::Timestamp;
use crate::domain::ids::JobId;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO jobs (id, kind, payload, run_at, attempts) VALUES ($1, $2, $3, $4, 0)
        ON CONFLICT (id) DO NOTHING";
const IS_DUE: &str = "
    SELECT 1 FROM jobs
     WHERE finished_at IS NULL AND run_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) LIMIT 1";
const FIND: &str = "
    SELECT id, kind, payload, attempts, run_at, finished_at, last_error FROM jobs WHERE id = $1";
const FINISH: &str = "
    UPDATE jobs SET finished_at = $3, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2 AND finished_at IS NULL";
const GIVE_UP: &str = "
    UPDATE jobs SET finished_at = $3, last_error = $4, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2 AND finished_at IS NULL";
const RETRY: &str = "
    UPDATE jobs SET run_at = $3, last_error = $4, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2 AND finished_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, IS_DUE, FIND, FINISH, GIVE_UP, RETRY];

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

/// A job as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredJob {
    /// Names the job.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// What with.
    pub payload: String,
    /// How often it was taken.
    pub attempts: u32,
    /// When it is due.
    pub run_at: Timestamp,
    /// When it was done, or given up.
    pub finished_at: Option<Timestamp>,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// Adds a job to be done at `run_at` or later; `false` when there is one of this identifier.
pub async fn insert(
    tx: &mut Tx,
    id: &JobId,
    kind: &str,
    payload: &str,
    run_at: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(INSERT, &[id.into(), kind.into(), payload.into(), run_at.into()]).await? > 0)
}

/// Whether there is something to [`take`].
pub async fn is_due(tx: &mut Tx, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_DUE, &[now.into()]).await?.is_some())
}

/// The job with this identifier, in whatever state.
pub async fn find(tx: &mut Tx, id: &JobId) -> Result<Option<StoredJob>, StoreError> {
    let Some(row) = tx.fetch_optional(FIND, &[id.into()]).await? else { return Ok(None) };
    Ok(Some(StoredJob {
        id: row.get(0)?,
        kind: row.get(1)?,
        payload: row.get(2)?,
        attempts: row.get(3)?,
        run_at: row.get(4)?,
        finished_at: row.get(5)?,
        last_error: row.get(6)?,
    }))
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

/// Notes that a job failed for good; `false` when the lease was lost to another replica.
pub async fn give_up(
    tx: &mut Tx,
    id: &JobId,
    lease_token: &str,
    now: Timestamp,
    error: &str,
) -> Result<bool, StoreError> {
    Ok(tx.execute(GIVE_UP, &[id.into(), lease_token.into(), now.into(), error.into()]).await? > 0)
}
