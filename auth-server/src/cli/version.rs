//! `portcullis version`.

use serde_json::json;

use crate::cli::context::Format;
use crate::cli::exit::Failure;
use crate::cli::output;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run(json: bool, format: Format) -> Result<(), Failure> {
    if json || format == Format::Json {
        return output::json(&json!({
            "name": "portcullis",
            "version": VERSION,
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        }));
    }
    output::text(&format!("portcullis {VERSION}\n"))
}
