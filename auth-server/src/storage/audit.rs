//! The audit trail, and the proof that nothing in it was changed.

use serde_json::Value as Json;

use crate::domain::audit::{Actor, AuditEvent, AuditRecord, canonical, chain};
use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest32;
use crate::storage::dialect::Dialect;
use crate::storage::row::Row;
use crate::storage::tx::ChainHead;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

/// PostgreSQL reads the head, computes the link and moves the head in one statement: the row of the head is the lock
/// that keeps the chain from forking.
const APPEND_POSTGRES: &str = "
    WITH head AS (
        UPDATE audit_head SET seq = seq + 1, hash = sha256(hash || $8) WHERE id = 1 RETURNING seq, hash
    )
    INSERT INTO audit_events (seq, at, actor, action, target, outcome, address, detail, hash)
    SELECT head.seq, $1, $2, $3, $4, $5, $6, $7, head.hash FROM head";
/// SQLite has one writer, which remembers the head; a number that exists already says that it remembers wrongly.
const APPEND_SQLITE: &str = "
    INSERT INTO audit_events (seq, at, actor, action, target, outcome, address, detail, hash)
    VALUES ($8, $1, $2, $3, $4, $5, $6, $7, $9)
        ON CONFLICT (seq) DO NOTHING";
const HEAD: &str = "SELECT seq, hash FROM audit_head WHERE id = 1";
const LIST: &str = "
    SELECT seq, at, actor, action, target, outcome, address, detail, hash
      FROM audit_events WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
const LIST_BY_ACTOR: &str = "
    SELECT seq, at, actor, action, target, outcome, address, detail, hash
      FROM audit_events WHERE actor = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
const LIST_BY_TARGET: &str = "
    SELECT seq, at, actor, action, target, outcome, address, detail, hash
      FROM audit_events WHERE target = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
const WALK: &str = "
    SELECT seq, at, actor, action, target, outcome, address, detail, hash
      FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT 500";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[HEAD, LIST, LIST_BY_ACTOR, LIST_BY_TARGET, WALK];
#[cfg(test)]
pub(super) const STATEMENTS_POSTGRES: &[&str] = &[APPEND_POSTGRES];
#[cfg(test)]
pub(super) const STATEMENTS_SQLITE: &[&str] = &[APPEND_SQLITE];

/// What walking the chain found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChainReport {
    /// The first event that is not what was recorded, or that is missing.
    Broken {
        /// Its place.
        at: u64,
    },
    /// Every event is what was recorded.
    Intact {
        /// How many there are.
        events: u64,
    },
}

/// Adds an event to the chain.
pub(super) async fn append(tx: &mut Tx, event: &AuditEvent) -> Result<(), StoreError> {
    let at = tx.now();
    let detail = event.detail.to_string();
    let bytes = canonical(at, event, &detail);
    match tx.dialect() {
        Dialect::Postgres => {
            let mut values = values(at, event, &detail);
            values.push(bytes.as_slice().into());
            tx.execute(APPEND_POSTGRES, &values).await.map(drop)
        }
        Dialect::Sqlite => append_as_only_writer(tx, values(at, event, &detail), &bytes).await,
    }
}

async fn append_as_only_writer(
    tx: &mut Tx,
    mut values: Vec<Value<'_>>,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let remembered = tx.head;
    let previous = match remembered {
        Some(head) => head,
        None => head(tx).await?,
    };
    let next = next(previous, bytes);
    values.extend([next.seq.into(), (&next.hash).into()]);
    if tx.execute(APPEND_SQLITE, &values).await? == 0 {
        // A command beside the server wrote in the meantime. The lock is ours now, so this happens once.
        let next = self::next(head(tx).await?, bytes);
        values.truncate(7);
        values.extend([next.seq.into(), (&next.hash).into()]);
        tx.execute(APPEND_SQLITE, &values).await?;
        tx.head = Some(next);
    } else {
        tx.head = Some(next);
    }
    Ok(())
}

