//! Tokens that let clients register themselves.

use crate::domain::clock::Timestamp;
use crate::domain::ids::InitialTokenId;
use crate::domain::registration::{Allowance, InitialToken};
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO initial_access_tokens (id, digest, name, allowance, uses_left, created_by, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const LIST: &str = "
    SELECT id, name, allowance, uses_left, created_by, created_at, expires_at
      FROM initial_access_tokens WHERE id > $1 ORDER BY id LIMIT $2";
const FIND_GOOD: &str = "
    SELECT id, name, allowance, uses_left, created_by, created_at, expires_at
      FROM initial_access_tokens WHERE digest = $1 AND uses_left > 0 AND expires_at > $2";
const SPEND: &str = "
    UPDATE initial_access_tokens SET uses_left = uses_left - 1
     WHERE digest = $1 AND uses_left > 0 AND expires_at > $2";
const DELETE: &str = "DELETE FROM initial_access_tokens WHERE id = $1";
const DELETE_EXPIRED: &str = "
    DELETE FROM initial_access_tokens WHERE id IN
        (SELECT id FROM initial_access_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, FIND_GOOD, SPEND, DELETE, DELETE_EXPIRED];

/// Adds a token.
pub async fn insert(tx: &mut Tx, token: &InitialToken, digest: &Digest32) -> Result<(), StoreError> {
    let allowance = serde_json::to_string(&token.allowance)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let values = [
        (&token.id).into(),
        digest.into(),
        token.name.as_str().into(),
        allowance.into(),
        token.uses_left.into(),
        token.created_by.as_str().into(),
        token.created_at.into(),
        token.expires_at.into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The tokens behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<InitialToken>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// The token with this digest, as long as it counts.
pub async fn find_good(
    tx: &mut Tx,
    digest: &Digest32,
    now: Timestamp,
) -> Result<Option<InitialToken>, StoreError> {
    tx.fetch_optional(FIND_GOOD, &[digest.into(), now.into()]).await?.as_ref().map(read).transpose()
}

/// Uses a token once; `false` when it counts no longer. Of two that use the last of it one gets it.
pub async fn spend(tx: &mut Tx, digest: &Digest32, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(SPEND, &[digest.into(), now.into()]).await? > 0)
}

/// Takes a token away; gives whether there was one.
pub async fn delete(tx: &mut Tx, id: &InitialTokenId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

/// Takes away at most `limit` tokens that expired before `before`; gives how many.
pub async fn delete_expired(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    tx.execute(DELETE_EXPIRED, &[before.into(), limit.into()]).await
}

fn read(row: &Row) -> Result<InitialToken, StoreError> {
    Ok(InitialToken {
        id: row.get(0)?,
        name: row.get(1)?,
        allowance: row.json::<Allowance>(2)?,
        uses_left: row.get(3)?,
        created_by: row.get(4)?,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
    })
}
