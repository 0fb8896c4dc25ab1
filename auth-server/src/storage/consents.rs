//! Consents.

use crate::domain::consent::Consent;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

// An empty `api_id` is no API: a part of a primary key cannot be NULL.
const FIND: &str = "
    SELECT user_id, client_id, NULLIF(api_id, ''), scopes, granted_at, claims, details FROM consents
     WHERE user_id = $1 AND client_id = $2 AND api_id = $3";
const SAVE: &str = "
    INSERT INTO consents (user_id, client_id, api_id, scopes, granted_at, claims, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (user_id, client_id, api_id)
        DO UPDATE SET scopes = excluded.scopes, granted_at = excluded.granted_at, claims = excluded.claims,
                      details = excluded.details";
const LIST: &str = "
    SELECT user_id, client_id, NULLIF(api_id, ''), scopes, granted_at, claims, details FROM consents
     WHERE user_id = $1 AND (client_id > $2 OR (client_id = $2 AND api_id > $3))
     ORDER BY client_id, api_id LIMIT $4";
const DELETE: &str = "DELETE FROM consents WHERE user_id = $1 AND client_id = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FIND, SAVE, LIST, DELETE];

/// What the user allowed the client at an API, or at none.
pub async fn find(
    tx: &mut Tx,
    user: &UserId,
    client: &ClientId,
    api: Option<&ApiId>,
) -> Result<Option<Consent>, StoreError> {
    let values = [user.into(), client.into(), key(api).into()];
    tx.fetch_optional(FIND, &values).await?.as_ref().map(read).transpose()
}

/// Remembers what the user allowed the client, in the place of what was remembered before for the same API.
pub async fn save(tx: &mut Tx, consent: &Consent) -> Result<(), StoreError> {
    let values = [
        (&consent.user).into(),
        (&consent.client).into(),
        key(consent.api.as_ref()).into(),
        consent.scopes.to_string().into(),
        consent.granted_at.into(),
        consent.claims.to_string().into(),
        consent.details.to_string().into(),
    ];
    tx.execute(SAVE, &values).await.map(drop)
}

/// What the user allowed, by client and API, from behind `after`.
pub async fn list(
    tx: &mut Tx,
    user: &UserId,
    (client, api): (&str, &str),
    limit: u32,
) -> Result<Vec<Consent>, StoreError> {
    let values = [user.into(), client.into(), api.into(), limit.into()];
    tx.fetch_all(LIST, &values).await?.iter().map(read).collect()
}

/// Forgets what the user allowed the client, wherever; gives whether there was something.
pub async fn delete(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[user.into(), client.into()]).await? > 0)
}

fn key(api: Option<&ApiId>) -> &str {
    api.map_or("", ApiId::as_str)
}

fn read(row: &Row) -> Result<Consent, StoreError> {
    read_at(row, 0)
}

/// Reads the columns of a consent that begin at `first`, in the order of the statements above.
pub(super) fn read_at(row: &Row, first: usize) -> Result<Consent, StoreError> {
    Ok(Consent {
        user: row.get(first)?,
        client: row.get(first + 1)?,
        api: row.get(first + 2)?,
        scopes: row.get(first + 3)?,
        granted_at: row.get(first + 4)?,
        claims: row.parse(first + 5)?,
        details: row.json(first + 6)?,
    })
}
