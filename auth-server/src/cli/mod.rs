//! The command line: reads the arguments, calls the services, prints the result.

mod api;
mod args;
mod bootstrap;
mod client;
mod client_file;
mod client_proof;
mod client_secret;
mod config;
mod context;
mod db;
mod exit;
mod file;
mod gateway;
mod key;
mod listening;
mod mail;
mod output;
mod policy;
mod prompt;
mod registration;
mod serve;
mod sign_outs;
mod snippet;
mod user;
mod version;

use tokio::runtime::{Builder, Runtime};

pub use self::args::Cli;
use self::args::Command;
pub use self::exit::Failure;

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> Result<(), Failure> {
        // TLS to PostgreSQL and SMTP uses the same library as everything else. A second call changes nothing.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let context = &self.context;
        match &self.command {
            None | Some(Command::Serve) => serving()?.block_on(serve::run(context.load()?)),
            Some(Command::Api(command)) => commanding()?.block_on(api::run(context, command)),
            Some(Command::Bootstrap(command)) => commanding()?.block_on(bootstrap::run(context, command)),
            Some(Command::Client(command)) => commanding()?.block_on(client::run(context, command)),
            Some(Command::Config(command)) => commanding()?.block_on(config::run(context, command)),
            Some(Command::Db(command)) => commanding()?.block_on(db::run(context, command)),
            Some(Command::Gateway(gateway)) => serving()?.block_on(gateway.run(context)),
            Some(Command::Key(command)) => commanding()?.block_on(key::run(context, command)),
            Some(Command::Mail(command)) => commanding()?.block_on(mail::run(context, command)),
            Some(Command::Policy(command)) => commanding()?.block_on(policy::run(context, command)),
            Some(Command::Registration(command)) => {
                commanding()?.block_on(registration::run(context, command))
            }
            Some(Command::SignOuts(command)) => commanding()?.block_on(command.run(context)),
            Some(Command::User(command)) => commanding()?.block_on(user::run(context, command)),
            Some(Command::Version { json }) => version::run(*json, context.format),
        }
    }
}

/// The runtime of the server: one thread per processor.
fn serving() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)
}

/// The runtime of a command.
fn commanding() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::failed)
}
