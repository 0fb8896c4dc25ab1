//! `portcullis registration`: clients that come by themselves.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Clock;
use crate::domain::ids::InitialTokenId;
use crate::domain::registration::InitialToken;
use crate::services::caller::Caller;
use crate::services::paging::PageQuery;
use crate::services::registration::admin::InitialTokenForm;

/// Clients that come by themselves.
#[derive(Debug, Subcommand)]
pub(crate) enum Registration {
    /// Prints every client that registered itself or that a document describes.
    List,
    /// Switches such a client off: nothing is issued to it any more.
    Disable {
        /// Which one, as `registration list` prints it.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Switches such a client on again.
    Enable {
        /// Which one, as `registration list` prints it.
        #[arg(value_name = "CLIENT_ID")]
        client: String,
    },
    /// Makes a token that lets clients register, and prints it. It is shown this once.
    CreateToken(CreateToken),
    /// Prints the tokens that let clients register.
    ListTokens,
    /// Takes a token away. Clients that registered by it stay.
    DeleteToken {
        /// Which one, as `registration list-tokens` prints it.
        #[arg(value_name = "TOKEN_ID")]
        token: String,
    },
}

/// A new token.
#[derive(Args, Debug)]
pub(crate) struct CreateToken {
    /// What people call it.
    #[arg(long)]
    name: String,
    /// How many clients may register by it.
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// For how many days it counts.
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// A grant that a client may have. May be repeated. Without it: `authorization_code` and `refresh_token`.
    #[arg(long, value_name = "GRANT")]
    grant: Vec<String>,
    /// Scopes that a client may ask for, with spaces between them.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A host where answers may be sent. May be repeated. Without it: every host.
    #[arg(long, value_name = "HOST")]
    redirect_host: Vec<String>,
    /// The id of an API that a client may ask tokens for. May be repeated.
    #[arg(long, value_name = "API_ID")]
    api: Vec<String>,
}

pub(crate) async fn run(context: &Context, command: &Registration) -> Result<(), Failure> {
    match command {
        Registration::List => list(context).await,
        Registration::Disable { client } => switch(context, client, false).await,
        Registration::Enable { client } => switch(context, client, true).await,
        Registration::CreateToken(create) => Box::pin(create_token(context, create)).await,
        Registration::ListTokens => list_tokens(context).await,
        Registration::DeleteToken { token } => delete_token(context, token).await,
    }
}

fn operator() -> Caller {
    Caller::operator(Clock::system().now())
}

async fn list(context: &Context) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let (mut found, mut query) = (Vec::new(), PageQuery::default());
    loop {
        let page = app.registrations().list(&query).await?;
        found.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query = PageQuery::new(page.next, None);
    }
    let rows: Vec<[String; 4]> = found
        .iter()
        .map(|(registration, client)| {
            let state = if client.is_enabled() { "enabled" } else { "disabled" };
            [
                client.id.to_string(),
                client.name.clone(),
                registration.source.as_str().to_owned(),
                state.to_owned(),
            ]
        })
        .collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|[id, name, source, state]| json!({ "client_id": id, "name": name, "source": source, "state": state }))
        .collect();
    output::print(context.format, &shown, &Table::new(["CLIENT ID", "NAME", "SOURCE", "STATE"], rows))
}

async fn switch(context: &Context, client: &str, on: bool) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let id = app.registrations().find(client).await?;
    let after = if on {
        app.clients().enable(&id, &operator()).await?
    } else {
        app.clients().disable(&id, &operator()).await?
    };
    let state = if after.value.is_enabled() { "enabled" } else { "disabled" };
    let value = json!({ "client_id": id.as_str(), "state": state });
    let row = [id.to_string(), state.to_owned()];
    output::print(context.format, &value, &Table::new(["CLIENT ID", "STATE"], [row]))
}

async fn create_token(context: &Context, create: &CreateToken) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let form = InitialTokenForm {
        name: create.name.clone(),
        uses: Some(create.uses),
        days: Some(create.days),
        grants: create.grant.clone(),
        scopes: create.scope.clone(),
        redirect_hosts: create.redirect_host.clone(),
        apis: create.api.clone(),
    };
    let made = app.registrations().create_token(&form, &operator()).await?;
    let value = json!({ "id": made.token.id.as_str(), "name": made.token.name,
        "expires_at": made.token.expires_at.rfc3339(), "initial_access_token": made.secret.expose() });
    output::print(context.format, &value, &Table::new(COLUMNS, [row(&made.token)]))?;
    if context.format == Format::Json {
        return Ok(());
    }
    output::text(&format!("\nToken (shown this once, keep it safe):\n{}\n", made.secret.expose()))
}

async fn list_tokens(context: &Context) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let (mut tokens, mut query) = (Vec::new(), PageQuery::default());
    loop {
        let page = app.registrations().list_tokens(&query).await?;
        tokens.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query = PageQuery::new(page.next, None);
    }
    let shown: Vec<_> = tokens
        .iter()
        .map(|token| {
            json!({ "id": token.id.as_str(), "name": token.name, "uses_left": token.uses_left,
                "expires_at": token.expires_at.rfc3339() })
        })
        .collect();
    output::print(context.format, &shown, &Table::new(COLUMNS, tokens.iter().map(row)))
}

async fn delete_token(context: &Context, token: &str) -> Result<(), Failure> {
    let id = InitialTokenId::parse(token)
        .map_err(|_| Failure::usage(format!("`{token}` is no id of a token: it begins with iat_")))?;
    let app = context.existing_app().await?;
    app.registrations().delete_token(&id, &operator()).await?;
    let value = json!({ "id": id.as_str(), "state": "deleted" });
    output::print(
        context.format,
        &value,
        &Table::new(["ID", "STATE"], [[id.to_string(), "deleted".to_owned()]]),
    )
}

/// What is printed of a token.
const COLUMNS: [&str; 4] = ["ID", "NAME", "USES LEFT", "EXPIRES"];

fn row(token: &InitialToken) -> [String; 4] {
    [token.id.to_string(), token.name.clone(), token.uses_left.to_string(), token.expires_at.rfc3339()]
}
