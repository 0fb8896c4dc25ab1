//! The configuration: typed sections, checked as a whole before anything starts.
//!
//! A value comes from the defaults, the file, the environment (`PORTCULLIS__SECTION__KEY`) or a flag; the later one wins. Each
//! mistake is found and reported with the place where it was made, and all of them at once.

mod accounts;
mod check;
mod effort;
mod errors;
mod gateway;
mod known;
mod lifetimes;
mod load;
mod mail;
mod mtls;
mod outbound;
mod pages;
mod protocol;
mod registration;
mod secret;
mod server;
pub(crate) mod show;
mod storage;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::accounts::{Accounts, Deletion, SignUp};
pub use self::effort::{Limits, Log, LogFormat, Passwords};
pub use self::errors::{ConfigError, ConfigErrors, Origin};
pub use self::gateway::{
    BoundTokens, Gateway, GatewayConfig, GatewayLimits, IssuerName, IssuerOptions, MethodName, PolicySource,
    RequirementText, Route,
};
pub use self::lifetimes::{SecondStepFor, Sessions, Tokens};
pub use self::load::{Flag, Loaded, Sources};
pub use self::mail::{Mail, MailTls, Sender, Smtp, Transport};
pub use self::mtls::{Mtls, MtlsUrl};
pub use self::outbound::{AllowedTarget, Outbound};
pub use self::pages::{PageAddress, Pages};
pub use self::protocol::Protocol;
pub use self::registration::{Documents, Dynamic, Registration};
pub use self::secret::SecretText;
pub use self::server::{Bounds, IssuerSetting, ProxyHeader, ProxyNetwork, Server, SetupFrom};
pub use self::storage::{Database, Keys, Records};
pub use self::tls::{CertificateSource, Tls};
use crate::domain::issuer::Issuer;

/// Everything that can be configured. The defaults are safe and complete: a server starts on them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Config {
    /// Where the server listens, what it is called, whom it believes.
    pub server: Server,
    /// Where everything is stored.
    pub database: Database,
    /// The key that seals private keys at rest, and the schedule on which signing keys are replaced.
    pub keys: Keys,
    /// What every client is held to in the protocol.
    pub protocol: Protocol,
    /// Whom the server reaches, and who comes by themselves.
    #[serde(flatten)]
    pub reach: Reach,
    /// How long codes and tokens last.
    pub tokens: Tokens,
    /// How long somebody stays signed in.
    pub sessions: Sessions,
    /// The cost of a password hash and the queue in front of it.
    pub passwords: Passwords,
    /// How often somebody may try. Each replica counts for itself: with several, as many times more get through.
    pub limits: Limits,
    /// What is written down.
    #[serde(flatten)]
    pub journal: Journal,
}

/// Whom the server reaches, and who comes by themselves: the sections `accounts`, `mail`, `outbound` and `registration`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Reach {
    /// How people come to accounts.
    pub accounts: Accounts,
    /// How letters to people leave.
    pub mail: Mail,
    /// Whom the server may call at the addresses that clients register.
    pub outbound: Outbound,
    /// Which clients may come by themselves.
    pub registration: Registration,
}

/// What is written down: the sections `log` and `records`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Journal {
    /// What is written to the log, and how.
    pub log: Log,
    /// What is kept of the decisions that services make.
    pub records: Records,
}

impl Config {
    /// Reads a configuration from TOML text alone: no file, no environment.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        load::from_text(text).map(|loaded| loaded.config)
    }

    /// The defaults with a data folder and an issuer of the caller's choice, password hashes that cost next to nothing,
    /// no second step for administrators, and limits that no test meets by accident.
    ///
    /// # Panics
    ///
    /// When `issuer` is not an issuer.
    pub fn for_tests(data_dir: impl Into<PathBuf>, issuer: &str) -> Self {
        let mut config = Self::default();
        config.server.data_dir = data_dir.into();
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.server.issuer =
            Some(Issuer::parse(issuer).expect("the panic is documented: a test names a valid issuer").into());
        config.passwords =
            Passwords { memory_kib: 64, iterations: 1, queue_deadline_ms: 30_000, ..Passwords::default() };
        config.limits.login_per_address_per_minute = 100_000;
        config.limits.login_per_account_per_minute = 100_000;
        config.limits.client_failures_per_address_per_minute = 100_000;
        config.limits.flows_per_address_per_minute = 100_000;
        config.limits.admin_per_caller_per_minute = 100_000;
        config.reach.registration.per_address_per_minute = 100_000;
        config.sessions.second_step = SecondStepFor::Optional;
        config
    }

    /// The name of this server in every token: the configured one, or the loopback name of the port it listens on.
    #[expect(clippy::missing_panics_doc, reason = "a loopback name with a port is always an issuer")]
    pub fn issuer(&self) -> Issuer {
        if let Some(setting) = &self.server.issuer {
            return setting.issuer().clone();
        }
        let (scheme, usual) = if self.server.tls.files().is_some() { ("https", 443) } else { ("http", 80) };
        let text = match self.server.listen.port() {
            port if port == usual => format!("{scheme}://localhost"),
            port => format!("{scheme}://localhost:{port}"),
        };
        Issuer::parse(&text).expect("plain http is accepted on localhost, and the default port is left out")
    }

    /// Where clients reach this server: by its name, and at the second address, if it has one.
    pub(crate) fn addresses(&self) -> Vec<Issuer> {
        let issuer = self.issuer();
        let second = self.mtls_address();
        std::iter::once(issuer).chain(second).collect()
    }

    /// The second address, at which clients are asked for certificates.
    pub(crate) fn mtls_address(&self) -> Option<Issuer> {
        self.server.tls.mtls.as_ref().map(|second| second.url.of(&self.issuer()))
    }

    /// The database to open: the configured one, or SQLite in the data folder.
    pub(crate) fn database_url(&self) -> SecretText {
        self.database.url.clone().unwrap_or_else(|| {
            SecretText::new(format!("sqlite:{}", self.data_file("portcullis.db").display()))
        })
    }

    /// A file in the data folder.
    pub(crate) fn data_file(&self, name: &str) -> PathBuf {
        self.server.data_dir.join(name)
    }

    /// The folder that holds what nobody configured a place for.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.server.data_dir
    }

    /// The JSON Schema of the configuration file.
    pub fn schema() -> serde_json::Value {
        load::schema_of::<Self>()
    }
}
