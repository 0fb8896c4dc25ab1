//! The command line: reads the arguments, calls the services, prints the result.

mod args;
mod config;
mod db;
mod exit;
mod key;
mod output;
mod serve;
mod version;

use tokio::runtime::{Builder, Runtime};

pub use self::args::Cli;
use self::args::Command;
pub use self::exit::Failure;
use crate::app::App;
use crate::config::{Config, Loaded};
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::telemetry;

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> Result<(), Failure> {
        // TLS to PostgreSQL and SMTP uses the same library as everything else. A second call changes nothing.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        match &self.command {
            None | Some(Command::Serve) => serving()?.block_on(serve::run(self.load()?)),
            Some(Command::Config(command)) => config::run(&self, command),
            Some(Command::Db(command)) => commanding()?.block_on(db::run(&self, command)),
            Some(Command::Key(command)) => commanding()?.block_on(key::run(&self, command)),
            Some(Command::Version { json }) => version::run(*json, self.format),
        }
    }

    fn load(&self) -> Result<Loaded, Failure> {
        Ok(self.settings.sources().load()?)
    }

    /// Opens the server for a command: nothing listens, and only warnings are logged.
    async fn app(&self) -> Result<App, Failure> {
        Ok(App::open(self.quiet_config()?, Clock::system(), Entropy::os()).await?)
    }

    /// The configuration for a command, whose output must not drown in log lines.
    fn quiet_config(&self) -> Result<Config, Failure> {
        let mut config = self.load()?.config;
        "warn".clone_into(&mut config.log.filter);
        telemetry::start(&config.log);
        Ok(config)
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
