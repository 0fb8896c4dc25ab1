//! Which database to open, and how.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::storage::StoreError;

/// Which database to open, and how.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:FILE`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. It may hold a password and is never printed.
    pub url: String,
    /// Most connections for reading (SQLite) or for everything (PostgreSQL).
    pub max_connections: u32,
    /// How long opening the database may take.
    pub connect_timeout: Duration,
}

impl StoreOptions {
    /// The database at `url` with the usual limits.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 8, connect_timeout: Duration::from_secs(10) }
    }

    pub(super) fn target(&self) -> Result<Target, StoreError> {
        let url = self.url.as_str();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The parser's message may repeat the address: it is not passed on.
            let options = PgConnectOptions::from_str(url).map_err(|_| StoreError::CannotOpen {
                place: "PostgreSQL".to_owned(),
                reason: "its address is malformed: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                    .to_owned(),
            })?;
            return Ok(Target::Postgres(Box::new(options.application_name("portcullis"))));
        }
        match url.strip_prefix("sqlite:") {
            Some(file) if !file.is_empty() => {
                Ok(Target::Sqlite(file.strip_prefix("//").unwrap_or(file).into()))
            }
            _ => Err(StoreError::CannotOpen {
                place: "at the configured address".to_owned(),
                reason: "expected sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned(),
            }),
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions").field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

/// A database address, understood.
#[derive(Clone)]
pub(super) enum Target {
    Postgres(Box<PgConnectOptions>),
    Sqlite(PathBuf),
}

impl Target {
    /// What to call the database where people read: no user name, no password.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or("(default)");
                format!("PostgreSQL {database} at {}:{}", options.get_host(), options.get_port())
            }
            Self::Sqlite(file) => file.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_options_nor_errors_show_a_password() {
        let options = StoreOptions::new("postgres://ada:hunter2@db.example:5433/auth");
        let target = options.target().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(target.place(), "PostgreSQL auth at db.example:5433");
        assert!(!format!("{options:?}").contains("hunter2"));
        let broken = StoreOptions::new("postgres://ada:hunter2@db.example:notaport/auth");
        let error = broken.target().err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_is_named_after_sqlite_and_a_colon() {
        for url in ["sqlite:data/x.db", "sqlite://data/x.db"] {
            let place = StoreOptions::new(url).target().map(|target| target.place());
            assert_eq!(place.as_deref(), Ok("data/x.db"), "{url}");
        }
        for url in ["", "sqlite:", "data/x.db", "mysql://x"] {
            assert!(StoreOptions::new(url).target().is_err(), "{url}");
        }
    }
}
