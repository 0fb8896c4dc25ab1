//! Invitations: accounts that administrators offer.

use crate::domain::clock::Timestamp;
use crate::domain::ids::InvitationId;
use crate::domain::invitation::Invitation;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO invitations (id, email, organisation_id, roles, invited_by, link, days, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const FIND: &str = "
    SELECT id, email, organisation_id, roles, invited_by, days, created_at, expires_at FROM invitations WHERE id = $1";
const FIND_GOOD: &str = "
    SELECT id, email, organisation_id, roles, invited_by, days, created_at, expires_at
      FROM invitations WHERE id = $1 AND link = $2 AND expires_at > $3";
const LIST: &str = "
    SELECT id, email, organisation_id, roles, invited_by, days, created_at, expires_at
      FROM invitations WHERE id > $1 ORDER BY id LIMIT $2";
const RENEW: &str = "UPDATE invitations SET link = $2, expires_at = $3 WHERE id = $1";
const DELETE: &str = "DELETE FROM invitations WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, FIND_GOOD, LIST, RENEW, DELETE];

/// Adds an invitation, and the link that it is taken by.
pub async fn insert(tx: &mut Tx, invitation: &Invitation, link: &Digest32) -> Result<(), StoreError> {
    let roles = serde_json::to_string(&invitation.roles)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let values = [
        (&invitation.id).into(),
        invitation.to.as_str().into(),
        invitation.organisation.as_ref().into(),
        roles.into(),
        invitation.invited_by.as_str().into(),
        link.into(),
        invitation.days.into(),
        invitation.created_at.into(),
        invitation.expires_at.into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The invitation with this identifier, in whatever state.
pub async fn find(tx: &mut Tx, id: &InvitationId) -> Result<Option<Invitation>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The same as long as it can be taken by this link.
pub async fn find_good(
    tx: &mut Tx,
    id: &InvitationId,
    link: &Digest32,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    let values = [id.into(), link.into(), now.into()];
    tx.fetch_optional(FIND_GOOD, &values).await?.as_ref().map(read).transpose()
}

/// The invitations behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Invitation>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Gives an invitation another link, in place of the one before; gives whether there is such an invitation.
pub async fn renew(
    tx: &mut Tx,
    id: &InvitationId,
    link: &Digest32,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(RENEW, &[id.into(), link.into(), expires_at.into()]).await? > 0)
}

/// Takes an invitation away; gives whether there was one.
pub async fn delete(tx: &mut Tx, id: &InvitationId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

fn read(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.get(0)?,
        to: row.get(1)?,
        organisation: row.get(2)?,
        roles: row.json(3)?,
        invited_by: row.get(4)?,
        days: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
    })
}
