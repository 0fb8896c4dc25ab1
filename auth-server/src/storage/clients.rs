//! Clients.

use serde::Serialize;

use crate::domain::client::Client;
use crate::domain::client_authentication::{AuthMethod, ClientAuthentication, ClientKeys, ClientSecret};
use crate::domain::client_url::ClientUrl;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO clients (id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
                         post_logout_redirects, scopes, settings, disabled_at, secret_created_at, old_secret_digest,
                         old_secret_created_at, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
// A replica of the version before, which serves beside this one during an update, does not say since when there is a secret.
const FIND: &str = "
    SELECT id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
           post_logout_redirects, scopes, settings, disabled_at, COALESCE(secret_created_at, created_at), old_secret_digest,
           COALESCE(old_secret_created_at, created_at)
      FROM clients WHERE id = $1";
const LIST: &str = "
    SELECT id, name, organisation_id, authentication, secret_digest, jwks, grants, redirects,
           post_logout_redirects, scopes, settings, disabled_at, COALESCE(secret_created_at, created_at), old_secret_digest,
           COALESCE(old_secret_created_at, created_at)
      FROM clients WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE: &str = "
    UPDATE clients
       SET name = $2, organisation_id = $3, authentication = $4, secret_digest = $5, jwks = $6, grants = $7,
           redirects = $8, post_logout_redirects = $9, scopes = $10, settings = $11, disabled_at = $12,
           secret_created_at = $13, old_secret_digest = $14, old_secret_created_at = $15
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
    let mut secrets = client.authentication.secrets.iter();
    let (newest, old) = (secrets.next(), secrets.next());
    Ok(vec![
        (&client.id).into(),
        client.name.as_str().into(),
        client.organisation.as_ref().into(),
        word(client.authentication.method).into(),
        newest.map(digest_of).into(),
        client.authentication.keys.as_ref().map(ToString::to_string).into(),
        json(&client.grants)?,
        json(&client.redirects)?,
        json(&client.post_logout_redirects)?,
        client.scopes.to_string().into(),
        json(&client.settings)?,
        client.disabled_at.into(),
        newest.map(|secret| secret.created_at).into(),
        old.map(digest_of).into(),
        old.map(|secret| secret.created_at).into(),
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

/// The word for a secret that may come either way is older than the registered names.
const EITHER_WAY: &str = "secret";

const fn word(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::ClientSecret => EITHER_WAY,
        method => method.as_str(),
    }
}

fn digest_of(secret: &ClientSecret) -> &[u8] {
    secret.digest.as_bytes().as_slice()
}

/// An unknown word, or one without what belongs to it, is an error and never "no authentication".
fn read_authentication(row: &Row) -> Result<ClientAuthentication, StoreError> {
    let method = match row.get::<String>(3)?.as_str() {
        EITHER_WAY => AuthMethod::ClientSecret,
        word => word.parse().map_err(|_| row.corrupt(3))?,
    };
    let secret = |digest, since| -> Result<Option<ClientSecret>, StoreError> {
        let Some(digest) = row.get::<Option<Digest32>>(digest)? else { return Ok(None) };
        Ok(Some(ClientSecret { digest, created_at: row.get(since)? }))
    };
    let secrets: Vec<_> = [secret(4, 12)?, secret(13, 14)?].into_iter().flatten().collect();
    // A set in JSON is no address.
    let keys = row.get::<Option<String>>(5)?.map(|text| match ClientUrl::parse(&text) {
        Ok(url) => ClientKeys::At(url),
        Err(_) => ClientKeys::Registered(text),
    });
    let lacks =
        method.needs_secret() && secrets.is_empty() || method == AuthMethod::PrivateKeyJwt && keys.is_none();
    if lacks { Err(row.corrupt(3)) } else { Ok(ClientAuthentication { method, secrets, keys }) }
}
