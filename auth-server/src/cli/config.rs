//! `portcullis config`: looks at the configuration without starting anything.

use serde_json::json;

use crate::app::look::{Key, Prospect, look};
use crate::cli::args::ConfigCommand;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::master::DataDir;
use crate::storage::SchemaStatus;

pub(crate) async fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let config = context.quiet_config()?;
            let prospect = look(&config, &Clock::system(), &Entropy::os()).await?;
            print(context.format, config.issuer().as_str(), prospect)
        }
        ConfigCommand::Schema => output::json(&Config::schema()),
        ConfigCommand::Show => {
            let loaded = context.load()?;
            match context.format {
                Format::Json => output::json(&loaded.values()),
                Format::Table => output::text(&loaded.to_toml()),
            }
        }
    }
}

fn print(format: Format, issuer: &str, prospect: Prospect) -> Result<(), Failure> {
    let data_dir = match prospect.data_dir {
        DataDir::Exists => "exists",
        DataDir::Missing => "missing",
    };
    let master_key = match prospect.master_key {
        Key::Configured => "configured",
        Key::InDataDir => "in the data folder",
        Key::Missing => "missing",
    };
    match format {
        Format::Json => output::json(&json!({
            "issuer": issuer,
            "data_dir": data_dir,
            "schema": prospect.schema.map(|status| json!({
                "applied": status.applied, "known": status.known, "current": status.is_current(),
            })),
            "master_key": master_key,
        })),
        Format::Table => output::text(&format!(
            "The configuration is right. The issuer is {issuer}.\n\
             Data folder  {}\nDatabase     {}\nMaster key   {}\n",
            to_come(data_dir),
            schema(prospect.schema),
            to_come(master_key)
        )),
    }
}

/// What is missing is made by a start.
fn to_come(found: &str) -> &str {
    if found == "missing" { "will be made by the first start" } else { found }
}

fn schema(status: Option<SchemaStatus>) -> String {
    match status {
        None => to_come("missing").to_owned(),
        Some(status) if status.is_current() => format!("up to date, schema {}", status.applied),
        Some(status) => format!("schema {}, which a start brings to {}", status.applied, status.known),
    }
}
