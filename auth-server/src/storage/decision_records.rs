//! What services were asked, by day.

use crate::domain::decision::{Day, DecisionRecord, Room};
use crate::domain::ids::ApiId;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

// A count that is beyond belief stays as it is: one that the database could not hold would keep everything else of the day out.
const ADD: &str = "
    INSERT INTO decision_records (api_id, day, digest, subject, pseudonymous, roles, domain, object, action, allowed,
                                  revision, decisions, asked_by)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
     WHERE NOT EXISTS (SELECT 1 FROM forgotten_subjects WHERE subject = $4)
        ON CONFLICT (api_id, day, digest) DO UPDATE
       SET decisions = CASE WHEN decision_records.decisions > 4000000000000000000 THEN decision_records.decisions ELSE decision_records.decisions + excluded.decisions END,
           revision = excluded.revision
 RETURNING decisions";
const ADD_TO_KNOWN: &str = "
    UPDATE decision_records
       SET decisions = CASE WHEN decision_records.decisions > 4000000000000000000 THEN decision_records.decisions ELSE decision_records.decisions + $4 END,
           revision = $5
     WHERE api_id = $1 AND day = $2 AND digest = $3";
const DAY_TAKEN: &str = "SELECT requests, bytes FROM decision_days WHERE api_id = $1 AND day = $2";
const NOTE_DAY: &str = "
    INSERT INTO decision_days (api_id, day, requests, decisions, lost, bytes) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (api_id, day) DO UPDATE
       SET requests = decision_days.requests + excluded.requests,
           bytes = decision_days.bytes + excluded.bytes,
           decisions = CASE WHEN decision_days.decisions > 4000000000000000000 THEN decision_days.decisions ELSE decision_days.decisions + excluded.decisions END,
           lost = CASE WHEN decision_days.lost > 4000000000000000000 THEN decision_days.lost ELSE decision_days.lost + excluded.lost END";
const PAGE: &str = "
    SELECT day, digest, subject, pseudonymous, roles, domain, object, action, allowed, revision, decisions,
           asked_by
      FROM decision_records
     WHERE api_id = $1 AND (day, digest) < ($2, $3) AND day >= $4
       AND NOT EXISTS (SELECT 1 FROM forgotten_subjects f WHERE f.subject = decision_records.subject)
     ORDER BY day DESC, digest DESC LIMIT $5";
const DAYS: &str = "SELECT day, requests, decisions, lost FROM decision_days WHERE api_id = $1 AND day >= $2 ORDER BY day DESC LIMIT $3";
const OLDEST: &str = "SELECT api_id, day FROM decision_days WHERE day < $1 ORDER BY day LIMIT 1";
const DELETE: &str = "
    DELETE FROM decision_records WHERE api_id = $1 AND day = $2 AND digest IN
        (SELECT digest FROM decision_records WHERE api_id = $1 AND day = $2 ORDER BY digest LIMIT $3)";
const DELETE_DAY: &str = "DELETE FROM decision_days WHERE api_id = $1 AND day = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[ADD, ADD_TO_KNOWN, DAY_TAKEN, NOTE_DAY, PAGE, DAYS, OLDEST, DELETE, DELETE_DAY];

/// What a row and its place in the indices take beside its names, as measured on PostgreSQL.
const ROW_BYTES: u64 = 400;

/// How much was recorded in a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DayTotal {
    /// When.
    pub day: Day,
    /// How many different requests.
    pub requests: u64,
    /// How often they were asked.
    pub decisions: u64,
    /// How many decisions more there were.
    pub lost: u64,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place(Day, Digest32);

/// Adds records to a day that has so much room: beyond that, only to those that are there. They have to be in the
/// order of their digests, so that of two who add at once none waits for the other for ever.
pub async fn add(
    tx: &mut Tx,
    api: &ApiId,
    day: Day,
    (records, lost): (&[(Digest32, DecisionRecord)], u64),
    room: Room,
) -> Result<(), StoreError> {
    let mut taken = taken_of(tx, api, day).await?;
    let mut total = DayTotal { day, requests: 0, decisions: 0, lost };
    let mut new_bytes = 0;
    for (digest, record) in records {
        let bytes = bytes_of(record)?;
        let is_full = taken.requests >= room.requests || taken.bytes.saturating_add(bytes) > room.bytes;
        let kept = if is_full {
            add_to_known(tx, api, day, digest, record).await?
        } else {
            let added = add_one(tx, api, day, digest, record).await?;
            if added == Some(Added::First) {
                taken.requests += 1;
                taken.bytes += bytes;
                total.requests += 1;
                new_bytes += bytes;
            }
            added.is_some()
        };
        let count = if kept { &mut total.decisions } else { &mut total.lost };
        *count = count.saturating_add(record.decisions);
    }
    let DayTotal { requests, decisions, lost, .. } = total;
    let [api, day] = [api.into(), day.number().into()];
    let values = [api, day, requests.into(), decisions.into(), lost.into(), new_bytes.into()];
    tx.execute(NOTE_DAY, &values).await.map(drop)
}

/// How much room of a day is taken.
async fn taken_of(tx: &mut Tx, api: &ApiId, day: Day) -> Result<Room, StoreError> {
    let row = tx.fetch_optional(DAY_TAKEN, &[api.into(), day.number().into()]).await?;
    row.map_or(Ok(Room { requests: 0, bytes: 0 }), |row| {
        Ok(Room { requests: row.get(0)?, bytes: row.get(1)? })
    })
}

