//! A look at what a start would find.

use std::path::Path;

use crate::app::{StartError, open_store};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::master::{self, MasterKey, SealedData};
use crate::storage::SchemaStatus;

/// What a start would find, without making or changing anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prospect {
    /// There is no database yet: the first start makes it.
    New,
    /// There is one, with this schema.
    There(SchemaStatus),
}

/// Looks at what a start needs: the master key where there is one, and the database.
pub(crate) async fn look(config: &Config, clock: &Clock, entropy: &Entropy) -> Result<Prospect, StartError> {
    if master::is_there(config) {
        MasterKey::obtain(config, SealedData::Exists, entropy)?;
    }
    let url = config.database_url();
    if url.expose().strip_prefix("sqlite:").is_some_and(|file| !Path::new(file).exists()) {
        return Ok(Prospect::New);
    }
    let store = open_store(config, clock).await?;
    let status = store.schema_status().await;
    store.close().await;
    Ok(Prospect::There(status?))
}
