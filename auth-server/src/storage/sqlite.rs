//! SQLite, called where one stands: a statement takes microseconds, and the way to a thread of its own ten times that.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};

use crate::storage::value::Value;

/// How long a writer waits for another process that writes.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a reader waits. It hardly ever has to, and whoever shares its thread waits with it.
const READER_PATIENCE: Duration = Duration::from_secs(1);
/// More than there are statements: each is prepared once for each connection.
const STATEMENTS: usize = 256;

/// How a connection to a file is opened.
#[derive(Clone)]
pub(super) struct Opening {
    file: PathBuf,
    purpose: Purpose,
    patience: Duration,
}

/// What a connection is for.
#[derive(Clone, Copy)]
enum Purpose {
    /// To read beside the one that writes.
    Reads,
    /// To write; the file is made when it is not there.
    Writes,
    /// To read once and leave no trace.
    Looks { as_if_unchanging: bool },
}

impl Opening {
    pub(super) fn to_write(file: &Path) -> Self {
        Self { file: file.to_owned(), purpose: Purpose::Writes, patience: WRITER_PATIENCE }
    }

    pub(super) fn to_read(file: &Path) -> Self {
        Self { file: file.to_owned(), purpose: Purpose::Reads, patience: READER_PATIENCE }
    }

    /// Nothing is made, not even the files beside it when the file is read as one that never changes.
    pub(super) fn to_look(file: &Path, as_if_unchanging: bool) -> Self {
        Self {
            file: file.to_owned(),
            purpose: Purpose::Looks { as_if_unchanging },
            patience: WRITER_PATIENCE,
        }
    }

    /// The same with a longer wait for other processes.
    #[must_use]
    pub(super) const fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn connect(&self) -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(self.place(), self.flags())?;
        connection.busy_timeout(self.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if !matches!(self.purpose, Purpose::Looks { .. }) {
            // A commit that was answered survives the loss of power; group commit makes that cheap.
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1024;",
            )?;
        }
        if matches!(self.purpose, Purpose::Reads) {
            connection.execute_batch("PRAGMA query_only = ON")?;
        }
        Ok(connection)
    }

    fn flags(&self) -> OpenFlags {
        // A connection is used by one thread at a time: the borrow checker sees to that.
        OpenFlags::SQLITE_OPEN_NO_MUTEX
            | match self.purpose {
                Purpose::Reads => OpenFlags::SQLITE_OPEN_READ_WRITE,
                Purpose::Writes => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
                Purpose::Looks { .. } => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
            }
    }

    fn place(&self) -> OsString {
        match self.purpose {
            Purpose::Reads | Purpose::Writes => self.file.clone().into_os_string(),
            Purpose::Looks { as_if_unchanging } => {
                let suffix = if as_if_unchanging { "?immutable=1" } else { "" };
                format!("file:{}{suffix}", escaped(&self.file)).into()
            }
        }
    }
}

/// A path within a URI.
fn escaped(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// A row, copied out of SQLite.
pub(super) struct SqliteRow {
    columns: Arc<[String]>,
    cells: Vec<Cell>,
}

/// What a column of a row holds.
pub(super) enum Cell {
    Bytes(Vec<u8>),
    Int(i64),
    Null,
    Text(String),
    /// A number with a fraction, or text that is not UTF-8: no column of ours has one.
    Foreign,
}

impl SqliteRow {
    pub(super) fn cell(&self, index: usize) -> Option<&Cell> {
        self.cells.get(index)
    }

    pub(super) fn name(&self, index: usize) -> Option<&str> {
        self.columns.get(index).map(String::as_str)
    }
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
            ValueRef::Integer(number) => Self::Int(number),
            ValueRef::Null => Self::Null,
            ValueRef::Real(_) => Self::Foreign,
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map_or(Self::Foreign, |text| Self::Text(text.to_owned()))
            }
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Bytes(bytes) => bytes.as_deref().map_or(ValueRef::Null, ValueRef::Blob),
            Self::Int(number) => number.map_or(ValueRef::Null, ValueRef::Integer),
            Self::Text(text) => {
                text.as_deref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
            }
        }))
    }
}

/// Runs a statement, and counts the rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<u64, rusqlite::Error> {
    let changed = bound(connection, sql, values)?.raw_execute()?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Runs a statement, and gives at most so many of its rows.
pub(super) fn fetch(
    connection: &Connection,
    sql: &str,
    values: &[Value<'_>],
    most: usize,
) -> Result<Vec<SqliteRow>, rusqlite::Error> {
    let mut statement = bound(connection, sql, values)?;
    let width = statement.column_count();
    let columns: Arc<[String]> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = (0..width).map(|index| row.get_ref(index).map(Cell::from)).collect::<Result<_, _>>()?;
        found.push(SqliteRow { columns: Arc::clone(&columns), cells });
        if found.len() == most {
            break;
        }
    }
    Ok(found)
}

/// The statement with its arguments: `$2` is the second value, wherever and however often it stands.
fn bound<'c>(
    connection: &'c Connection,
    sql: &str,
    values: &[Value<'_>],
) -> Result<CachedStatement<'c>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(sql)?;
    for place in 1..=statement.parameter_count() {
        let number = statement.parameter_name(place).and_then(|name| name.get(1..)?.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        statement.raw_bind_parameter(
            place,
            value.ok_or(rusqlite::Error::InvalidParameterCount(place, values.len()))?,
        )?;
    }
    Ok(statement)
}
