//! What can go wrong with the database, named by cause.

use rusqlite::ffi;
use sqlx::error::ErrorKind;

/// Why a file that must not be written to cannot be opened.
pub(super) const READ_ONLY: &str = "the file or its folder is read-only";

/// Why the database did not do what was asked.
///
/// No variant carries the address of the database, which may hold a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// An earlier statement of the transaction failed, and what came after it cannot be kept.
    #[error("an earlier statement of this transaction failed")]
    Aborted,
    /// The wait for a connection or for the writer took too long.
    #[error("the database is busy")]
    Busy,
    /// The database cannot be opened.
    #[error("cannot open the database {place}: {reason}")]
    CannotOpen {
        /// The file, or host and name.
        place: String,
        /// What stood in the way.
        reason: String,
    },
    /// Another row has this value already.
    #[error("{0} is taken")]
    Conflict(Unique),
    /// Two transactions stood in each other's way; trying again helps.
    #[error("the transaction stood in the way of another and was rolled back")]
    Contended,
    /// A stored value cannot be read back.
    #[error("the database holds a value that cannot be read: {what}")]
    Corrupt {
        /// The column.
        what: String,
    },
    /// There is no room left.
    #[error("the disk of the database is full")]
    DiskFull,
    /// A migration that was applied is not the one that this program knows.
    #[error("migration {number} was changed after it was applied; use the program that made this database")]
    MigrationChanged {
        /// Which.
        number: u32,
    },
    /// A row refers to another that does not exist, or is referred to.
    #[error("a row that this one refers to does not exist, or this one is still referred to")]
    MissingReference,
    /// A newer program made this database.
    #[error(
        "the database has schema {found}, and this program knows schemas up to {known}; use a newer program"
    )]
    NewerSchema {
        /// What the database has.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The code that used the transaction panicked; nothing of it was kept.
    #[error("the work inside the transaction panicked")]
    Panicked,
    /// The database must not be written to.
    #[error("the database is read-only")]
    ReadOnly,
    /// The database does not answer.
    #[error("the database does not answer: {reason}")]
    Unavailable {
        /// What was heard last.
        reason: String,
    },
    /// Anything else: a fault in this program.
    #[error("the database refused a statement: {reason}")]
    Unexpected {
        /// What it said.
        reason: String,
    },
}

impl StoreError {
    /// Whether trying the same again soon may succeed.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Contended
                | Self::DiskFull
                // What it refers to was deleted in the meantime: the next try finds that out.
                | Self::MissingReference
                | Self::ReadOnly
                | Self::Unavailable { .. }
        )
    }
}

/// Whether an error undoes the transaction it ended.
pub trait Outcome {
    /// A fault rolls back. A refusal commits what it decided: a burnt token family stays burnt.
    fn is_fault(&self) -> bool;
}

impl Outcome for StoreError {
    fn is_fault(&self) -> bool {
        true
    }
}

/// What has to be unique.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unique {
    /// The audience of an API.
    Audience,
    /// Something that may be used once, such as a proof of possession.
    Once,
    /// The name of a role within its API.
    RoleName,
    /// The subject of a user.
    Sub,
    /// The name of a user.
    Username,
    /// An identifier or digest, which random bits make unique.
    Other,
}

impl std::fmt::Display for Unique {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Audience => "the audience",
            Self::Once => "what may be used once",
            Self::RoleName => "the role name",
            Self::Sub => "the subject",
            Self::Username => "the user name",
            Self::Other => "the identifier",
        })
    }
}

/// The index as PostgreSQL names it, and the columns as SQLite names them.
const UNIQUES: [(Unique, &str, &str); 5] = [
    (Unique::Audience, "apis_audience", "apis.audience"),
    (Unique::Once, "single_use_pkey", "single_use.purpose, single_use.digest"),
    (Unique::RoleName, "roles_name", "roles.api_id, roles.name"),
    (Unique::Sub, "users_sub", "users.sub"),
    (Unique::Username, "users_username", "users.username"),
];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_postgres(error.as_ref()),
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(error) => Self::Unavailable { reason: error.to_string() },
            sqlx::Error::Tls(error) => Self::Unavailable { reason: error.to_string() },
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable { reason: "the connection is closed".to_owned() }
            }
            other => Self::Unexpected { reason: other.to_string() },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(error, message) => {
                from_sqlite(error.extended_code, || message.unwrap_or_else(|| error.to_string()))
            }
            other => Self::Unexpected { reason: other.to_string() },
        }
    }
}

/// What a driver said.
pub(super) enum DriverError {
    Postgres(sqlx::Error),
    Sqlite(rusqlite::Error),
}

impl DriverError {
    /// Whether the connection is gone, so that the same statement may be tried on another.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Postgres(error) => connection_is_lost(error),
            Self::Sqlite(_) => false,
        }
    }
}

impl From<sqlx::Error> for DriverError {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<rusqlite::Error> for DriverError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<DriverError> for StoreError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Postgres(error) => error.into(),
            DriverError::Sqlite(error) => error.into(),
        }
    }
}

fn from_postgres(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    match error.kind() {
        ErrorKind::UniqueViolation => {
            StoreError::Conflict(unique(|(_, index, _)| error.constraint() == Some(index)))
        }
        ErrorKind::ForeignKeyViolation => StoreError::MissingReference,
        _ => from_sqlstate(error.code().as_deref().unwrap_or(""), || error.message().to_owned()),
    }
}

/// PostgreSQL, appendix A: the first two characters are the class.
fn from_sqlstate(code: &str, reason: impl FnOnce() -> String) -> StoreError {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => StoreError::Contended,
        // read_only_sql_transaction
        "25006" => StoreError::ReadOnly,
        // disk_full
        "53100" => StoreError::DiskFull,
        // lock_not_available, query_canceled by a timeout, too_many_connections
        "55P03" | "57014" | "53300" => StoreError::Busy,
        _ if is_lost(code) => StoreError::Unavailable { reason: reason() },
        _ => StoreError::Unexpected { reason: reason() },
    }
}

/// Whether the server ended the connection: `connection_exception`, or one of the shutdown conditions.
fn is_lost(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03")
}

/// SQLite: the low byte is the primary result code.
fn from_sqlite(code: i32, reason: impl FnOnce() -> String) -> StoreError {
    match code {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return StoreError::MissingReference,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE => {
            let message = reason();
            return StoreError::Conflict(unique(|(.., columns)| message.ends_with(columns)));
        }
        // The index of the log cannot grow.
        ffi::SQLITE_IOERR_SHMSIZE => return StoreError::DiskFull,
        _ => {}
    }
    match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => StoreError::Busy,
        ffi::SQLITE_READONLY => StoreError::ReadOnly,
        ffi::SQLITE_FULL => StoreError::DiskFull,
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => StoreError::Unavailable { reason: reason() },
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreError::Corrupt { what: reason() },
        _ => StoreError::Unexpected { reason: reason() },
    }
}

fn unique(is_meant: impl Fn(&(Unique, &str, &str)) -> bool) -> Unique {
    UNIQUES.into_iter().find(is_meant).map_or(Unique::Other, |(unique, ..)| unique)
}

/// Whether the connection is gone, so that the same statement may be tried on another.
pub(super) fn connection_is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_lost(&code)),
        _ => false,
    }
}
