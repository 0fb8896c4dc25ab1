//! What clients that came by themselves look like.

use crate::domain::ids::ClientId;
use crate::domain::registration::Logo;
use crate::storage::{StoreError, Tx};

const KEEP: &str = "
    INSERT INTO client_logos (client_id, uri, name, image) VALUES ($1, $2, $3, $4)
    ON CONFLICT (client_id) DO UPDATE SET uri = excluded.uri, name = excluded.name, image = excluded.image";
const URI: &str = "SELECT uri FROM client_logos WHERE client_id = $1";
const NAME: &str = "SELECT name FROM client_logos WHERE client_id = $1";
const IMAGE: &str = "SELECT image FROM client_logos WHERE name = $1 LIMIT 1";
const FORGET: &str = "DELETE FROM client_logos WHERE client_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[KEEP, URI, NAME, IMAGE, FORGET];

/// Keeps the logo of a client in the place of the one before.
pub async fn keep(tx: &mut Tx, client: &ClientId, logo: &Logo) -> Result<(), StoreError> {
    let name = logo.name();
    let values =
        [client.into(), logo.uri.as_str().into(), name.as_str().into(), logo.image.as_slice().into()];
    tx.execute(KEEP, &values).await.map(drop)
}

/// Where the logo of a client came from, if it has one.
pub async fn uri(tx: &mut Tx, client: &ClientId) -> Result<Option<String>, StoreError> {
    tx.fetch_optional(URI, &[client.into()]).await?.map(|row| row.get(0)).transpose()
}

/// What the logo of a client is served as, if it has one.
pub async fn name(tx: &mut Tx, client: &ClientId) -> Result<Option<String>, StoreError> {
    tx.fetch_optional(NAME, &[client.into()]).await?.map(|row| row.get(0)).transpose()
}

/// The image of this name.
pub async fn image(tx: &mut Tx, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    tx.fetch_optional(IMAGE, &[name.into()]).await?.map(|row| row.get(0)).transpose()
}

/// Forgets the logo of a client.
pub async fn forget(tx: &mut Tx, client: &ClientId) -> Result<(), StoreError> {
    tx.execute(FORGET, &[client.into()]).await.map(drop)
}
