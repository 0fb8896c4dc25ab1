//! Signing keys.

use crate::domain::signing::StoredKey;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO signing_keys (kid, alg, generation, sealed, public_jwk, created_at, activates_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (alg, generation) DO NOTHING";
const LIST: &str = "
    SELECT kid, alg, generation, sealed, public_jwk, created_at, activates_at
      FROM signing_keys ORDER BY alg, generation";
const ANY: &str = "SELECT kid FROM signing_keys LIMIT 1";
const DELETE: &str = "DELETE FROM signing_keys WHERE kid = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, ANY, DELETE];

/// Adds a key; `false` when another replica made this generation first.
pub async fn insert(tx: &mut Tx, key: &StoredKey) -> Result<bool, StoreError> {
    let values = [
        key.kid.as_str().into(),
        key.alg.as_str().into(),
        key.generation.into(),
        key.sealed.as_slice().into(),
        key.public_jwk.as_str().into(),
        key.created_at.into(),
        key.activates_at.into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// Every key, by algorithm and generation: a handful.
pub async fn list(tx: &mut Tx) -> Result<Vec<StoredKey>, StoreError> {
    tx.fetch_all(LIST, &[]).await?.iter().map(read).collect()
}

/// Whether there is a key at all.
pub async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(ANY, &[]).await?.is_some())
}

/// Removes a key; gives whether there was one.
pub async fn delete(tx: &mut Tx, kid: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[kid.into()]).await? > 0)
}

fn read(row: &Row) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        kid: row.get(0)?,
        alg: row.parse(1)?,
        generation: row.get(2)?,
        sealed: row.get(3)?,
        public_jwk: row.get(4)?,
        created_at: row.get(5)?,
        activates_at: row.get(6)?,
    })
}
