//! Types of details.

use serde_json::Value;

use crate::domain::details::kind::{DetailsType, DetailsTypeName, DetailsTypes};
use crate::domain::details::schema::DetailsSchema;
use crate::domain::ids::ApiId;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO details_types (name, api_id, title, schema, labels, consent) VALUES ($1, $2, $3, $4, $5, $6)";
const ALL: &str = "SELECT name, api_id, title, schema, labels, consent FROM details_types";
const OF_API: &str = "
    SELECT name, api_id, title, schema, labels, consent FROM details_types WHERE api_id = $1 ORDER BY name";
const FIND: &str = "SELECT name, api_id, title, schema, labels, consent FROM details_types WHERE name = $1";
const DELETE: &str = "DELETE FROM details_types WHERE name = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, ALL, OF_API, FIND, DELETE];

/// Adds a type.
pub async fn insert(tx: &mut Tx, kind: &DetailsType) -> Result<(), StoreError> {
    let labels = serde_json::to_string(&kind.labels)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let values = [
        kind.name.as_str().into(),
        (&kind.api).into(),
        kind.title.as_str().into(),
        kind.schema.document().to_string().into(),
        labels.into(),
        kind.consent.as_str().into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// Every type that there is: few, since administrators register them, and kept in memory.
pub async fn all(tx: &mut Tx) -> Result<DetailsTypes, StoreError> {
    tx.fetch_all(ALL, &[]).await?.iter().map(read).collect()
}

/// The types of an API by name.
pub async fn of_api(tx: &mut Tx, api: &ApiId) -> Result<Vec<DetailsType>, StoreError> {
    tx.fetch_all(OF_API, &[api.into()]).await?.iter().map(read).collect()
}

/// The type of this name.
pub async fn find(tx: &mut Tx, name: &DetailsTypeName) -> Result<Option<DetailsType>, StoreError> {
    tx.fetch_optional(FIND, &[name.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// Removes a type; gives whether there was one.
pub async fn delete(tx: &mut Tx, name: &DetailsTypeName) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[name.as_str().into()]).await? > 0)
}

fn read(row: &Row) -> Result<DetailsType, StoreError> {
    let name: DetailsTypeName = row.parse(0)?;
    let document: Value = row.json(3)?;
    let schema = DetailsSchema::parse(name.as_str(), document).map_err(|_| row.corrupt(3))?;
    Ok(DetailsType {
        api: row.get(1)?,
        title: row.get(2)?,
        schema,
        labels: row.json(4)?,
        consent: row.parse(5)?,
        name,
    })
}
