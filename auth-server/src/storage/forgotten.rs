//! Whose records of decisions are to be forgotten.
//!
//! A name in this table hides what is recorded under it, and keeps more of it out, from the commit on. There may be so much that
//! nobody could wait for it: the cleaning takes it away a few rows at a time, and whoever dies over it leaves the rest to the next.

use crate::domain::clock::Timestamp;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO forgotten_subjects (subject, forgotten_at) VALUES ($1, $2) ON CONFLICT (subject) DO NOTHING";
const DUE: &str = "
    SELECT subject FROM forgotten_subjects WHERE forgotten_at < $1 AND pending = 1 ORDER BY forgotten_at LIMIT 1";
const HAS_RECORDS: &str = "
    SELECT 1 FROM decision_records WHERE subject = $1
     UNION ALL
    SELECT 1 FROM shadow_records WHERE subject = $1
     LIMIT 1";
const DONE: &str = "UPDATE forgotten_subjects SET pending = 0 WHERE subject = $1";
const DECISIONS: &str = "
    DELETE FROM decision_records WHERE (api_id, day, digest) IN
        (SELECT api_id, day, digest FROM decision_records WHERE subject = $1 LIMIT $2)";
const DIFFERENCES: &str = "
    DELETE FROM shadow_records WHERE (api_id, digest) IN
        (SELECT api_id, digest FROM shadow_records WHERE subject = $1 LIMIT $2)";
const RELEASE: &str = "
    DELETE FROM forgotten_subjects WHERE subject IN
        (SELECT f.subject FROM forgotten_subjects f
          WHERE f.forgotten_at < $1
            AND NOT EXISTS (SELECT 1 FROM decision_records r WHERE r.subject = f.subject)
            AND NOT EXISTS (SELECT 1 FROM shadow_records s WHERE s.subject = f.subject)
          ORDER BY f.forgotten_at LIMIT $2)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, DUE, HAS_RECORDS, DONE, DECISIONS, DIFFERENCES, RELEASE];

/// Hides what is recorded of `subject`, and takes no more of it.
pub async fn insert(tx: &mut Tx, subject: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(INSERT, &[subject.into(), now.into()]).await.map(drop)
}

/// Takes away at most `limit` records of either kind, of one whose name was put here before `before`; `false` when nobody is left
/// who has any.
pub async fn delete_records(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let Some(due) = tx.fetch_optional(DUE, &[before.into()]).await? else { return Ok(false) };
    let subject: String = due.get(0)?;
    for statement in [DECISIONS, DIFFERENCES] {
        tx.execute(statement, &[subject.as_str().into(), limit.into()]).await?;
    }
    // Not by how many went: whoever waited for another replica to take the same rows away has taken none, and there may be more.
    if tx.fetch_optional(HAS_RECORDS, &[subject.as_str().into()]).await?.is_none() {
        tx.execute(DONE, &[subject.as_str().into()]).await?;
    }
    Ok(true)
}

/// Takes away at most `limit` names that were put here before `before` and have no records any more; gives how many. By then no
/// guard may tell of them: it would make records that are too old to be kept.
pub async fn release(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    tx.execute(RELEASE, &[before.into(), limit.into()]).await
}
