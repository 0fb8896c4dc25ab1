//! `portcullis config`: looks at the configuration without starting anything.

use serde_json::json;

use crate::app::look::{Prospect, look};
use crate::cli::args::ConfigCommand;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Config;
use crate::config::show::SourceNotes;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;

pub(crate) async fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let config = context.quiet_config()?;
            let prospect = look(&config, &Clock::system(), &Entropy::os()).await?;
            print(context.format, config.issuer().as_str(), prospect)
        }
        ConfigCommand::Schema => output::json(&Config::schema()),
        ConfigCommand::Show { sources } => {
            let loaded = context.load()?;
            let notes = if *sources { SourceNotes::Shown } else { SourceNotes::Hidden };
            match context.format {
                Format::Json => output::json(&loaded.values()),
                Format::Table => output::text(&loaded.to_toml(notes)),
            }
        }
    }
}

fn print(format: Format, issuer: &str, prospect: Prospect) -> Result<(), Failure> {
    let (database, status) = match prospect {
        Prospect::New => ("is made at the first start".to_owned(), None),
        Prospect::There(status) if status.is_current() => ("is up to date".to_owned(), Some(status)),
        Prospect::There(status) => (
            format!("has schema {}, and a start brings it to {}", status.applied, status.known),
            Some(status),
        ),
    };
    match format {
        Format::Json => output::json(&json!({
            "issuer": issuer,
            "schema": status.map(|status| json!({ "applied": status.applied, "known": status.known })),
        })),
        Format::Table => output::text(&format!(
            "The configuration is right. The issuer is {issuer}. The database {database}.\n"
        )),
    }
}
