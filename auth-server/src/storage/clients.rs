//! Clients.

use serde::Serialize;

use crate::domain::client::{Client, ClientAuthentication};
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO clients (id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
                         post_logout_redirects, scopes, settings, disabled_at, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const FIND: &str = "
    SELECT id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
           post_logout_redirects, scopes, settings, disabled_at
      FROM clients WHERE id = $1";
const LIST: &str = "
    SELECT id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
           post_logout_redirects, scopes, settings, disabled_at
      FROM clients WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE: &str = "
    UPDATE clients
       SET name = $2, organisation_id = $3, authentication = $4, secret_digest = $5, jwks = $6, grants = $7,
           redirects = $8, post_logout_redirects = $9, scopes = $10, settings = $11, disabled_at = $12
     WHERE id = $1";

const DELETE: &str = "DELETE FROM clients WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, LIST, UPDATE, DELETE];

/// Adds a client.
pub async fn insert(tx: &mut Tx, client: &Client) -> Result<(), StoreError> {
    let mut values = values(client)?;
    values.push(tx.now().into());
    tx.execute(INSERT, &values).await.map(drop)
}

/// The client with this identifier.
pub async fn find(tx: &mut Tx, id: &ClientId) -> Result<Option<Client>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// The clients behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Client>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Changes everything but the identifier; gives whether there is such a client.
pub async fn update(tx: &mut Tx, client: &Client) -> Result<bool, StoreError> {
    Ok(tx.execute(UPDATE, &values(client)?).await? > 0)
}

/// Removes a client with its flows, grants and consents; gives whether there was one.
pub async fn delete(tx: &mut Tx, id: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

fn values(client: &Client) -> Result<Vec<Value<'_>>, StoreError> {
    let (authentication, digest, jwks) = match &client.authentication {
        ClientAuthentication::None => ("none", None, None),
        ClientAuthentication::PrivateKeyJwt(jwks) => ("private_key_jwt", None, Some(jwks.as_str())),
        ClientAuthentication::PrivateKeyJwtAt(url) => ("private_key_jwt_at", None, Some(url.as_str())),
        ClientAuthentication::Secret(digest) => ("secret", Some(digest.as_bytes().as_slice()), None),
    };
    Ok(vec![
        (&client.id).into(),
        client.name.as_str().into(),
        client.organisation.as_ref().into(),
        authentication.into(),
        digest.into(),
        jwks.into(),
        json(&client.grants)?,
        json(&client.redirects)?,
        json(&client.post_logout_redirects)?,
        client.scopes.to_string().into(),
        json(&client.settings)?,
        client.disabled_at.into(),
    ])
}

fn json<'a>(value: &impl Serialize) -> Result<Value<'a>, StoreError> {
    serde_json::to_string(value)
        .map(Value::from)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

fn read(row: &Row) -> Result<Client, StoreError> {
    Ok(Client {
        id: row.get(0)?,
        name: row.get(1)?,
        organisation: row.get(2)?,
        authentication: read_authentication(row)?,
        grants: row.json(6)?,
        redirects: row.json(7)?,
        post_logout_redirects: row.json(8)?,
        scopes: row.get(9)?,
        settings: row.json(10)?,
        disabled_at: row.get(11)?,
    })
}

/// An unknown word, or one without what belongs to it, is an error and never "no authentication".
fn read_authentication(row: &Row) -> Result<ClientAuthentication, StoreError> {
    match row.get::<String>(3)?.as_str() {
        "none" => Ok(ClientAuthentication::None),
        "private_key_jwt" => row.get(5).map(ClientAuthentication::PrivateKeyJwt),
        // The column holds where the set is, and not the set.
        "private_key_jwt_at" => row.parse(5).map(ClientAuthentication::PrivateKeyJwtAt),
        "secret" => row.get::<Digest32>(4).map(ClientAuthentication::Secret),
        _ => Err(row.corrupt(3)),
    }
}
