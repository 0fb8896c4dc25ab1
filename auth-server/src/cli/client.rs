//! `portcullis client`: the programs that ask for tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::app::App;
use crate::cli::api;
use crate::cli::client_file::{self, One};
use crate::cli::client_proof::ProofFlags;
use crate::cli::client_secret::{self, Secret};
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::cli::snippet::{self, Snippet};
use crate::domain::client::Client as Registered;
use crate::domain::client_protocol::SenderConstraint;
use crate::domain::secret::OpaqueToken;
use crate::services::clients::CreatedClient;
use crate::services::clients::form::{ClientForm, ClientOptions};
use crate::services::clients::openid::OpenIdForm;
use crate::services::clients::protocol::ProtocolForm;
use crate::services::paging::PageQuery;
use crate::services::provision::ClientOrder;

/// The programs that ask for tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Registers a client and prints its id and its secret. The secret is shown this once.
    Create(Box<Create>),
    /// Prints every client.
    List,
    #[command(flatten)]
    One(One),
    /// The secrets of a client, of which two may work at once.
    #[command(subcommand)]
    Secret(Secret),
    /// Prints a configuration with this client for another program. It names the secret and never has it.
    Snippet(Snippet),
}

/// A new client.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// The whole client as the admin API takes it, and as `client show` prints it: JSON, with everything that can be set. It takes the
    /// place of all other options. `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = DESCRIBED)]
    file: Option<PathBuf>,
    /// What kind of program it is; everything else follows from that.
    #[arg(long, value_enum, required_unless_present = "file")]
    preset: Option<Preset>,
    /// What people call it: the consent page shows this name.
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// Where people are sent.
    #[command(flatten)]
    returns: ReturnFlags,
    /// An API that it may ask tokens for; for a service: the API that it serves, which is created when it does not exist.
    /// May be repeated.
    #[arg(long, value_name = "AUDIENCE")]
    api: Vec<String>,
    /// Gives the client itself this role in its one API. May be repeated.
    #[arg(long, value_name = "ROLE", requires = "api")]
    role: Vec<String>,
    /// What it may ask for.
    #[command(flatten)]
    asks: AskFlags,
    /// What it is told of sign-outs.
    #[command(flatten)]
    told: ToldFlags,
    /// It belongs to the owner of this server, so nobody is asked for consent.
    #[arg(long)]
    first_party: bool,
    /// How it proves who it is, and what it is held to.
    #[command(flatten)]
    proof: ProofFlags,
}

/// What describes a client where no file does. A group that has others in it has no members of its own for clap: those of `ProofFlags`
/// are named.
const DESCRIBED: [&str; 16] = [
    "preset",
    "name",
    "api",
    "role",
    "first_party",
    "ReturnFlags",
    "AskFlags",
    "ToldFlags",
    "profile",
    "auth_method",
    "jwks",
    "dpop_bound",
    "certificate_bound",
    "CertificateFlags",
    "SigningFlags",
    "ConcessionFlags",
];

/// Where people are sent from here.
#[derive(Args, Debug)]
struct ReturnFlags {
    /// Where answers may be sent. May be repeated.
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Where people may be sent after signing out. May be repeated.
    #[arg(long, value_name = "URI")]
    post_logout_redirect_uri: Vec<String>,
}

/// What a client may ask for.
#[derive(Args, Debug)]
struct AskFlags {
    /// Scopes that it may ask for, with spaces between them. Without it: what the preset gives.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A type of authorization details that it may ask for (RFC 9396), of one of its APIs. May be repeated.
    #[arg(long, value_name = "TYPE")]
    details_type: Vec<String>,
}

/// What a client is told of sign-outs.
#[derive(Args, Debug)]
struct ToldFlags {
    /// Where it is told when somebody signs out (OpenID Connect Back-Channel Logout).
    #[arg(long, value_name = "URI")]
    backchannel_logout_uri: Option<String>,
    /// It needs the session in what it is told there.
    #[arg(long, requires = "backchannel_logout_uri")]
    backchannel_logout_session_required: bool,
}

/// What kind of program a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Preset {
    /// A device without a browser: people type its code on another one.
    Device,
    /// A program that acts for itself, without a person.
    M2m,
    /// A program on somebody's device.
    Native,
    /// A backend that is guarded and fetches its policy.
    Service,
    /// A program in a browser, without a backend.
    Spa,
    /// A web application with a backend that keeps a secret.
    Web,
}