/// About what a row takes: on SQLite less by a few, on PostgreSQL more. The index holds the subject again.
fn bytes_of(record: &DecisionRecord) -> Result<u64, StoreError> {
    let DecisionRecord { subject, domain, object, action, .. } = record;
    let names = [subject, subject, domain, object, action].into_iter().map(String::len).sum::<usize>();
    Ok(ROW_BYTES + (names + roles_of(record)?.len()) as u64)
}

fn roles_of(record: &DecisionRecord) -> Result<String, StoreError> {
    serde_json::to_string(&record.roles).map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

/// What became of a record that there was room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Added {
    Again,
    First,
}

impl Added {
    /// By how often it was asked until now, which adding says. It says nothing when whoever asked is to be forgotten.
    pub(super) fn of(row: Option<&Row>, record: &DecisionRecord) -> Result<Option<Self>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let is_first = row.get::<u64>(0)? == record.decisions;
        Ok(Some(if is_first { Self::First } else { Self::Again }))
    }
}

async fn add_one(
    tx: &mut Tx,
    api: &ApiId,
    day: Day,
    digest: &Digest32,
    record: &DecisionRecord,
) -> Result<Option<Added>, StoreError> {
    let mut values = vec![api.into(), day.number().into(), digest.into()];
    values.extend(record_values(record)?);
    values.push(record.asked_by.as_ref().into());
    Added::of(tx.fetch_optional(ADD, &values).await?.as_ref(), record)
}

/// The values of a record, in the order of their columns, less who asked.
pub(super) fn record_values(record: &DecisionRecord) -> Result<[Value<'_>; 9], StoreError> {
    let roles = roles_of(record)?;
    Ok([
        record.subject.as_str().into(),
        i64::from(record.pseudonymous).into(),
        roles.into(),
        record.domain.as_str().into(),
        record.object.as_str().into(),
        record.action.as_str().into(),
        i64::from(record.allowed).into(),
        record.revision.into(),
        record.decisions.into(),
    ])
}

async fn add_to_known(
    tx: &mut Tx,
    api: &ApiId,
    day: Day,
    digest: &Digest32,
    record: &DecisionRecord,
) -> Result<bool, StoreError> {
    let values =
        [api.into(), day.number().into(), digest.into(), record.decisions.into(), record.revision.into()];
    Ok(tx.execute(ADD_TO_KNOWN, &values).await? > 0)
}

/// The records of an API since `since`, newest day first, from the beginning or behind a place; and where the page ends.
pub async fn page(
    tx: &mut Tx,
    api: &ApiId,
    (since, until): (Day, Day),
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<DecisionRecord>, Option<Place>), StoreError> {
    let (day, digest) =
        after.as_ref().map_or((until.next(), &[][..]), |Place(day, digest)| (*day, &digest.as_bytes()[..]));
    let values = [api.into(), day.number().into(), digest.into(), since.number().into(), limit.into()];
    let rows = tx.fetch_all(PAGE, &values).await?;
    let end = rows.last().map(place_of).transpose()?;
    let read = |row: &Row| Ok(DecisionRecord { asked_by: row.get(11)?, ..read_record(row, 2)? });
    Ok((rows.iter().map(read).collect::<Result<_, StoreError>>()?, end))
}

fn place_of(row: &Row) -> Result<Place, StoreError> {
    Ok(Place(Day::numbered(row.get(0)?), row.get(1)?))
}

/// How much was recorded since `since`, newest day first.
pub async fn days(tx: &mut Tx, api: &ApiId, since: Day, limit: u32) -> Result<Vec<DayTotal>, StoreError> {
    let rows = tx.fetch_all(DAYS, &[api.into(), since.number().into(), limit.into()]).await?;
    let total = |row: &Row| {
        let (requests, decisions, lost) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(DayTotal { day: Day::numbered(row.get(0)?), requests, decisions, lost })
    };
    rows.iter().map(total).collect()
}

/// Takes away at most `limit` records of the oldest day before `before`; `false` when there is none.
pub async fn delete_before(tx: &mut Tx, before: Day, limit: u32) -> Result<bool, StoreError> {
    let Some(row) = tx.fetch_optional(OLDEST, &[before.number().into()]).await? else { return Ok(false) };
    let (api, day): (ApiId, i64) = (row.get(0)?, row.get(1)?);
    let gone = tx.execute(DELETE, &[(&api).into(), day.into(), limit.into()]).await?;
    if gone < u64::from(limit) {
        tx.execute(DELETE_DAY, &[(&api).into(), day.into()]).await?;
    }
    Ok(true)
}

/// Reads the columns of a record that begin at `first`, less who asked.
pub(super) fn read_record(row: &Row, first: usize) -> Result<DecisionRecord, StoreError> {
    Ok(DecisionRecord {
        subject: row.get(first)?,
        pseudonymous: row.get::<i64>(first + 1)? != 0,
        roles: row.json(first + 2)?,
        domain: row.get(first + 3)?,
        object: row.get(first + 4)?,
        action: row.get(first + 5)?,
        allowed: row.get::<i64>(first + 6)? != 0,
        asked_by: None,
        revision: row.get(first + 7)?,
        decisions: row.get(first + 8)?,
    })
}
