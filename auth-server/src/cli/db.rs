//! `portcullis db`: the schema of the database.

use serde_json::json;

use crate::app;
use crate::app::look::look_at_store;
use crate::cli::args::Db;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Clock;
use crate::keys::master;
use crate::storage::SchemaStatus;

pub(crate) async fn run(context: &Context, command: &Db) -> Result<(), Failure> {
    let config = context.quiet_config()?;
    let status = match command {
        Db::Migrate => {
            master::create_data_dir(config.data_dir()).map_err(app::StartError::from)?;
            app::open_store(&config, &Clock::system()).await?.migrate().await?
        }
        Db::Status => match look_at_store(&config, &Clock::system()).await? {
            Some(store) => store.schema_status().await?,
            None => SchemaStatus::of_nothing(),
        },
    };
    let value = json!({ "applied": status.applied, "known": status.known, "current": status.is_current() });
    let row = [status.applied.to_string(), status.known.to_string(), status.is_current().to_string()];
    output::print(context.format, &value, &Table::new(["APPLIED", "KNOWN", "CURRENT"], [row]))
}
