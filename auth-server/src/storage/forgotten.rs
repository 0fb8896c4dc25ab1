//! Whose records of decisions are to be forgotten.
//!
//! A name in this table hides what is recorded under it, and keeps more of it out, from the commit on: what is there is taken
//! away a few rows at a time, and a guard may still tell of what it decided before.

use crate::domain::clock::Timestamp;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO forgotten_subjects (subject, forgotten_at) VALUES ($1, $2) ON CONFLICT (subject) DO NOTHING";
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
pub(super) const STATEMENTS: &[&str] = &[INSERT, DECISIONS, DIFFERENCES, RELEASE];

/// Hides what is recorded of `subject`, and takes no more of it.
pub async fn insert(tx: &mut Tx, subject: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(INSERT, &[subject.into(), now.into()]).await.map(drop)
}

/// Takes away at most `limit` records of either kind; `false` when there are no more.
pub async fn delete_records(tx: &mut Tx, subject: &str, limit: u32) -> Result<bool, StoreError> {
    let values = [subject.into(), limit.into()];
    let gone = tx.execute(DECISIONS, &values).await?.max(tx.execute(DIFFERENCES, &values).await?);
    Ok(gone >= u64::from(limit))
}

/// Takes away at most `limit` names that were put here before `before` and have no records any more; gives how many. By then no
/// guard may tell of them: it would make records that are too old to be kept.
pub async fn release(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    tx.execute(RELEASE, &[before.into(), limit.into()]).await
}
