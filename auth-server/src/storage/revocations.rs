//! Revocations of what has no row of its own: single tokens, until they would have expired.

use crate::domain::clock::Timestamp;
use crate::storage::{StoreError, Tx};

const REVOKE: &str = "
    INSERT INTO revocations (kind, value, created_at, expires_at) VALUES ('jti', $1, $2, $3)
        ON CONFLICT (kind, value) DO NOTHING";
const IS_REVOKED: &str = "SELECT 1 FROM revocations WHERE kind = 'jti' AND value = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[REVOKE, IS_REVOKED];

/// Revokes one token until it would have expired.
pub async fn revoke_jti(tx: &mut Tx, jti: &str, expires_at: Timestamp) -> Result<(), StoreError> {
    tx.execute(REVOKE, &[jti.into(), tx.now().into(), expires_at.into()]).await.map(drop)
}

/// Whether the token was revoked.
pub async fn jti_revoked(tx: &mut Tx, jti: &str) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_REVOKED, &[jti.into()]).await?.is_some())
}
