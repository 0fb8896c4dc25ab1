//! Refresh tokens: a family per grant, of which one is active.

use crate::domain::clock::Timestamp;
use crate::domain::confirmation::{Confirmation, Thumbprint};
use crate::domain::ids::{ClientId, GrantId};
use crate::domain::once::Once;
use crate::domain::refresh::RefreshState;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, issued_at, expires_at, absolute_expires_at, proof,
                                proof_good_until, assertion, assertion_good_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const SPEND: &str = "
    UPDATE refresh_tokens SET spent_at = $3, successor = $4
     WHERE digest = $1 AND client_id = $2 AND spent_at IS NULL AND revoked_at IS NULL AND expires_at > $3
       AND EXISTS (SELECT 1 FROM grants g
                    WHERE g.id = grant_id AND g.revoked_at IS NULL
                      AND (g.bound_jkt IS NULL OR g.bound_jkt = $5)
                      AND (g.bound_x5t IS NULL OR g.bound_x5t = $6))
 RETURNING digest, grant_id, client_id, scopes, expires_at, spent_at, revoked_at, successor, absolute_expires_at";
const RENEW: &str = "
    UPDATE refresh_tokens
       SET expires_at = CASE WHEN absolute_expires_at < $4 THEN absolute_expires_at ELSE $4 END
     WHERE digest = $1 AND client_id = $2 AND spent_at IS NULL AND revoked_at IS NULL AND expires_at > $3
       AND EXISTS (SELECT 1 FROM grants g
                    WHERE g.id = grant_id AND g.revoked_at IS NULL
                      AND (g.bound_jkt IS NULL OR g.bound_jkt = $5)
                      AND (g.bound_x5t IS NULL OR g.bound_x5t = $6))
 RETURNING digest, grant_id, client_id, scopes, expires_at, spent_at, revoked_at, successor, absolute_expires_at";
const FIND: &str = "
    SELECT t.digest, t.grant_id, t.client_id, t.scopes, t.expires_at, t.spent_at,
           COALESCE(t.revoked_at, g.revoked_at) AS revoked_at, t.successor, t.absolute_expires_at
      FROM refresh_tokens t
      JOIN grants g ON g.id = t.grant_id
     WHERE t.digest = $1";
const REVOKE_FAMILY: &str = "
    UPDATE refresh_tokens SET revoked_at = $2, successor = NULL WHERE grant_id = $1 AND revoked_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, SPEND, RENEW, FIND, REVOKE_FAMILY];

/// A refresh token that is about to be handed out.
#[derive(Clone, Debug)]
pub struct NewRefreshToken {
    /// The digest of the token.
    pub digest: Digest32,
    /// The grant it renews.
    pub grant: GrantId,
    /// Who may use it.
    pub client: ClientId,
    /// What it may renew.
    pub scopes: ScopeSet,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When its family ends, however often it is renewed.
    pub absolute_expires_at: Timestamp,
    /// What it is bought with. It is used up with it: what was used before buys nothing, by [`Unique::Once`].
    ///
    /// [`Unique::Once`]: crate::storage::Unique::Once
    pub once: Once,
}

/// A refresh token as it is stored.
#[derive(Clone)]
pub struct RefreshToken {
    /// The digest of the token.
    pub digest: Digest32,
    /// The grant it renews.
    pub grant: GrantId,
    /// Who may use it.
    pub client: ClientId,
    /// What it may renew.
    pub scopes: ScopeSet,
    /// Where it is in its life; [`RefreshState::Revoked`] also when its grant was revoked.
    pub state: RefreshState,
    /// The token that took its place, encrypted by the caller.
    pub successor: Option<Vec<u8>>,
    /// When its family ends, however often it is renewed.
    pub absolute_expires_at: Timestamp,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken")
            .field("grant", &self.grant)
            .field("client", &self.client)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Adds a token.
pub async fn insert(tx: &mut Tx, token: &NewRefreshToken) -> Result<(), StoreError> {
    let Once { assertion, proof } = &token.once;
    let values = [
        (&token.digest).into(),
        (&token.grant).into(),
        (&token.client).into(),
        token.scopes.to_string().into(),
        tx.now().into(),
        token.expires_at.into(),
        token.absolute_expires_at.into(),
        proof.as_ref().map(|proof| proof.name.as_bytes().as_slice()).into(),
        proof.as_ref().map(|proof| proof.good_until).into(),
        assertion.as_ref().map(|shown| shown.name.as_bytes().as_slice()).into(),
        assertion.as_ref().map(|shown| shown.good_until).into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// Spends the active and unexpired token of a client that holds what it is bound to, and leaves its successor, sealed, in its
/// place.
///
/// Gives `None` when there is nothing to spend; then [`find`] says what the token is.
pub async fn spend(
    tx: &mut Tx,
    digest: &Digest32,
    (client, held): (&ClientId, &Confirmation),
    successor: &[u8],
    now: Timestamp,
) -> Result<Option<RefreshToken>, StoreError> {
    use_active(tx, SPEND, (digest, client, held), successor.into(), now).await
}

/// Uses the active and unexpired token of a client that holds what it is bound to, and lets it live until `until`, but no longer than
/// its family.
///
/// Gives `None` when there is no such token; then [`find`] says what it is.
pub async fn renew(
    tx: &mut Tx,
    digest: &Digest32,
    (client, held): (&ClientId, &Confirmation),
    until: Timestamp,
    now: Timestamp,
) -> Result<Option<RefreshToken>, StoreError> {
    use_active(tx, RENEW, (digest, client, held), until.into(), now).await
}

/// Changes the active token of a client that holds what it is bound to.
async fn use_active(
    tx: &mut Tx,
    statement: &'static str,
    (digest, client, held): (&Digest32, &ClientId, &Confirmation),
    change: Value<'_>,
    now: Timestamp,
) -> Result<Option<RefreshToken>, StoreError> {
    let values = [
        digest.into(),
        client.into(),
        now.into(),
        change,
        held.jkt.as_ref().map(Thumbprint::as_str).into(),
        held.x5t.as_ref().map(Thumbprint::as_str).into(),
    ];
    tx.fetch_optional(statement, &values).await?.as_ref().map(read).transpose()
}

/// The token with this digest, in whatever state.
pub async fn find(tx: &mut Tx, digest: &Digest32) -> Result<Option<RefreshToken>, StoreError> {
    tx.fetch_optional(FIND, &[digest.into()]).await?.as_ref().map(read).transpose()
}

/// Revokes every token of a grant, and forgets the successors; gives how many were revoked.
pub async fn revoke_family(tx: &mut Tx, grant: &GrantId, now: Timestamp) -> Result<u64, StoreError> {
    tx.execute(REVOKE_FAMILY, &[grant.into(), now.into()]).await
}

fn read(row: &Row) -> Result<RefreshToken, StoreError> {
    let expires_at = row.get(4)?;
    let state = match (row.get::<Option<Timestamp>>(6)?, row.get::<Option<Timestamp>>(5)?) {
        (Some(_), _) => RefreshState::Revoked,
        (None, Some(at)) => RefreshState::Spent { at },
        (None, None) => RefreshState::Active { expires_at },
    };
    Ok(RefreshToken {
        digest: row.get(0)?,
        grant: row.get(1)?,
        client: row.get(2)?,
        scopes: row.get(3)?,
        state,
        successor: row.get(7)?,
        absolute_expires_at: row.get(8)?,
    })
}
