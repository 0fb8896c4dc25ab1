//! `portcullis db`: the schema of the database.

use serde_json::json;

use crate::app;
use crate::cli::args::Db;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Clock;
use crate::keys::master;

pub(crate) async fn run(context: &Context, command: &Db) -> Result<(), Failure> {
    let config = context.quiet_config()?;
    master::create_data_dir(config.data_dir()).map_err(app::StartError::from)?;
    let store = app::open_store(&config, &Clock::system()).await?;
    let status = match command {
        Db::Migrate => store.migrate().await?,
        Db::Status => store.schema_status().await?,
    };
    let value = json!({ "applied": status.applied, "known": status.known, "current": status.is_current() });
    let row = [status.applied.to_string(), status.known.to_string(), status.is_current().to_string()];
    output::print(context.format, &value, &Table::new(["APPLIED", "KNOWN", "CURRENT"], [row]))
}
