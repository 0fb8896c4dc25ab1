//! `portcullis bootstrap`: begins the administration of a new server.

use serde_json::json;

use crate::cli::args::Bootstrap;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::domain::audit::Actor;
use crate::domain::issuer::Issuer;
use crate::domain::secret::OpaqueToken;

pub(crate) async fn run(context: &Context, command: &Bootstrap) -> Result<(), Failure> {
    let Bootstrap::Admin { .. } = command;
    let app = context.app().await?;
    let link = app.setup().issue_link(Actor::Operator).await?;
    let link = setup_link(&app.served_issuer().await?, &link);
    match context.format {
        Format::Json => output::json(&json!({ "link": link })),
        Format::Table => output::text(&format!("{link}\n")),
    }
}

/// The link that makes the first administrator. The secret is behind the `#`: browsers send that part to nobody, so no log
/// of a server or a proxy has it.
pub(crate) fn setup_link(issuer: &Issuer, code: &OpaqueToken) -> String {
    format!("{}#k={}", issuer.endpoint("/setup"), code.expose())
}
