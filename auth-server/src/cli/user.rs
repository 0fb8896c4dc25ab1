//! `portcullis user`: accounts.

mod import;
mod invite;
mod passkeys;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::cli::api;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::cli::prompt::PasswordSource;
use crate::domain::clock::Timestamp;
use crate::domain::ids::PasskeyId;
use crate::domain::user::User as Account;
use crate::services::paging::PageQuery;
use crate::services::provision::UserOrder;
use crate::services::users::UserQuery;
use crate::services::users::consents::NamedConsent;
use crate::services::users::form::UserForm;
use crate::services::users::profile::ProfileForm;

/// Accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Prints what a person allowed applications.
    Consents {
        /// What the person types to sign in.
        username: String,
    },
    /// Creates an account and prints its identifiers.
    Create(Create),
    /// Gives an account a role that it does not have.
    Grant(Grant),
    /// Takes accounts over from another system, with the hashes of their passwords.
    Import(import::Import),
    /// Prints the invitations that nobody took yet.
    Invitations,
    /// Invites somebody: a letter goes there, by whose link they make an account.
    Invite(invite::Invite),
    /// Sends the letter of an invitation again, with another link. The one before works no longer.
    InviteAgain {
        /// Which, as `user invitations` prints it.
        #[arg(value_name = "INVITATION")]
        invitation: String,
    },
    /// Prints every account.
    List,
    /// Sets the password of an account. Whoever was signed in with the old one is no longer.
    Password {
        /// What the person types to sign in.
        username: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Prints the passkeys of an account.
    Passkeys {
        /// What the person types to sign in.
        username: String,
    },
    /// Removes a passkey of an account. Whoever was signed in is no longer.
    RemovePasskey {
        /// What the person types to sign in.
        username: String,
        /// Which: see `portcullis user passkeys`.
        passkey: PasskeyId,
    },
    /// Removes the second step of an account and its passkeys, for somebody who lost all that passes it. Whoever was signed in is no longer.
    ResetSecondStep {
        /// What the person types to sign in.
        username: String,
    },
    /// Takes an invitation back: its link works no longer.
    Uninvite {
        /// Which, as `user invitations` prints it.
        #[arg(value_name = "INVITATION")]
        invitation: String,
    },
    /// Takes back what a person allowed an application: its tokens end, and the next sign-in asks again.
    Withdraw {
        /// What the person types to sign in.
        username: String,
        /// The `client_id` of the application.
        #[arg(long, value_name = "CLIENT_ID")]
        client: String,
    },
}

/// Who gets which role.
#[derive(Args, Debug)]
pub(crate) struct Grant {
    /// What the person types to sign in.
    username: String,
    /// The role.
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The API whose role is meant. Without it, or with `admin`: the admin API of this server.
    #[arg(long, value_name = "AUDIENCE")]
    api: Option<String>,
}

/// A new account.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// What the person types to sign in.
    username: String,
    /// What the person is called.
    #[arg(long, default_value = "")]
    name: String,
    /// Where to write to.
    #[arg(long)]
    email: Option<String>,
    /// Something else that is known about the person: a claim of OpenID Connect, such as `given_name=Ada` or `address.country=England`. May be
    /// repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// Gives the account this role. May be repeated.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The API whose roles are meant. Without it, or with `admin`: the admin API of this server.
    #[arg(long, value_name = "AUDIENCE", requires = "role")]
    api: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
}

pub(crate) async fn run(context: &Context, command: &User) -> Result<(), Failure> {
    match command {
        User::Consents { username } => consents(context, username).await,
        User::Create(create) => Box::pin(self::create(context, create)).await,
        User::Grant(grant) => self::grant(context.format, &context.existing_app().await?, grant).await,
        User::Import(import) => Box::pin(import::run(context, import)).await,
        User::Invitations => invite::list(context).await,
        User::Invite(invite) => Box::pin(invite::run(context, invite)).await,
        User::InviteAgain { invitation } => Box::pin(invite::send_again(context, invitation)).await,
        User::List => list(context).await,
        User::Password { username, password } => {
            let password = password.read()?;
            let app = context.existing_app().await?;
            let user = named(&app, username).await?;
            Ok(app.users().set_password(&user.id, &password, &operator()).await?)
        }
        User::Passkeys { username } => passkeys::list(context, username).await,
        User::RemovePasskey { username, passkey } => passkeys::remove(context, username, passkey).await,
        User::ResetSecondStep { username } => {
            let app = context.existing_app().await?;
            let user = named(&app, username).await?;
            let was_there = app.users().reset_second_step(&user.id, &operator()).await?;
            let value = json!({ "username": username, "removed": was_there });
            let said = if was_there {
                "has neither second step nor passkeys any more"
            } else {
                "had no second step"
            };
            output::done(context.format, &value, &format!("{username} {said}"))
        }
        User::Uninvite { invitation } => Box::pin(invite::take_back(context, invitation)).await,
        User::Withdraw { username, client } => {
            let app = context.existing_app().await?;
            let user = named(&app, username).await?;
            app.users().withdraw(&user.id, client, &operator()).await?;
            let value = json!({ "username": username, "client": client });
            output::done(context.format, &value, &format!("{client} holds nothing of {username} any more"))
        }
    }
}

