//! Organisations.

use crate::domain::ids::OrganisationId;
use crate::domain::organisation::Organisation;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "INSERT INTO organisations (id, name, created_at) VALUES ($1, $2, $3)";
const FIND: &str = "SELECT id, name, created_at FROM organisations WHERE id = $1";
const LIST: &str = "SELECT id, name, created_at FROM organisations WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE: &str = "UPDATE organisations SET name = $2 WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, LIST, UPDATE];

/// Adds an organisation.
pub async fn insert(tx: &mut Tx, organisation: &Organisation) -> Result<(), StoreError> {
    let Organisation { id, name, created_at } = organisation;
    tx.execute(INSERT, &[id.into(), name.as_str().into(), (*created_at).into()]).await.map(drop)
}

/// The organisation with this identifier.
pub async fn find(tx: &mut Tx, id: &OrganisationId) -> Result<Option<Organisation>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The organisations behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Organisation>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Changes the name; gives whether there is such an organisation.
pub async fn update(tx: &mut Tx, organisation: &Organisation) -> Result<bool, StoreError> {
    let values = [(&organisation.id).into(), organisation.name.as_str().into()];
    Ok(tx.execute(UPDATE, &values).await? > 0)
}

fn read(row: &Row) -> Result<Organisation, StoreError> {
    Ok(Organisation { id: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? })
}
