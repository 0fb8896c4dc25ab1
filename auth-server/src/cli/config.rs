//! `portcullis config`: looks at the configuration without starting anything.

use crate::cli::args::{Cli, ConfigCommand, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Config;
use crate::config::show::SourceNotes;

pub(crate) fn run(cli: &Cli, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let loaded = cli.load()?;
            output::text(&format!("The configuration is right. The issuer is {}.\n", loaded.config.issuer()))
        }
        ConfigCommand::Schema => output::json(&Config::schema()),
        ConfigCommand::Show { sources } => {
            let loaded = cli.load()?;
            let notes = if *sources { SourceNotes::Shown } else { SourceNotes::Hidden };
            match cli.format {
                Format::Json => output::json(&loaded.values()),
                Format::Table => output::text(&loaded.to_toml(notes)),
            }
        }
    }
}
