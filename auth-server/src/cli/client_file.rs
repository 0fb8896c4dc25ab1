//! `portcullis client show, update, disable, enable, delete`: one client, and the files that describe it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use crate::app::client_file;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::file;
use crate::cli::output::{self, Table};
use crate::domain::client::Client;
use crate::domain::ids::ClientId;
use crate::services::admin_error::AdminError;
use crate::services::clients::form::ClientForm;
use crate::services::fields::FieldErrors;
use crate::services::version::Precondition;

/// One client.
#[derive(Debug, Subcommand)]
pub(crate) enum One {
    /// Deletes a client with its roles, and with the grants and consents that people gave it.
    Delete {
        /// Which, as `client list` prints it.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Switches a client off: nothing is issued to it any more, and what it holds is refused.
    Disable {
        /// Which.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Switches a client on again.
    Enable {
        /// Which.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Prints all that is set for a client as JSON: the document that `update --file` and the admin API take.
    Show {
        /// Which.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Replaces all that can be changed about a client. Its preset and its secrets stay.
    Update {
        /// Which.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
        /// The document, as `client show` prints it. `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}

pub(crate) async fn run(context: &Context, command: &One) -> Result<(), Failure> {
    let (One::Delete { client }
    | One::Disable { client }
    | One::Enable { client }
    | One::Show { client }
    | One::Update { client, .. }) = command;
    let id = named(client)?;
    if let One::Update { file, .. } = command {
        let form = read(file)?;
        let app = context.existing_app().await?;
        let changed = app.clients().update(&id, &form, &Precondition::Any, &operator()).await;
        return told(context.format, &changed.map_err(|error| refused(file, error))?.value);
    }
    let app = context.existing_app().await?;
    match command {
        One::Delete { .. } => {
            app.clients().delete(&id, &operator()).await?;
            let value = json!({ "client_id": id.as_str(), "state": "deleted" });
            output::done(context.format, &value, &format!("{id} is deleted"))
        }
        One::Disable { .. } => told(context.format, &app.clients().disable(&id, &operator()).await?.value),
        One::Enable { .. } => told(context.format, &app.clients().enable(&id, &operator()).await?.value),
        One::Show { .. } | One::Update { .. } => show(app.clients().show(&id).await?.value),
    }
}

/// The client that an argument names.
pub(super) fn named(client: &str) -> Result<ClientId, Failure> {
    ClientId::parse(client).map_err(|_| Failure::usage(format!("`{client}` is no client id")))
}

/// The client that a file describes.
pub(super) fn read(file: &Path) -> Result<ClientForm, Failure> {
    client_file::read(&file::read(file)?).map_err(|errors| wrong(file, &errors))
}

/// Why what a file describes was not done: what is wrong with it, a line for each.
pub(super) fn refused(file: &Path, error: AdminError) -> Failure {
    match error {
        AdminError::Invalid(errors) => wrong(file, &errors),
        other => other.into(),
    }
}

fn wrong(file: &Path, errors: &FieldErrors) -> Failure {
    let lines: Vec<String> =
        errors.iter().map(|error| format!("\n  {} {}", error.pointer, error.message)).collect();
    Failure::failed(format!("{}: some fields cannot be accepted{}", file::shown(file), lines.concat()))
}

fn show(client: Client) -> Result<(), Failure> {
    if !client.is_enabled() {
        eprintln!("portcullis: this client is switched off");
    }
    let overridden = client.overridden();
    if !overridden.is_empty() {
        eprintln!(
            "portcullis: this client is held to more than is set, by its profile or by what it is. In force is:"
        );
    }
    for (setting, holds) in overridden {
        eprintln!("  {setting}: {holds}");
    }
    let document = client_file::write(client).map_err(Failure::failed)?;
    output::text(&format!("{document}\n"))
}

fn told(format: Format, client: &Client) -> Result<(), Failure> {
    let state = if client.is_enabled() { "enabled" } else { "disabled" };
    let value = json!({ "client_id": client.id.as_str(), "name": client.name, "state": state });
    let row = [client.id.to_string(), client.name.clone(), state.to_owned()];
    output::print(format, &value, &Table::new(["CLIENT ID", "NAME", "STATE"], [row]))
}
