//! Rules that services try beside those in force, and what they would decide otherwise.

use crate::domain::decision::DecisionRecord;
use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyShadow, PolicyText};
use crate::domain::secret::Digest32;
use crate::storage::decision_records::{Added, read_record, record_values};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const START: &str = "
    INSERT INTO policy_shadows (api_id, model, rules, sha256, started_by, started_at, requests, decisions, lost)
    VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0)";
const FIND: &str = "
    SELECT api_id, model, rules, sha256, started_by, started_at, requests, decisions, lost, untried
      FROM policy_shadows WHERE api_id = $1";
const STOP: &str = "DELETE FROM policy_shadows WHERE api_id = $1";
const MARK: &str = "UPDATE apis SET shadow = $2 WHERE id = $1";
// Counts stop before the database could not hold them, as in the records of decisions.
const HOLD: &str = "
    UPDATE policy_shadows
       SET lost = CASE WHEN policy_shadows.lost > 4000000000000000000 THEN policy_shadows.lost ELSE policy_shadows.lost + $3 END,
           untried = CASE WHEN policy_shadows.untried > 4000000000000000000 THEN policy_shadows.untried ELSE policy_shadows.untried + $4 END
     WHERE api_id = $1 AND sha256 = $2 RETURNING requests";
const ADD: &str = "
    INSERT INTO shadow_records (api_id, digest, subject, pseudonymous, roles, domain, object, action, allowed, revision,
                                decisions)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
     WHERE NOT EXISTS (SELECT 1 FROM forgotten_subjects WHERE subject = $3)
        ON CONFLICT (api_id, digest) DO UPDATE
       SET decisions = CASE WHEN shadow_records.decisions > 4000000000000000000 THEN shadow_records.decisions ELSE shadow_records.decisions + excluded.decisions END,
           revision = excluded.revision
 RETURNING decisions";
const ADD_TO_KNOWN: &str = "
    UPDATE shadow_records
       SET decisions = CASE WHEN shadow_records.decisions > 4000000000000000000 THEN shadow_records.decisions ELSE shadow_records.decisions + $3 END,
           revision = $4
     WHERE api_id = $1 AND digest = $2";
const NOTE: &str = "
    UPDATE policy_shadows
       SET requests = requests + $2,
           decisions = CASE WHEN policy_shadows.decisions > 4000000000000000000 THEN policy_shadows.decisions ELSE policy_shadows.decisions + $3 END,
           lost = CASE WHEN policy_shadows.lost > 4000000000000000000 THEN policy_shadows.lost ELSE policy_shadows.lost + $4 END
     WHERE api_id = $1";
const PAGE: &str = "
    SELECT digest, subject, pseudonymous, roles, domain, object, action, allowed, revision, decisions
      FROM shadow_records
     WHERE api_id = $1 AND digest > $2
       AND NOT EXISTS (SELECT 1 FROM forgotten_subjects f WHERE f.subject = shadow_records.subject)
     ORDER BY digest LIMIT $3";
const CLEAR: &str = "DELETE FROM shadow_records WHERE api_id = $1";
const RESET: &str =
    "UPDATE policy_shadows SET requests = 0, decisions = 0, lost = 0, untried = 0 WHERE api_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[START, FIND, STOP, MARK, HOLD, ADD, ADD_TO_KNOWN, NOTE, PAGE, CLEAR, RESET];

/// What a guard found out by trying rules.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What they would decide otherwise, in the order of the digests.
    pub records: &'a [(Digest32, DecisionRecord)],
    /// How many decisions more those are.
    pub lost: u64,
    /// How many decisions they were not tried on.
    pub untried: u64,
}

