//! `portcullis api`: the services that tokens are for.

mod details_types;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::app::App;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::ids::ApiId;
use crate::domain::issuer::Issuer;
use crate::domain::rbac::Api as Registered;
use crate::domain::signing::SigningAlg;
use crate::services::apis::ApiPatch;
use crate::services::paging::PageQuery;
use crate::services::policies::{activation_path, rules_path};
use crate::services::roles::RoleForm;
use crate::services::version::{Precondition, Version};

/// The most APIs that are read at one time.
const AT_ONCE: u64 = 200;

/// The services that tokens are for.
#[derive(Debug, Subcommand)]
pub(crate) enum Api {
    /// Has what one person wrote take another to put it in force, or no more. Turning it off is what an operator may do, and is on record.
    FourEyes {
        /// Which.
        #[arg(value_enum)]
        switch: Switch,
        #[command(flatten)]
        api: ApiOption,
    },
    /// Prints every API with the page on which its rules are edited.
    List,
    /// Prints the roles of an API, or adds some: rules name them, and accounts and clients are given them.
    Roles {
        #[command(flatten)]
        api: ApiOption,
        /// A role that it has from now on. May be repeated; one that it has already is left as it is.
        #[arg(long, value_name = "ROLE")]
        add: Vec<String>,
    },
    /// Prints the scopes of an API, or sets them: tokens for it say no others.
    Scopes {
        #[command(flatten)]
        api: ApiOption,
        /// The scopes that it has from now on, with one space between them. Nothing between the quotes: it names none.
        #[arg(long, value_name = "SCOPES")]
        to: Option<String>,
    },
    /// Prints what access tokens for an API are signed with, or sets it.
    SigningAlg {
        #[command(flatten)]
        api: ApiOption,
        /// `ES256` (the default), `EdDSA`, `PS256` or `RS256`, from the next token on. Services whose library is older take `RS256`.
        #[arg(long, value_name = "ALG")]
        to: Option<SigningAlg>,
    },
    /// Prints the types of authorization details of an API (RFC 9396), or sets them.
    DetailsTypes {
        #[command(flatten)]
        api: ApiOption,
        /// A file with all the types that it has from now on, as the admin API takes them: `{"items": [..]}`.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// One of two.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// What names the admin API of this server among audiences, which are URLs.
pub(crate) const ADMIN: &str = "admin";

/// Whose rules. There is no default: what is meant for one API must not befall another.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiOption {
    /// The audience of the API, as `api list` prints it. `admin` is the admin API of this server.
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) api: String,
}

/// The same for a command that has commands of its own: it may stand before or behind the name of one.
#[derive(Args, Clone, Debug)]
pub(crate) struct SharedApiOption {
    /// The audience of the API, as `api list` prints it; always needed. `admin` is the admin API of this server.
    #[arg(long, value_name = "AUDIENCE", global = true)]
    api: Option<String>,
}

impl ApiOption {
    pub(crate) async fn find(&self, app: &App) -> Result<Arc<Registered>, Failure> {
        find(app, &self.api).await
    }
}

impl SharedApiOption {
    /// What an option that is shared cannot be in itself: required.
    pub(crate) fn required(&self) -> Result<ApiOption, Failure> {
        let api = self.api.clone().ok_or_else(|| {
            Failure::usage("say whose rules: give --api <AUDIENCE>, as `api list` prints it, or --api admin")
        })?;
        Ok(ApiOption { api })
    }
}

/// The API of this name.
pub(crate) async fn find(app: &App, audience: &str) -> Result<Arc<Registered>, Failure> {
    if audience == ADMIN {
        return Ok(Arc::new(app.apis().admin_api().await?));
    }
    let found = app.store().api_by_audience(audience).await?;
    found.ok_or_else(|| {
        Failure::failed(format!("there is no API {audience}: `api list` prints those that are"))
    })
}

pub(crate) async fn run(context: &Context, command: &Api) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    match command {
        Api::FourEyes { switch, api } => four_eyes(context.format, &app, *switch, api).await,
        Api::List => list(context.format, &app).await,
        Api::Roles { api, add } => roles(context.format, &app, api, add).await,
        Api::Scopes { api, to } => scopes(context.format, &app, api, to.as_deref()).await,
        Api::SigningAlg { api, to } => signing_alg(context.format, &app, api, *to).await,
        Api::DetailsTypes { api, file } => {
            details_types::run(context.format, &app, api, file.as_deref()).await
        }
    }
}

async fn four_eyes(format: Format, app: &App, switch: Switch, api: &ApiOption) -> Result<(), Failure> {
    let wanted = switch == Switch::On;
    let known = app.apis().show(&api.find(app).await?.id).await?;
    let mut now = known.value;
    if now.four_eyes != wanted {
        let patch = ApiPatch { four_eyes: Some(wanted), ..ApiPatch::keeping(&now) };
        now = change(app, now, &patch, known.version).await?;
    }
    let shown =
        json!({ "id": now.id.as_str(), "audience": now.audience.as_str(), "four_eyes": now.four_eyes });
    let row = [now.id.to_string(), now.audience.to_string(), on_or_off(now.four_eyes)];
    output::print(format, &shown, &Table::new(["ID", "AUDIENCE", "FOUR EYES"], [row]))
}