async fn create(context: &Context, create: &Create) -> Result<(), Failure> {
    let profile = create.profile()?;
    let password = create.password.read()?;
    let app = context.app().await?;
    let audience = create.api.clone().filter(|audience| audience != api::ADMIN);
    let order = UserOrder { form: create.form(&password, profile), audience, roles: create.role.clone() };
    let user = app.provision().user(order, &operator()).await?.value;
    let value =
        json!({ "id": user.id.as_str(), "sub": user.sub.as_str(), "username": user.username.as_str() });
    let row = [user.id.to_string(), user.sub.as_str().to_owned(), user.username.as_str().to_owned()];
    output::print(context.format, &value, &Table::new(["ID", "SUB", "USERNAME"], [row]))
}

async fn grant(format: Format, app: &App, grant: &Grant) -> Result<(), Failure> {
    let user = named(app, &grant.username).await?;
    let api = api::find(app, grant.api.as_deref().unwrap_or(api::ADMIN)).await?;
    app.provision().role(&api, &user.id, &grant.role, &operator()).await?;
    let Grant { username, role, .. } = grant;
    let audience = api.audience.as_str();
    let value = json!({ "username": username, "role": role, "audience": audience });
    output::done(format, &value, &format!("{username} has the role {role} at {audience}"))
}

async fn list(context: &Context) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let mut query = UserQuery::default();
    let mut users = Vec::new();
    loop {
        let page = app.users().list(&query).await?;
        users.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query.page = PageQuery::new(page.next, None);
    }
    let shown: Vec<_> = users
        .iter()
        .map(|user| {
            json!({
                "id": user.id.as_str(),
                "sub": user.sub.as_str(),
                "username": user.username.as_str(),
                "name": user.name,
                "disabled_at": user.disabled_at.map(Timestamp::rfc3339),
            })
        })
        .collect();
    let rows = users.iter().map(|user| {
        let state = if user.is_enabled() { "enabled" } else { "disabled" };
        [user.id.to_string(), user.username.as_str().to_owned(), user.name.clone(), state.to_owned()]
    });
    output::print(context.format, &shown, &Table::new(["ID", "USERNAME", "NAME", "STATE"], rows))
}

async fn consents(context: &Context, username: &str) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let user = named(&app, username).await?;
    let (mut query, mut given) = (PageQuery::default(), Vec::new());
    loop {
        let page = app.users().consents(&user.id, &query).await?;
        given.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query = PageQuery::new(page.next, None);
    }
    let rows: Vec<[String; 5]> = given
        .iter()
        .map(|NamedConsent { consent, client, api }| {
            let name = client.as_ref().map(|client| client.title()).unwrap_or_default();
            let api = api.as_ref().map(|api| api.audience.to_string()).unwrap_or_default();
            let (scopes, when) = (consent.scopes.to_string(), consent.granted_at.rfc3339());
            [consent.client.to_string(), name, api, scopes, when]
        })
        .collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|[client, name, api, scopes, when]| {
            json!({ "client": client, "client_name": name, "audience": api, "scopes": scopes, "granted_at": when })
        })
        .collect();
    output::print(
        context.format,
        &shown,
        &Table::new(["CLIENT", "NAME", "API", "SCOPES", "ALLOWED"], rows.clone()),
    )
}

/// The account with this name.
async fn named(app: &App, username: &str) -> Result<Account, Failure> {
    let query = UserQuery { username: Some(username.to_owned()), ..UserQuery::default() };
    let found = app.users().list(&query).await?.items.pop();
    found
        .ok_or_else(|| Failure::failed("there is no account of that name: `user list` prints those that are"))
}

impl Create {
    fn profile(&self) -> Result<ProfileForm, Failure> {
        let mut profile = ProfileForm::default();
        for claim in &self.claim {
            profile.add(claim).map_err(|error| Failure::usage(format!("--claim {claim}: {error}")))?;
        }
        Ok(profile)
    }

    fn form(&self, password: &str, profile: ProfileForm) -> UserForm {
        UserForm {
            username: self.username.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            organisation: None,
            password: Some(password.to_owned()),
            profile,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn create(claims: &[&str]) -> Create {
        let claims = claims.iter().flat_map(|claim| ["--claim", claim]);
        let arguments = ["portcullis", "user", "create", "ada", "--password-file", "-"];
        let parsed = Cli::try_parse_from(arguments.into_iter().chain(claims)).unwrap();
        let Some(Command::User(User::Create(create))) = parsed.command else { panic!("a new account") };
        create
    }

    #[test]
    fn claims_of_a_new_account_come_in_pairs() {
        let profile = create(&["given_name=Ada", "address.country=England"]).profile().unwrap();
        assert_eq!(json!(profile.0), json!({ "given_name": "Ada", "address": { "country": "England" } }));
        for wrong in [&["given_name"][..], &["given_name=Ada", "given_name=Eda"]] {
            assert!(create(wrong).profile().is_err(), "{wrong:?}");
        }
    }
}