/// Has services try these rules, instead of those that they tried before. What these would have decided is forgotten.
pub async fn start(tx: &mut Tx, shadow: &PolicyShadow) -> Result<(), StoreError> {
    stop(tx, &shadow.api).await?;
    let values = [
        (&shadow.api).into(),
        shadow.text.model.as_str().into(),
        shadow.text.rules.as_str().into(),
        (&shadow.sha256).into(),
        shadow.started_by.as_str().into(),
        shadow.started_at.into(),
    ];
    tx.execute(START, &values).await?;
    tx.execute(MARK, &[(&shadow.api).into(), (&shadow.sha256).into()]).await.map(drop)
}

/// The rules that services try.
pub async fn find(tx: &mut Tx, api: &ApiId) -> Result<Option<PolicyShadow>, StoreError> {
    tx.fetch_optional(FIND, &[api.into()]).await?.as_ref().map(read).transpose()
}

/// Has services try nothing any more; gives whether they did.
pub async fn stop(tx: &mut Tx, api: &ApiId) -> Result<bool, StoreError> {
    tx.execute(MARK, &[api.into(), None::<&[u8]>.into()]).await?;
    Ok(tx.execute(STOP, &[api.into()]).await? > 0)
}

/// Forgets what would have been decided otherwise: what is in force has changed.
pub async fn reset(tx: &mut Tx, api: &ApiId) -> Result<(), StoreError> {
    tx.execute(CLEAR, &[api.into()]).await?;
    tx.execute(RESET, &[api.into()]).await.map(drop)
}

/// Adds what `sha256` would decide otherwise, unless something else is tried by now. Beyond `most` of them, only to those that
/// are there.
pub async fn add(
    tx: &mut Tx,
    (api, sha256): (&ApiId, &Digest32),
    Found { records, lost, untried }: Found<'_>,
    most: u64,
) -> Result<(), StoreError> {
    // The row stays locked until the commit: of several who add, each waits for the one before.
    let values = [api.into(), sha256.into(), lost.into(), untried.into()];
    let Some(row) = tx.fetch_optional(HOLD, &values).await? else {
        return Ok(());
    };
    let stored: u64 = row.get(0)?;
    let (mut requests, mut decisions, mut lost) = (0_u64, 0_u64, 0_u64);
    for (digest, record) in records {
        let kept = if stored.saturating_add(requests) >= most {
            let values = [api.into(), digest.into(), record.decisions.into(), record.revision.into()];
            tx.execute(ADD_TO_KNOWN, &values).await? > 0
        } else {
            let mut values = vec![api.into(), digest.into()];
            values.extend(record_values(record)?);
            let added = Added::of(tx.fetch_optional(ADD, &values).await?.as_ref(), record)?;
            requests += u64::from(added == Some(Added::First));
            added.is_some()
        };
        let count = if kept { &mut decisions } else { &mut lost };
        *count = count.saturating_add(record.decisions);
    }
    tx.execute(NOTE, &[api.into(), requests.into(), decisions.into(), lost.into()]).await.map(drop)
}

/// What would be decided otherwise, from the beginning or behind a place; and where the page ends.
pub async fn page(
    tx: &mut Tx,
    api: &ApiId,
    after: Option<&Digest32>,
    limit: u32,
) -> Result<(Vec<DecisionRecord>, Option<Digest32>), StoreError> {
    let after = after.map_or(&[][..], |digest| &digest.as_bytes()[..]);
    let rows = tx.fetch_all(PAGE, &[api.into(), after.into(), limit.into()]).await?;
    let end = rows.last().map(|row| row.get(0)).transpose()?;
    Ok((rows.iter().map(|row| read_record(row, 1)).collect::<Result<_, _>>()?, end))
}

fn read(row: &Row) -> Result<PolicyShadow, StoreError> {
    Ok(PolicyShadow {
        api: row.get(0)?,
        text: PolicyText { model: row.get(1)?, rules: row.get(2)?, cases: String::new() },
        sha256: row.get(3)?,
        started_by: row.get(4)?,
        started_at: row.get(5)?,
        requests: row.get(6)?,
        decisions: row.get(7)?,
        lost: row.get(8)?,
        untried: row.get(9)?,
    })
}
