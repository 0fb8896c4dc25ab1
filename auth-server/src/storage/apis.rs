//! APIs.

use std::time::Duration;

use crate::domain::ids::ApiId;
use crate::domain::rbac::{Api, Audience};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO apis (id, audience, name, access_token_ttl_secs, active_revision, created_at, administers, four_eyes,
                      scopes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const FIND: &str = "
    SELECT id, audience, name, access_token_ttl_secs, active_revision, created_at, administers, four_eyes, shadow, scopes
      FROM apis WHERE id = $1";
const FIND_BY_AUDIENCE: &str = "
    SELECT id, audience, name, access_token_ttl_secs, active_revision, created_at, administers, four_eyes, shadow, scopes
      FROM apis WHERE audience = $1";
const FIND_ADMIN: &str = "
    SELECT id, audience, name, access_token_ttl_secs, active_revision, created_at, administers, four_eyes, shadow, scopes
      FROM apis WHERE administers = 1";
const MARK: &str = "UPDATE apis SET administers = 1 WHERE id = $1";
const LIST: &str = "
    SELECT id, audience, name, access_token_ttl_secs, active_revision, created_at, administers, four_eyes, shadow, scopes
      FROM apis WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE: &str = "
    UPDATE apis SET audience = $2, name = $3, access_token_ttl_secs = $4, four_eyes = $5, scopes = $6 WHERE id = $1";
const SET_ACTIVE_REVISION: &str = "UPDATE apis SET active_revision = $2 WHERE id = $1";

const DELETE: &str = "DELETE FROM apis WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, FIND_BY_AUDIENCE, FIND_ADMIN, MARK, LIST, UPDATE, SET_ACTIVE_REVISION, DELETE];

/// Adds an API.
pub async fn insert(tx: &mut Tx, api: &Api) -> Result<(), StoreError> {
    let values = [
        (&api.id).into(),
        api.audience.as_str().into(),
        api.name.as_str().into(),
        api.access_token_ttl.as_secs().into(),
        api.active_revision.into(),
        api.created_at.into(),
        api.administers.then_some(1_u64).into(),
        api.four_eyes.then_some(1_u64).into(),
        api.scopes.to_string().into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// Removes an API with its roles, assignments, rules and grants; gives whether there was one.
pub async fn delete(tx: &mut Tx, id: &ApiId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

/// The API with this identifier.
pub async fn find(tx: &mut Tx, id: &ApiId) -> Result<Option<Api>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The API that administers the server.
pub async fn find_admin(tx: &mut Tx) -> Result<Option<Api>, StoreError> {
    tx.fetch_optional(FIND_ADMIN, &[]).await?.as_ref().map(read).transpose()
}

/// Makes an API the one that administers the server.
pub async fn mark_admin(tx: &mut Tx, id: &ApiId) -> Result<(), StoreError> {
    tx.execute(MARK, &[id.into()]).await.map(drop)
}

/// The API with this audience.
pub async fn find_by_audience(tx: &mut Tx, audience: &Audience) -> Result<Option<Api>, StoreError> {
    find_by_text(tx, audience.as_str()).await
}

/// The API whose audience has this text, which may be anything.
pub(super) async fn find_by_text(tx: &mut Tx, audience: &str) -> Result<Option<Api>, StoreError> {
    tx.fetch_optional(FIND_BY_AUDIENCE, &[audience.into()]).await?.as_ref().map(read).transpose()
}

/// The APIs behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Api>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Changes audience, name, token settings, scopes and whether activations take a second person; gives whether there is such an API.
pub async fn update(tx: &mut Tx, api: &Api) -> Result<bool, StoreError> {
    let values = [
        (&api.id).into(),
        api.audience.as_str().into(),
        api.name.as_str().into(),
        api.access_token_ttl.as_secs().into(),
        api.four_eyes.then_some(1_u64).into(),
        api.scopes.to_string().into(),
    ];
    Ok(tx.execute(UPDATE, &values).await? > 0)
}

/// Says which revision guards enforce; gives whether there is such an API.
pub async fn set_active_revision(tx: &mut Tx, api: &ApiId, number: u64) -> Result<bool, StoreError> {
    Ok(tx.execute(SET_ACTIVE_REVISION, &[api.into(), number.into()]).await? > 0)
}

fn read(row: &Row) -> Result<Api, StoreError> {
    Ok(Api {
        id: row.get(0)?,
        audience: row.get(1)?,
        name: row.get(2)?,
        access_token_ttl: Duration::from_secs(row.get(3)?),
        active_revision: row.get(4)?,
        created_at: row.get(5)?,
        administers: row.get::<Option<u64>>(6)? == Some(1),
        // What cannot be understood is taken for the stricter.
        four_eyes: row.get::<Option<u64>>(7)?.is_some(),
        shadow: row.get(8)?,
        scopes: row.get(9)?,
    })
}
