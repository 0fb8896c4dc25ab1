//! What is known of clients because they said so themselves.

use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::registration::{About, AccessDigests, Allowance, Registration, RegistrationSource};
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO client_registrations (client_id, source, about, allowance, initial_token_id, token_digest, created_at,
                                      fetched_at, fresh_until, review_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "
    SELECT client_id, source, about, allowance, initial_token_id, created_at
      FROM client_registrations WHERE client_id = $1";
const LIST: &str = "
    SELECT client_id, source, about, allowance, initial_token_id, created_at
      FROM client_registrations WHERE client_id > $1 ORDER BY client_id LIMIT $2";
const DIGESTS: &str = "SELECT token_digest, previous_digest FROM client_registrations WHERE client_id = $1";
const FORGET_PREVIOUS: &str = "
    UPDATE client_registrations SET previous_digest = NULL WHERE client_id = $1 AND token_digest = $2";
const UPDATE: &str = "
    UPDATE client_registrations SET about = $2, previous_digest = $3, token_digest = $4 WHERE client_id = $1";
const BIND: &str = "UPDATE client_registrations SET allowance = $2 WHERE client_id = $1";
const FRESHNESS: &str = "
    SELECT fetched_at, fresh_until FROM client_registrations WHERE client_id = $1 AND fetched_at IS NOT NULL";
const REFRESH: &str = "
    UPDATE client_registrations SET about = $2, fetched_at = $3, fresh_until = $4 WHERE client_id = $1";
const DUE: &str = "
    SELECT client_id FROM client_registrations WHERE review_at < $1 ORDER BY review_at LIMIT $2";
const IS_USED: &str = "
    SELECT 1 FROM clients c
     WHERE c.id = $1
       AND (c.redirects = '[]'
            OR c.disabled_at IS NOT NULL
            OR EXISTS (SELECT 1 FROM consents n WHERE n.client_id = c.id)
            OR EXISTS (SELECT 1 FROM grants g WHERE g.client_id = c.id)
            OR EXISTS (SELECT 1 FROM interactions i WHERE i.client_id = c.id))";
const PUT_OFF: &str = "UPDATE client_registrations SET review_at = $2 WHERE client_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, LIST, DIGESTS, FORGET_PREVIOUS, UPDATE, BIND, FRESHNESS, REFRESH, DUE, IS_USED, PUT_OFF];

/// When a document was read, and until when it need not be read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// When it was read last.
    pub fetched_at: Timestamp,
    /// Until when it need not be read again.
    pub fresh_until: Timestamp,
}

/// What is kept beside a registration.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    /// What lets the client change its registration.
    pub token: Option<Digest32>,
    /// Of a document: when it was read.
    pub freshness: Option<Freshness>,
    /// When it is looked whether anybody uses it.
    pub review_at: Timestamp,
}

/// Adds what is known of a client that was just added.
pub async fn insert(tx: &mut Tx, registration: &Registration, upkeep: Upkeep) -> Result<(), StoreError> {
    let allowance = registration.allowance.as_ref().map(json).transpose()?;
    let values = [
        (&registration.client).into(),
        registration.source.as_str().into(),
        json(&registration.about)?.into(),
        allowance.into(),
        registration.initial_token.as_ref().into(),
        upkeep.token.as_ref().map(|digest| digest.as_bytes().as_slice()).into(),
        registration.created_at.into(),
        upkeep.freshness.map(|freshness| freshness.fetched_at).into(),
        upkeep.freshness.map(|freshness| freshness.fresh_until).into(),
        upkeep.review_at.into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// What is known of a client.
pub async fn find(tx: &mut Tx, client: &ClientId) -> Result<Option<Registration>, StoreError> {
    tx.fetch_optional(FIND, &[client.into()]).await?.as_ref().map(read).transpose()
}

/// Those behind the identifier `after`, by identifier.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Registration>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// What lets a client change its registration, if anything does.
pub async fn digests(tx: &mut Tx, client: &ClientId) -> Result<Option<AccessDigests>, StoreError> {
    let Some(row) = tx.fetch_optional(DIGESTS, &[client.into()]).await? else { return Ok(None) };
    let current: Option<Digest32> = row.get(0)?;
    let previous = row.get(1)?;
    Ok(current.map(|current| AccessDigests { current, previous }))
}

/// Notes that the newest token arrived: the one before counts no longer.
pub async fn forget_previous(tx: &mut Tx, client: &ClientId, current: &Digest32) -> Result<(), StoreError> {
    tx.execute(FORGET_PREVIOUS, &[client.into(), current.into()]).await.map(drop)
}

/// Replaces what a client says about itself, and the token by which it does.
pub async fn update(
    tx: &mut Tx,
    client: &ClientId,
    about: &About,
    tokens: &AccessDigests,
) -> Result<(), StoreError> {
    let previous = tokens.previous.as_ref().map(|digest| digest.as_bytes().as_slice());
    let values = [client.into(), json(about)?.into(), previous.into(), (&tokens.current).into()];
    tx.execute(UPDATE, &values).await.map(drop)
}

/// Replaces what a client may have.
pub async fn bind(tx: &mut Tx, client: &ClientId, allowance: &Allowance) -> Result<(), StoreError> {
    tx.execute(BIND, &[client.into(), json(allowance)?.into()]).await.map(drop)
}

/// When the document of a client was read; `None` when it never was.
pub async fn freshness(tx: &mut Tx, client: &ClientId) -> Result<Option<Freshness>, StoreError> {
    let row = tx.fetch_optional(FRESHNESS, &[client.into()]).await?;
    row.map(|row| Ok(Freshness { fetched_at: row.get(0)?, fresh_until: row.get(1)? })).transpose()
}

/// Notes that the document of a client was read again.
pub async fn refresh(
    tx: &mut Tx,
    client: &ClientId,
    about: &About,
    freshness: Freshness,
) -> Result<(), StoreError> {
    let values =
        [client.into(), json(about)?.into(), freshness.fetched_at.into(), freshness.fresh_until.into()];
    tx.execute(REFRESH, &values).await.map(drop)
}

/// The clients of which it is due to look whether anybody uses them.
pub async fn due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<ClientId>, StoreError> {
    let rows = tx.fetch_all(DUE, &[now.into(), limit.into()]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Whether somebody uses a client: it has a consent, a grant or a flow. Of one that sends nobody here that cannot be told.
pub async fn is_used(tx: &mut Tx, client: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_USED, &[client.into()]).await?.is_some())
}

/// Looks again later.
pub async fn put_off(tx: &mut Tx, client: &ClientId, review_at: Timestamp) -> Result<(), StoreError> {
    tx.execute(PUT_OFF, &[client.into(), review_at.into()]).await.map(drop)
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

fn read(row: &Row) -> Result<Registration, StoreError> {
    let allowance = row.get::<Option<String>>(3)?;
    Ok(Registration {
        client: row.get(0)?,
        source: row.parse::<RegistrationSource>(1)?,
        about: row.json::<About>(2)?,
        allowance: match allowance {
            Some(_) => Some(row.json::<Allowance>(3)?),
            None => None,
        },
        initial_token: row.get(4)?,
        created_at: row.get(5)?,
    })
}
