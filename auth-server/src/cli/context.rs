//! What every command is told: where the configuration comes from, and how to print.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::app::App;
use crate::cli::exit::Failure;
use crate::config::{Config, Flag, Loaded, Sources};
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::caller::Caller;
use crate::telemetry;

/// Where the configuration comes from, besides the environment (`PORTCULLIS__SECTION__KEY`), and how to print.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Context {
    /// Configuration file (TOML); also `PORTCULLIS_CONFIG`.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one value, for example `--set tokens.access_ttl_secs=120`. May be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Address and port to listen on.
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Public address of this server.
    #[arg(long, global = true, value_name = "URL")]
    issuer: Option<String>,
    /// Folder for the database and the master key.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// JSON, for programs.
    Json,
    /// Columns, for reading.
    Table,
}

/// Whoever is on the machine of the server, now.
pub(crate) fn operator() -> Caller {
    Caller::operator(Clock::system().now())
}

impl Context {
    /// The configuration from every source of this process.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let environment: Vec<_> = std::env::vars_os().collect();
        let named =
            || environment.iter().find(|(name, _)| name == "PORTCULLIS_CONFIG").map(|(_, path)| path.into());
        let file = self.config.clone().or_else(named);
        Ok(Sources { file, flags: self.flags().collect(), environment }.load()?)
    }

    /// The file of a gateway, which is configured by nothing else: what is meant for the server is refused and not passed over.
    pub(crate) fn only_file(&self) -> Result<&Path, Failure> {
        if let Some(flag) = self.flags().next() {
            let message = format!(
                "`{}` is for the server. A gateway is configured by its own file alone",
                flag.written
            );
            return Err(Failure::usage(message));
        }
        self.config.as_deref().ok_or_else(|| Failure::usage("name the file of the gateway with `--config`"))
    }

    /// Opens the server for a command: nothing listens, and only warnings are logged.
    ///
    /// Where there is no database, one is made: before the first start that is right. In a folder that nobody named, it may have
    /// been taken for another, and is told.
    pub(crate) async fn app(&self) -> Result<App, Failure> {
        let loaded = self.load()?;
        let url = loaded.config.database_url();
        let made = missing_file(url.expose()).filter(|_| !loaded.is_set("server", "data_dir"));
        let app = App::open(quiet(loaded.config), Clock::system(), Entropy::os()).await?;
        if let Some(file) = made {
            let place = std::path::absolute(file).unwrap_or_else(|_| file.into());
            let place = place.display();
            eprintln!(
                "portcullis: there was no database, so {place} was made. `--data-dir` names the folder of another server"
            );
        }
        Ok(app)
    }

    /// The same for a command that is about what is there: where nothing is, it makes nothing.
    pub(crate) async fn existing_app(&self) -> Result<App, Failure> {
        let url = self.load()?.config.database_url();
        match missing_file(url.expose()) {
            Some(file) => Err(Failure::failed(format!(
                "there is no database at {file}. Name the folder of the server with `--data-dir`, or start the server first"
            ))),
            None => self.app().await,
        }
    }

    /// The configuration for a command, whose output must not drown in log lines.
    pub(crate) fn quiet_config(&self) -> Result<Config, Failure> {
        Ok(quiet(self.load()?.config))
    }

    fn flags(&self) -> impl Iterator<Item = Flag> {
        let flag = |key: &str, written: String, value: &String| Flag {
            key: key.to_owned(),
            value: value.clone(),
            written,
        };
        let set = self.set.iter().map(move |(key, value)| flag(key, format!("--set {key}"), value));
        let short = [
            ("server.listen", "--listen", &self.listen),
            ("server.issuer", "--issuer", &self.issuer),
            ("server.data_dir", "--data-dir", &self.data_dir),
        ];
        let short = short
            .into_iter()
            .filter_map(move |(key, written, value)| Some(flag(key, written.to_owned(), value.as_ref()?)));
        set.chain(short)
    }
}

fn quiet(mut config: Config) -> Config {
    "warn".clone_into(&mut config.journal.log.filter);
    telemetry::start(&config.journal.log);
    config
}

/// The file that a database is to be in, where it is not there.
fn missing_file(url: &str) -> Option<&str> {
    url.strip_prefix("sqlite:").filter(|file| !Path::new(file).exists())
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected SECTION.KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Bare {
        #[command(flatten)]
        context: Context,
    }

    #[test]
    fn short_flags_and_set_name_themselves_in_the_sources() {
        let bare = Bare::parse_from(["portcullis", "--listen", "127.0.0.1:1", "--set", "log.filter=a=b"]);
        let flags: Vec<_> = bare.context.flags().map(|flag| (flag.written, flag.key, flag.value)).collect();
        let expected =
            [("--set log.filter", "log.filter", "a=b"), ("--listen", "server.listen", "127.0.0.1:1")];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(flags, expected);
    }
}
