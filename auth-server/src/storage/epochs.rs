//! The epoch: it moves on with every change to what is kept in memory.

use crate::storage::{StoreError, Tx};

const BUMP: &str = "UPDATE epochs SET value = value + 1 WHERE name = 'cache' RETURNING value";
const CURRENT: &str = "SELECT value FROM epochs WHERE name = 'cache'";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BUMP, CURRENT];

/// Moves the epoch on, and gives the new one; other replicas hear of it when the transaction commits.
pub(super) async fn bump(tx: &mut Tx) -> Result<u64, StoreError> {
    let row = tx.fetch_optional(BUMP, &[]).await?;
    let epoch = row.map_or(Ok(0), |row| row.get(0))?;
    if let Some(notify) = tx.dialect().notify() {
        tx.execute(notify, &[]).await?;
    }
    Ok(epoch)
}

/// The epoch as of now.
pub async fn current(tx: &mut Tx) -> Result<u64, StoreError> {
    match tx.fetch_optional(CURRENT, &[]).await? {
        Some(row) => row.get(0),
        None => Ok(0),
    }
}
