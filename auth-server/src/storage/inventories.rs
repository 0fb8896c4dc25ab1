//! What services say about their routes. How many of each state an API has is bounded by whoever inserts.

use crate::domain::ids::ApiId;
use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO route_inventories (api_id, digest, version, state, route_count, document, announced_by, announced_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (api_id, digest) DO NOTHING";
const FIND: &str = "
    SELECT api_id, digest, version, state, route_count, document, announced_by, announced_at, decided_by, decided_at
      FROM route_inventories WHERE api_id = $1 AND digest = $2";
const FIND_STATE: &str = "SELECT state FROM route_inventories WHERE api_id = $1 AND digest = $2";
const LIST: &str = "
    SELECT api_id, digest, version, state, route_count, '', announced_by, announced_at, decided_by, decided_at
      FROM route_inventories WHERE api_id = $1 ORDER BY announced_at DESC, digest";
const LIST_APPROVED: &str = "
    SELECT api_id, digest, version, state, route_count, document, announced_by, announced_at, decided_by, decided_at
      FROM route_inventories WHERE api_id = $1 AND state = 'approved' ORDER BY announced_at DESC, digest";
const DECIDE: &str = "
    UPDATE route_inventories SET state = $3, decided_by = $4, decided_at = $5 WHERE api_id = $1 AND digest = $2";
const DELETE: &str = "DELETE FROM route_inventories WHERE api_id = $1 AND digest = $2";
const KEEP_NEWEST: &str = "
    DELETE FROM route_inventories
     WHERE api_id = $1 AND state = $2
       AND digest NOT IN (SELECT digest FROM route_inventories WHERE api_id = $1 AND state = $2
                           ORDER BY announced_at DESC, digest LIMIT $3)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, FIND_STATE, LIST, LIST_APPROVED, DECIDE, DELETE, KEEP_NEWEST];

/// Adds an inventory that nobody decided about; `false` when it is there already.
pub async fn insert(tx: &mut Tx, inventory: &RouteInventory) -> Result<bool, StoreError> {
    let (by, at) = &inventory.announced;
    let values = [
        (&inventory.api).into(),
        (&inventory.digest).into(),
        inventory.version.as_deref().unwrap_or_default().into(),
        inventory.state.as_str().into(),
        inventory.routes.into(),
        inventory.document.as_str().into(),
        by.as_str().into(),
        (*at).into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// The inventory with this digest.
pub async fn find(tx: &mut Tx, api: &ApiId, digest: &Digest32) -> Result<Option<RouteInventory>, StoreError> {
    tx.fetch_optional(FIND, &[api.into(), digest.into()]).await?.as_ref().map(read).transpose()
}

/// The state of the inventory with this digest.
pub async fn find_state(
    tx: &mut Tx,
    api: &ApiId,
    digest: &Digest32,
) -> Result<Option<InventoryState>, StoreError> {
    let found = tx.fetch_optional(FIND_STATE, &[api.into(), digest.into()]).await?;
    found.map(|row| row.parse(0)).transpose()
}

/// The inventories of an API without their texts, newest first.
pub async fn list(tx: &mut Tx, api: &ApiId) -> Result<Vec<RouteInventory>, StoreError> {
    tx.fetch_all(LIST, &[api.into()]).await?.iter().map(read).collect()
}

/// Those that are approved, with their texts, newest first.
pub async fn list_approved(tx: &mut Tx, api: &ApiId) -> Result<Vec<RouteInventory>, StoreError> {
    tx.fetch_all(LIST_APPROVED, &[api.into()]).await?.iter().map(read).collect()
}

/// Notes the state of an inventory, and who decided so; `false` when it is gone.
pub async fn decide(tx: &mut Tx, inventory: &RouteInventory) -> Result<bool, StoreError> {
    let decided = inventory.decided.as_ref();
    let values = [
        (&inventory.api).into(),
        (&inventory.digest).into(),
        inventory.state.as_str().into(),
        decided.map(|(by, _)| by.as_str()).into(),
        decided.map(|(_, at)| *at).into(),
    ];
    Ok(tx.execute(DECIDE, &values).await? > 0)
}

/// Forgets an inventory; `false` when it is gone.
pub async fn delete(tx: &mut Tx, api: &ApiId, digest: &Digest32) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[api.into(), digest.into()]).await? > 0)
}

/// Forgets all of a state but those that were announced last, and says how many.
pub async fn keep_newest(
    tx: &mut Tx,
    api: &ApiId,
    state: InventoryState,
    most: u32,
) -> Result<u64, StoreError> {
    tx.execute(KEEP_NEWEST, &[api.into(), state.as_str().into(), most.into()]).await
}

fn read(row: &Row) -> Result<RouteInventory, StoreError> {
    let decided_by: Option<String> = row.get(8)?;
    let decided_at = row.get(9)?;
    Ok(RouteInventory {
        api: row.get(0)?,
        digest: row.get(1)?,
        version: Some(row.get::<String>(2)?).filter(|version| !version.is_empty()),
        state: row.parse(3)?,
        routes: row.get(4)?,
        document: row.get(5)?,
        announced: (row.get(6)?, row.get(7)?),
        decided: decided_by.zip(decided_at),
    })
}