pub(crate) async fn run(context: &Context, command: &Client) -> Result<(), Failure> {
    match command {
        Client::Create(create) => Box::pin(self::create(context, create)).await,
        Client::List => list(context).await,
        Client::One(command) => Box::pin(client_file::run(context, command)).await,
        Client::Secret(command) => client_secret::run(context, command).await,
        Client::Snippet(command) => Box::pin(snippet::run(context, command)).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let (mut clients, mut query) = (Vec::new(), PageQuery::default());
    loop {
        let page = app.clients().list(&query).await?;
        clients.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query = PageQuery::new(page.next, None);
    }
    let state = |client: &Registered| if client.is_enabled() { "enabled" } else { "disabled" };
    let shown: Vec<_> = clients
        .iter()
        .map(|client| {
            let preset = client.settings.preset.as_str();
            json!({ "client_id": client.id.as_str(), "name": client.name, "preset": preset, "state": state(client) })
        })
        .collect();
    let rows = clients.iter().map(|client| {
        let preset = client.settings.preset.as_str().to_owned();
        [client.id.to_string(), client.name.clone(), preset, state(client).to_owned()]
    });
    output::print(context.format, &shown, &Table::new(["CLIENT ID", "NAME", "PRESET", "STATE"], rows))
}

async fn create(context: &Context, create: &Create) -> Result<(), Failure> {
    let (created, app) = match &create.file {
        Some(file) => {
            let form = client_file::read(file)?;
            let app = context.app().await?;
            let created = app.clients().create(&form, &operator()).await;
            (created.map_err(|error| client_file::refused(file, error))?, app)
        }
        None => Box::pin(described(context, create)).await?,
    };
    let settings = &created.client.value.settings;
    let apis = settings.apis.iter().chain(&settings.serves);
    let issuer = app.served_issuer().await?;
    let rules: Vec<String> = apis.map(|api| api::rules_page(&issuer, api)).collect();
    print(context.format, &created, &rules)
}

/// A client by its options.
async fn described(context: &Context, create: &Create) -> Result<(CreatedClient, App), Failure> {
    let form = create.form()?;
    let app = context.app().await?;
    let order = ClientOrder { form, audiences: create.api.clone(), roles: create.role.clone() };
    Ok((app.provision().client(order, &operator()).await?, app))
}

impl Create {
    fn check(&self, preset: Preset) -> Result<(), Failure> {
        if preset == Preset::Service && self.api.len() != 1 {
            return Err(Failure::usage("a service serves one API: give its audience with --api"));
        }
        if !self.role.is_empty() && self.api.len() != 1 {
            return Err(Failure::usage("--role needs exactly one --api, whose role it is"));
        }
        Ok(())
    }

    /// The client; its APIs are ordered beside it.
    fn form(&self) -> Result<ClientForm, Failure> {
        let (Some(preset), Some(name)) = (self.preset, &self.name) else {
            return Err(Failure::usage("describe the client with --preset and --name, or with --file"));
        };
        self.check(preset)?;
        let protocol = ProtocolForm {
            backchannel_logout_uri: self.told.backchannel_logout_uri.clone(),
            backchannel_logout_session_required: self.told.backchannel_logout_session_required,
            sender_constraint: SenderConstraint {
                dpop_bound_access_tokens: self.proof.dpop_bound,
                tls_client_certificate_bound_access_tokens: self.proof.certificate_bound,
            },
            openid: OpenIdForm {
                request_object_signing_alg: self.proof.signing.request_object_signing_alg.clone(),
                ..OpenIdForm::default()
            },
            ..ProtocolForm::default()
        };
        let options = ClientOptions {
            profile: self.proof.profile.clone(),
            first_party: self.first_party,
            authentication: self.proof.authentication(),
            concessions: self.proof.concessions(),
            protocol,
            authorization_details_types: self.asks.details_type.clone(),
            ..ClientOptions::default()
        };
        Ok(ClientForm {
            name: name.clone(),
            preset: preset.as_str().to_owned(),
            organisation: None,
            redirect_uris: self.returns.redirect_uri.clone(),
            post_logout_redirect_uris: self.returns.post_logout_redirect_uri.clone(),
            scopes: self.asks.scope.clone(),
            apis: Vec::new(),
            serves: None,
            jwks: self.proof.jwks()?,
            options,
        })
    }
}

impl Preset {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::M2m => "m2m",
            Self::Native => "native",
            Self::Service => "service",
            Self::Spa => "spa",
            Self::Web => "web",
        }
    }
}

fn print(format: Format, created: &CreatedClient, rules: &[String]) -> Result<(), Failure> {
    let client = &created.client.value;
    let secret = created.secret.as_ref().map(OpaqueToken::expose);
    let value = json!({ "client_id": client.id.as_str(), "name": client.name, "client_secret": secret, "rules": rules });
    let row = [client.id.to_string(), client.name.clone()];
    output::print(format, &value, &Table::new(["CLIENT ID", "NAME"], [row]))?;
    if format == Format::Json {
        return Ok(());
    }
    if let Some(secret) = secret {
        output::text(&format!("\nSecret (shown this once, keep it safe):\n{secret}\n"))?;
    }
    for address in rules {
        output::text(&format!("\nRules of the API: {address}\n"))?;
    }
    Ok(())
}
