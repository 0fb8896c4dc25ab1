//! A look at what a start would find.

use std::path::Path;

use crate::app::{StartError, reach, refuse_lost_database, schedule, sealed_data, tls};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::master::{self, DataDir, MasterKey, SealedData};
use crate::keys::ring::KeyRing;
use crate::keys::seal::Sealer;
use crate::mail::Mailer;
use crate::outbound::{Outbound, Resolver};
use crate::services::owners::Owners;
use crate::storage::{SchemaStatus, Store, StoreError};

/// What a start would find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Prospect {
    pub(crate) data_dir: DataDir,
    /// `None` while there is no database: the first start makes it.
    pub(crate) schema: Option<SchemaStatus>,
    pub(crate) master_key: Key,
}

/// Where the master key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    Configured,
    InDataDir,
    /// The first start makes it.
    Missing,
}

/// Looks at everything that a start needs, and refuses what a start would refuse. Nothing is made or changed.
pub(crate) async fn look(config: &Config, clock: &Clock, entropy: &Entropy) -> Result<Prospect, StartError> {
    Owners::of(&config.issuer()).map_err(StartError::Audience)?;
    Outbound::new(&config.reach.outbound, Resolver::System, clock.clone())?;
    Mailer::open(config)?;
    let settings = &config.server.tls;
    tls::open(settings, tls::authorities(settings)?.as_ref())?;
    let data_dir = master::look_at_data_dir(config.data_dir())?;
    let (schema, master_key) = match look_at_store(config, clock).await? {
        None => (None, found(config, MasterKey::find(config, SealedData::None)?.as_ref())),
        Some(store) => {
            let looked = look_inside(config, (clock, entropy), &store).await;
            store.close().await;
            let (schema, master_key) = looked?;
            (Some(schema), master_key)
        }
    };
    if master_key == Key::Missing {
        master::refuse_unwritable(config, data_dir)?;
    }
    Ok(Prospect { data_dir, schema, master_key })
}

/// The database, opened only to look at it. `None` while there is none.
pub(crate) async fn look_at_store(config: &Config, clock: &Clock) -> Result<Option<Store>, StartError> {
    let found = reach(config, async |options| Store::look(options, clock.clone()).await).await?;
    match sqlite_file(config.database_url().expose()) {
        Some(database) if found.is_none() => refuse_missing(config, Path::new(database)).map(|()| None),
        _ => Ok(found),
    }
}

/// A database that is not there is no first start when it was there before, nor where its file could not be made.
fn refuse_missing(config: &Config, database: &Path) -> Result<(), StartError> {
    if master::exists_in(config) {
        return Err(StartError::DatabaseLost { database: database.to_owned() });
    }
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if folder != config.data_dir() && !folder.exists() => {
            let reason = "its folder does not exist".to_owned();
            Err(StoreError::CannotOpen { place: database.display().to_string(), reason }.into())
        }
        _ => Ok(()),
    }
}

async fn look_inside(
    config: &Config,
    (clock, entropy): (&Clock, &Entropy),
    store: &Store,
) -> Result<(SchemaStatus, Key), StartError> {
    refuse_lost_database(config, store).await?;
    let schema = store.schema_status().await?;
    let sealed = if schema.applied == 0 { SealedData::None } else { sealed_data(store).await? };
    let master = MasterKey::find(config, sealed)?;
    if let Some(master) = &master
        && schema.is_current()
    {
        let opener = Sealer::from_master(master, entropy.clone());
        KeyRing::probe(store.clone(), opener, clock.clone(), schedule(config)).await?;
    }
    Ok((schema, found(config, master.as_ref())))
}

const fn found(config: &Config, master: Option<&MasterKey>) -> Key {
    match master {
        None => Key::Missing,
        Some(_) if config.keys.master_key.is_some() => Key::Configured,
        Some(_) => Key::InDataDir,
    }
}

fn sqlite_file(url: &str) -> Option<&str> {
    let file = url.strip_prefix("sqlite:")?;
    Some(file.strip_prefix("//").unwrap_or(file))
}
