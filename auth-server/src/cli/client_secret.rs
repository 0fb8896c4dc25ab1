//! `portcullis client secret`: the secrets of a client, of which two may work at once.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::client_file;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::ClientId;
use crate::services::caller::Caller;
use crate::services::clients::secrets::NewSecret;

/// The secrets of a client.
#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Makes a second secret and prints it. The first one goes on working until it is retired.
    Add {
        /// Whose secret, as `client list` prints it.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Prints which secrets a client has, and when each was used last.
    List {
        /// Whose secrets.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Has one of two secrets stop working at once.
    Retire {
        /// Whose secret.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
        /// Which, as `client secret list` prints it.
        #[arg(value_name = "SECRET_ID")]
        secret: String,
    },
    /// Makes a new secret and prints it. All others stop working at once: for one that leaked.
    Rotate {
        /// Whose secret.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
}

pub(crate) async fn run(context: &Context, command: &Secret) -> Result<(), Failure> {
    let (Secret::Add { client }
    | Secret::List { client }
    | Secret::Retire { client, .. }
    | Secret::Rotate { client }) = command;
    let id = client_file::named(client)?;
    let app = context.existing_app().await?;
    let caller = Caller::operator(Clock::system().now());
    match command {
        Secret::Add { .. } => shown(context, &id, &app.clients().add_secret(&id, &caller).await?),
        Secret::List { .. } => {
            let known = app.clients().secrets(&id).await?;
            let used = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
            let values: Vec<Value> = known
                .iter()
                .map(|secret| {
                    json!({ "secret_id": secret.name, "created_at": secret.created_at.rfc3339(),
                        "last_used_at": used(secret.last_used_at) })
                })
                .collect();
            let rows = known.iter().map(|secret| {
                let last = used(secret.last_used_at).unwrap_or_else(|| "never".to_owned());
                [secret.name.clone(), secret.created_at.rfc3339(), last]
            });
            output::print(context.format, &values, &Table::new(["SECRET ID", "CREATED", "LAST USED"], rows))
        }
        Secret::Retire { secret, .. } => {
            app.clients().retire_secret(&id, secret, &caller).await?;
            let value = json!({ "client_id": id.as_str(), "secret_id": secret });
            output::print(context.format, &value, &Table::new(["RETIRED"], [[secret.clone()]]))
        }
        Secret::Rotate { .. } => shown(context, &id, &app.clients().rotate_secret(&id, &caller).await?),
    }
}

fn shown(context: &Context, client: &ClientId, made: &NewSecret) -> Result<(), Failure> {
    let secret = made.secret.expose();
    let value = json!({ "client_id": client.as_str(), "secret_id": made.name, "client_secret": secret });
    let row = [made.name.clone(), secret.to_owned()];
    output::print(context.format, &value, &Table::new(["SECRET ID", "CLIENT SECRET"], [row]))
}
