//! Revocations, in the order in which services are told of them, until no token is left that they could concern.

use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::revocation::{Revocation, RevokedClaim};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, epochs};

const RAISE: &str = "
    INSERT INTO revocations (kind, value, seq, not_before, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (kind, value) DO UPDATE
       SET seq = excluded.seq, not_before = excluded.not_before, expires_at = excluded.expires_at";
const IS_REVOKED: &str = "SELECT 1 FROM revocations WHERE kind = 'jti' AND value = $1";
const CONCERNS: &str = "
    SELECT 1 FROM revocations WHERE (not_before IS NULL OR not_before >= $4)
       AND (kind = 'jti' AND value = $1 OR kind = 'sub' AND value = $2 OR kind = 'client_id' AND value = $3)";
const SINCE: &str = "
    SELECT seq, kind, value, not_before, expires_at FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[RAISE, IS_REVOKED, CONCERNS, SINCE];

/// A revocation and its place in the order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Raised {
    /// Its place, from 1.
    pub seq: u64,
    /// What is revoked.
    pub revocation: Revocation,
}

/// Writes a revocation down and gives its place. Places are given out by one row, which stays locked until the commit: they are
/// seen in their order.
pub(super) async fn raise(tx: &mut Tx, revocation: &Revocation) -> Result<u64, StoreError> {
    let seq = epochs::next_revocation(tx).await?;
    let values = [
        revocation.claim.as_str().into(),
        revocation.value.as_str().into(),
        seq.into(),
        revocation.not_before.into(),
        tx.now().into(),
        revocation.expires_at.into(),
    ];
    tx.execute(RAISE, &values).await?;
    Ok(seq)
}

/// Whether the token was revoked.
pub async fn jti_revoked(tx: &mut Tx, jti: &str) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_REVOKED, &[jti.into()]).await?.is_some())
}

/// What a token may be revoked by, besides its grant.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// `jti`
    pub token: &'a str,
    /// `sub`, as APIs know it.
    pub subject: &'a str,
    /// `client_id`
    pub client: &'a ClientId,
    /// `iat`
    pub issued_at: Timestamp,
}

/// Whether the token was revoked, or all of its subject or of its client that were issued until then.
pub async fn concern(tx: &mut Tx, marks: &Marks<'_>) -> Result<bool, StoreError> {
    let Marks { token, subject, client, issued_at } = *marks;
    let values = [token.into(), subject.into(), client.as_str().into(), issued_at.into()];
    Ok(tx.fetch_optional(CONCERNS, &values).await?.is_some())
}

/// The revocations behind `seq`, in order.
pub async fn since(tx: &mut Tx, seq: u64, limit: u32) -> Result<Vec<Raised>, StoreError> {
    tx.fetch_all(SINCE, &[seq.into(), limit.into()]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Raised, StoreError> {
    let (claim, not_before): (RevokedClaim, Option<Timestamp>) = (row.parse(1)?, row.get(3)?);
    let revocation = Revocation { claim, value: row.get(2)?, not_before, expires_at: row.get(4)? };
    Ok(Raised { seq: row.get(0)?, revocation })
}
