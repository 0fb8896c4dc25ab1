//! What the command line accepts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Flag, Sources};

/// Sign-in server and policy source for services: OAuth 2, OpenID Connect, RBAC.
///
/// Without a command it serves. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 database not reachable.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Where the configuration comes from, besides the environment (`PORTCULLIS__SECTION__KEY`).
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
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
}

impl Settings {
    /// Every source of the configuration of this process.
    pub(crate) fn sources(&self) -> Sources {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named =
            || environment.iter().find(|(name, _)| name == "PORTCULLIS_CONFIG").map(|(_, path)| path.into());
        let file = self.config.clone().or_else(named);
        Sources { file, flags: self.flags().collect(), environment }
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

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected SECTION.KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// JSON, for programs.
    Json,
    /// Columns, for reading.
    Table,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Looks at the database, or brings its schema up to date.
    #[command(subcommand)]
    Db(Db),
    /// Looks at the signing keys, or replaces one.
    #[command(subcommand)]
    Key(Key),
    /// Starts the server.
    Serve,
    /// Prints what this program is.
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Looks at the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks all of it, as a start does.
    Check,
    /// Prints the JSON Schema of the file.
    Schema,
    /// Prints what holds. Secrets are masked.
    Show {
        /// Say of each value where it came from.
        #[arg(long)]
        sources: bool,
    },
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
    /// Makes the successor of a key. It is published at once and signs in an hour.
    Rotate {
        /// Algorithm of the key: `ES256`, `EdDSA` or `RS256`. Without it: all of them.
        #[arg(long, value_name = "ALG")]
        alg: Option<String>,
        /// Let it sign in a minute: enough for every replica, too short for verifiers that seldom look.
        #[arg(long)]
        urgent: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_flags_and_set_name_themselves_in_the_sources() {
        let cli =
            Cli::parse_from(["portcullis", "--listen", "127.0.0.1:1", "--set", "log.filter=a=b", "serve"]);
        let flags: Vec<_> = cli.settings.flags().map(|flag| (flag.written, flag.key, flag.value)).collect();
        let expected =
            [("--set log.filter", "log.filter", "a=b"), ("--listen", "server.listen", "127.0.0.1:1")];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(flags, expected);
    }
}
