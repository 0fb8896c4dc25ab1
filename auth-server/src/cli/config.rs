//! `portcullis config`: looks at the configuration without starting anything.

use crate::cli::args::ConfigCommand;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Config;
use crate::config::show::SourceNotes;

pub(crate) fn run(context: &Context, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            let loaded = context.load()?;
            output::text(&format!("The configuration is right. The issuer is {}.\n", loaded.config.issuer()))
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
