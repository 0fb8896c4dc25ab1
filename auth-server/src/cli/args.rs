//! What the command line accepts.

use clap::{Parser, Subcommand};

use crate::cli::api::Api;
use crate::cli::client::Client;
use crate::cli::context::Context;
use crate::cli::gateway::Gateway;
use crate::cli::mail::Mail;
use crate::cli::policy::Policy;
use crate::cli::registration::Registration;
use crate::cli::sign_outs::SignOuts;
use crate::cli::user::User;

/// Sign-in server and policy source for services: OAuth 2, OpenID Connect, RBAC.
///
/// Without a command it serves. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 database not reachable.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) context: Context,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The services that tokens are for.
    #[command(subcommand)]
    Api(Api),
    /// Begins the administration of a new server.
    #[command(subcommand)]
    Bootstrap(Bootstrap),
    /// The programs that ask for tokens.
    #[command(subcommand)]
    Client(Client),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Looks at the database, or brings its schema up to date.
    #[command(subcommand)]
    Db(Db),
    Gateway(Gateway),
    /// Looks at the signing keys, or replaces one.
    #[command(subcommand)]
    Key(Key),
    /// Letters to people.
    #[command(subcommand)]
    Mail(Mail),
    /// Works on files of rules, and on those of this server. `-` reads standard input.
    #[command(subcommand)]
    Policy(Policy),
    /// Clients that come by themselves.
    #[command(subcommand)]
    Registration(Registration),
    /// Starts the server.
    Serve,
    SignOuts(SignOuts),
    /// Accounts.
    #[command(subcommand)]
    User(User),
    /// Prints what this program is.
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Begins the administration of a new server.
#[derive(Debug, Subcommand)]
pub(crate) enum Bootstrap {
    /// Prints a link that makes the first administrator. It works once, for an hour.
    Admin {
        /// Print the link: the way that works without sending a password anywhere.
        #[arg(long, required = true)]
        link: bool,
    },
}

/// Looks at the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks all of it, as a start does.
    Check,
    /// Prints the JSON Schema of the file.
    Schema,
    /// Prints every key: what holds, where it came from, and what holds without it. Secrets are masked.
    Show,
}

/// Looks at the database, or brings its schema up to date.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Brings the schema up to date. A start does so too.
    Migrate,
    /// Prints which schema the database has and which one this program needs.
    Status,
}

/// Looks at the signing keys, or replaces one.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Prints the keys and what each is for at present.
    List,
    /// Withdraws a key that somebody else may have. What it signed is refused from then on, and another signs in its place.
    Revoke {
        /// Which key, as `key list` prints it.
        // It is base64url, so it may begin with the sign that flags begin with.
        #[arg(value_name = "KID", allow_hyphen_values = true)]
        kid: String,
    },
    /// Makes the successor of a key. It is published at once and signs in an hour.
    Rotate {
        /// Algorithm of the key: `ES256`, `EdDSA`, `PS256` or `RS256`. Without it: all of them.
        #[arg(long, value_name = "ALG")]
        alg: Option<String>,
        /// Let it sign in a minute: enough for every replica, too short for verifiers that seldom look.
        #[arg(long)]
        urgent: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn a_key_whose_id_begins_like_a_flag_can_be_revoked() {
        let parsed = Cli::try_parse_from(["portcullis", "key", "revoke", "-w3Qq"]).unwrap();
        let Some(Command::Key(Key::Revoke { kid })) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(kid, "-w3Qq");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
