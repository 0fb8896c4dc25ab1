//! Consents.

use crate::domain::consent::Consent;
use crate::domain::ids::{ClientId, UserId};
use crate::storage::{StoreError, Tx};

const FIND: &str =
    "SELECT user_id, client_id, scopes, granted_at FROM consents WHERE user_id = $1 AND client_id = $2";
const SAVE: &str = "
    INSERT INTO consents (user_id, client_id, scopes, granted_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, granted_at = excluded.granted_at";
const LIST_BY_USER: &str = "
    SELECT user_id, client_id, scopes, granted_at FROM consents
     WHERE user_id = $1 AND client_id > $2 ORDER BY client_id LIMIT $3";
const DELETE: &str = "DELETE FROM consents WHERE user_id = $1 AND client_id = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, SAVE, LIST_BY_USER, DELETE];

/// What the user allowed the client.
pub async fn find(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<Option<Consent>, StoreError> {
    tx.fetch_optional(FIND, &[user.into(), client.into()]).await?.as_ref().map(read).transpose()
}

/// Remembers what the user allowed the client, in the place of what was remembered before.
pub async fn save(tx: &mut Tx, consent: &Consent) -> Result<(), StoreError> {
    let values = [
        (&consent.user).into(),
        (&consent.client).into(),
        consent.scopes.to_string().into(),
        consent.granted_at.into(),
    ];
    tx.execute(SAVE, &values).await.map(drop)
}

/// What the user allowed to the clients behind the identifier `after`.
pub async fn list_by_user(
    tx: &mut Tx,
    user: &UserId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Consent>, StoreError> {
    let values = [user.into(), after.unwrap_or_default().into(), limit.into()];
    tx.fetch_all(LIST_BY_USER, &values).await?.iter().map(read).collect()
}

/// Forgets what the user allowed the client; gives whether there was something.
pub async fn delete(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[user.into(), client.into()]).await? > 0)
}

fn read(row: &crate::storage::row::Row) -> Result<Consent, StoreError> {
    Ok(Consent { user: row.get(0)?, client: row.get(1)?, scopes: row.get(2)?, granted_at: row.get(3)? })
}