fn next(previous: ChainHead, bytes: &[u8]) -> ChainHead {
    ChainHead { seq: previous.seq + 1, hash: chain(&previous.hash, bytes) }
}

async fn head(tx: &mut Tx) -> Result<ChainHead, StoreError> {
    match tx.fetch_optional(HEAD, &[]).await? {
        Some(row) => Ok(ChainHead { seq: row.get(0)?, hash: row.get(1)? }),
        None => Err(StoreError::Corrupt { what: "the head of the audit trail".to_owned() }),
    }
}

fn values<'a>(at: Timestamp, event: &'a AuditEvent, detail: &'a str) -> Vec<Value<'a>> {
    vec![
        at.into(),
        event.actor.as_str().into(),
        event.action.as_str().into(),
        event.target.as_deref().into(),
        event.outcome.as_str().into(),
        event.address.map(|address| address.to_string()).into(),
        detail.into(),
    ]
}

/// The events before `before`, newest first.
pub async fn list(tx: &mut Tx, before: Option<u64>, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
    let rows = tx.fetch_all(LIST, &[before.unwrap_or(u64::MAX).into(), limit.into()]).await?;
    rows.iter().map(|row| read(row).map(|(record, _)| record)).collect()
}

/// What somebody did before `before`, newest first.
pub async fn list_by_actor(
    tx: &mut Tx,
    actor: &Actor,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    list_along(tx, LIST_BY_ACTOR, actor.as_str(), (before, limit)).await
}

/// What was done to `target` before `before`, newest first.
pub async fn list_by_target(
    tx: &mut Tx,
    target: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    list_along(tx, LIST_BY_TARGET, target, (before, limit)).await
}

async fn list_along(
    tx: &mut Tx,
    statement: &'static str,
    whose: &str,
    (before, limit): (Option<u64>, u32),
) -> Result<Vec<AuditRecord>, StoreError> {
    let values = [whose.into(), before.unwrap_or(u64::MAX).into(), limit.into()];
    let rows = tx.fetch_all(statement, &values).await?;
    rows.iter().map(|row| read(row).map(|(record, _)| record)).collect()
}

/// Walks the whole chain, and says whether every event is what was recorded.
pub async fn verify(tx: &mut Tx) -> Result<ChainReport, StoreError> {
    // The head is read first: what is recorded meanwhile lies behind it.
    let end = head(tx).await?;
    let mut reached = ChainHead { seq: 0, hash: GENESIS };
    while reached.seq < end.seq {
        let rows = tx.fetch_all(WALK, &[reached.seq.into()]).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            // What cannot be read is not what was recorded.
            let Ok((record, detail)) = read(row) else {
                return Ok(ChainReport::Broken { at: reached.seq + 1 });
            };
            let expected = next(reached, &canonical(record.at, &record.event, &detail));
            let is_end = expected.seq == end.seq;
            if record.seq != expected.seq
                || record.hash != expected.hash
                || (is_end && record.hash != end.hash)
            {
                return Ok(ChainReport::Broken { at: expected.seq });
            }
            reached = expected;
        }
    }
    if reached.seq < end.seq {
        return Ok(ChainReport::Broken { at: reached.seq + 1 });
    }
    Ok(ChainReport::Intact { events: reached.seq })
}

const GENESIS: Digest32 = Digest32::from_bytes(crate::domain::audit::GENESIS);

/// Gives the record, and its detail as the exact text that was recorded.
fn read(row: &Row) -> Result<(AuditRecord, String), StoreError> {
    let detail: String = row.get(7)?;
    let event = AuditEvent {
        actor: row.parse(2)?,
        action: row.parse(3)?,
        target: row.get(4)?,
        outcome: row.parse(5)?,
        address: row.get(6)?,
        detail: serde_json::from_str::<Json>(&detail).map_err(|_| row.corrupt(7))?,
    };
    Ok((AuditRecord { seq: row.get(0)?, at: row.get(1)?, event, hash: row.get(8)? }, detail))
}
