//! When the secrets of clients were used last.

use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::{StoreError, Tx};

const NOTE: &str = "
    INSERT INTO client_secret_uses (digest, client_id, last_used_at) VALUES ($1, $2, $3)
        ON CONFLICT (digest) DO UPDATE SET last_used_at = excluded.last_used_at
     WHERE client_secret_uses.last_used_at < excluded.last_used_at";
const LIST: &str = "SELECT digest, last_used_at FROM client_secret_uses WHERE client_id = $1";
const FORGET: &str = "DELETE FROM client_secret_uses WHERE client_id = $1 AND digest = $2";
const FORGET_ALL: &str = "DELETE FROM client_secret_uses WHERE client_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[NOTE, LIST, FORGET, FORGET_ALL];

/// Notes that a secret was used.
pub async fn note(
    tx: &mut Tx,
    client: &ClientId,
    digest: &Digest32,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(NOTE, &[digest.into(), client.into(), at.into()]).await.map(drop)
}

/// When each secret of a client was used last; those that never were are not in it.
pub async fn list(tx: &mut Tx, client: &ClientId) -> Result<Vec<(Digest32, Timestamp)>, StoreError> {
    let rows = tx.fetch_all(LIST, &[client.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Forgets a secret that is gone.
pub async fn forget(tx: &mut Tx, client: &ClientId, digest: &Digest32) -> Result<(), StoreError> {
    tx.execute(FORGET, &[client.into(), digest.into()]).await.map(drop)
}

/// Forgets every secret of a client that is gone.
pub async fn forget_all(tx: &mut Tx, client: &ClientId) -> Result<(), StoreError> {
    tx.execute(FORGET_ALL, &[client.into()]).await.map(drop)
}
