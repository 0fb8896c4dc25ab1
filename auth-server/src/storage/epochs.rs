//! Epochs: numbers that move on with every change that others have to hear of.

use crate::storage::{StoreError, Tx};

const BUMP: &str = "UPDATE epochs SET value = value + 1 WHERE name = 'cache' RETURNING value";
const NEXT_REVOCATION: &str =
    "UPDATE epochs SET value = value + 1 WHERE name = 'revocations' RETURNING value";
const CURRENT: &str = "
    SELECT c.value, r.value FROM epochs c JOIN epochs r ON r.name = 'revocations' WHERE c.name = 'cache'";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BUMP, NEXT_REVOCATION, CURRENT];

/// How far things have come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Epochs {
    /// Moves on with every change to what is kept in memory.
    pub cache: u64,
    /// The place of the last revocation.
    pub revocations: u64,
}

/// Moves the epoch of caches on, and gives the new one.
pub(super) async fn bump(tx: &mut Tx) -> Result<u64, StoreError> {
    moved_on(tx, BUMP).await
}

/// Gives out the place of the next revocation.
pub(super) async fn next_revocation(tx: &mut Tx) -> Result<u64, StoreError> {
    moved_on(tx, NEXT_REVOCATION).await
}

/// Has other replicas hear, when the transaction commits, that something moved on.
pub(super) async fn announce(tx: &mut Tx) -> Result<(), StoreError> {
    match tx.dialect().notify() {
        Some(notify) => tx.execute(notify, &[]).await.map(drop),
        None => Ok(()),
    }
}

/// The epochs as of now.
pub async fn current(tx: &mut Tx) -> Result<Epochs, StoreError> {
    match tx.fetch_optional(CURRENT, &[]).await? {
        Some(row) => Ok(Epochs { cache: row.get(0)?, revocations: row.get(1)? }),
        None => Ok(Epochs::default()),
    }
}

async fn moved_on(tx: &mut Tx, statement: &'static str) -> Result<u64, StoreError> {
    tx.fetch_optional(statement, &[]).await?.map_or(Ok(0), |row| row.get(0))
}
