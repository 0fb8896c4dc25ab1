//! Roles.

use crate::domain::ids::{ApiId, RoleId};
use crate::domain::rbac::Role;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "INSERT INTO roles (id, api_id, name, description) VALUES ($1, $2, $3, $4)";
const FIND: &str = "SELECT id, api_id, name, description FROM roles WHERE id = $1";
const LIST: &str = "SELECT id, api_id, name, description FROM roles WHERE api_id = $1 ORDER BY name";
const DELETE: &str = "DELETE FROM roles WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, LIST, DELETE];

/// Adds a role.
pub async fn insert(tx: &mut Tx, role: &Role) -> Result<(), StoreError> {
    let values =
        [(&role.id).into(), (&role.api).into(), role.name.as_str().into(), role.description.as_str().into()];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The role with this identifier.
pub async fn find(tx: &mut Tx, id: &RoleId) -> Result<Option<Role>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The roles of an API by name.
pub async fn list(tx: &mut Tx, api: &ApiId) -> Result<Vec<Role>, StoreError> {
    tx.fetch_all(LIST, &[api.into()]).await?.iter().map(read).collect()
}

/// Removes a role and who holds it; gives whether there was such a role.
pub async fn delete(tx: &mut Tx, id: &RoleId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

fn read(row: &Row) -> Result<Role, StoreError> {
    Ok(Role { id: row.get(0)?, api: row.get(1)?, name: row.get(2)?, description: row.get(3)? })
}