async fn roles(format: Format, app: &App, api: &ApiOption, add: &[String]) -> Result<(), Failure> {
    let id = &api.find(app).await?.id;
    let mut roles = app.roles().list(id).await?;
    for name in add {
        if roles.iter().all(|role| role.name.as_str() != name) {
            let form = RoleForm { name: name.clone(), ..RoleForm::default() };
            roles.push(app.roles().create(id, &form, &operator()).await?);
        }
    }
    let shown: Vec<_> = roles
        .iter()
        .map(|role| {
            json!({ "id": role.id.as_str(), "name": role.name.as_str(), "description": role.description })
        })
        .collect();
    let rows = roles
        .iter()
        .map(|role| [role.id.to_string(), role.name.as_str().to_owned(), role.description.clone()]);
    output::print(format, &shown, &Table::new(["ID", "NAME", "DESCRIPTION"], rows))
}

async fn scopes(format: Format, app: &App, api: &ApiOption, set: Option<&str>) -> Result<(), Failure> {
    let known = app.apis().show(&api.find(app).await?.id).await?;
    let mut now = known.value;
    if let Some(scopes) = set {
        let patch = ApiPatch { scopes: Some(scopes.to_owned()), ..ApiPatch::keeping(&now) };
        now = change(app, now, &patch, known.version).await?;
    }
    let shown = json!({ "id": now.id.as_str(), "audience": now.audience.as_str(), "scopes": now.scopes });
    let row = [now.id.to_string(), now.audience.to_string(), now.scopes.to_string()];
    output::print(format, &shown, &Table::new(["ID", "AUDIENCE", "SCOPES"], [row]))
}

async fn signing_alg(
    format: Format,
    app: &App,
    api: &ApiOption,
    set: Option<SigningAlg>,
) -> Result<(), Failure> {
    let known = app.apis().show(&api.find(app).await?.id).await?;
    let mut now = known.value;
    if let Some(alg) = set {
        let alg = Some(alg.as_str().to_owned());
        let patch = ApiPatch { access_token_signing_alg: alg, ..ApiPatch::keeping(&now) };
        now = change(app, now, &patch, known.version).await?;
    }
    let alg = now.access_tokens.alg.as_str();
    let shown = json!({
        "id": now.id.as_str(), "audience": now.audience.as_str(), "access_token_signing_alg": alg,
    });
    let row = [now.id.to_string(), now.audience.to_string(), alg.to_owned()];
    output::print(format, &shown, &Table::new(["ID", "AUDIENCE", "SIGNING ALG"], [row]))
}

/// Changes an API, unless somebody else did since.
async fn change(app: &App, api: Registered, patch: &ApiPatch, seen: Version) -> Result<Registered, Failure> {
    let changed = app.apis().update(&api.id, patch, &Precondition::Matches(vec![seen]), &operator()).await?;
    Ok(changed.value)
}

fn on_or_off(four_eyes: bool) -> String {
    if four_eyes { "on" } else { "off" }.to_owned()
}

async fn list(format: Format, app: &App) -> Result<(), Failure> {
    let (mut apis, mut after): (Vec<Registered>, _) = (Vec::new(), None);
    loop {
        let page = app.apis().list(&PageQuery::new(after, Some(AT_ONCE))).await?;
        apis.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let issuer = app.served_issuer().await?;
    let shown: Vec<_> = apis
        .iter()
        .map(|api| {
            json!({
                "id": api.id.as_str(),
                "audience": api.audience.as_str(),
                "name": api.name,
                "revision": api.active_revision,
                "four_eyes": api.four_eyes,
                "rules": rules_page(&issuer, &api.id),
            })
        })
        .collect();
    let rows = apis.iter().map(|api| {
        let four_eyes = on_or_off(api.four_eyes);
        let [id, audience] = [api.id.to_string(), api.audience.to_string()];
        [id, audience, api.name.clone(), four_eyes, rules_page(&issuer, &api.id)]
    });
    output::print(format, &shown, &Table::new(["ID", "AUDIENCE", "NAME", "FOUR EYES", "RULES"], rows))
}

/// The address of the page on which the rules of an API are edited.
pub(crate) fn rules_page(issuer: &Issuer, api: &ApiId) -> String {
    issuer.endpoint(&rules_path(api))
}

/// The address of the page on which a second person activates or approves.
pub(crate) async fn approval_page(app: &App, api: &Registered) -> Result<String, Failure> {
    Ok(app.served_issuer().await?.endpoint(&activation_path(&api.id)))
}
