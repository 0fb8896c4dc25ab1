//! `portcullis user`: accounts.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::cli::prompt::PasswordSource;
use crate::domain::clock::Clock;
use crate::services::caller::Caller;
use crate::services::provision::UserOrder;
use crate::services::users::form::UserForm;

/// Accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Creates an account and prints its identifiers.
    Create(Create),
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
    /// Gives the account this role. May be repeated.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The API whose roles are meant. Without it: the admin API of this server.
    #[arg(long, value_name = "AUDIENCE", requires = "role")]
    api: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
}

pub(crate) async fn run(context: &Context, command: &User) -> Result<(), Failure> {
    let User::Create(create) = command;
    let password = create.password.read()?;
    let app = context.app().await?;
    let order =
        UserOrder { form: create.form(&password), audience: create.api.clone(), roles: create.role.clone() };
    let caller = Caller::operator(Clock::system().now());
    let user = app.provision().user(order, &caller).await?.value;
    let value =
        json!({ "id": user.id.as_str(), "sub": user.sub.as_str(), "username": user.username.as_str() });
    let row = [user.id.to_string(), user.sub.as_str().to_owned(), user.username.as_str().to_owned()];
    output::print(context.format, &value, &Table::new(["ID", "SUB", "USERNAME"], [row]))
}

impl Create {
    fn form(&self, password: &str) -> UserForm {
        UserForm {
            username: self.username.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            organisation: None,
            password: Some(password.to_owned()),
        }
    }
}
