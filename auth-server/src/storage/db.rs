//! The two drivers behind one face: the only file that knows which database a statement runs on.

use rusqlite::Connection;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{Postgres, Transaction};

use crate::storage::error::DriverError;
use crate::storage::readers::Reader;
use crate::storage::row::Row;
use crate::storage::sqlite;
use crate::storage::value::Value;

/// A connection that statements run on.
pub(super) enum Link {
    Postgres(PgLink),
    Sqlite(SqliteLink),
}

pub(super) enum PgLink {
    Reading(PoolConnection<Postgres>),
    Writing(Transaction<'static, Postgres>),
}

pub(super) enum SqliteLink {
    Reading(Reader),
    Writing(Box<Connection>),
}

impl PgLink {
    fn get(&mut self) -> &mut PgConnection {
        match self {
            Self::Reading(connection) => connection,
            Self::Writing(transaction) => transaction,
        }
    }
}

impl SqliteLink {
    fn get(&self) -> &Connection {
        match self {
            Self::Reading(reader) => &reader.connection,
            Self::Writing(connection) => connection,
        }
    }
}

impl Link {
    /// Runs a statement, and counts the rows it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, DriverError> {
        match self {
            Self::Postgres(link) => Ok(for_postgres(sql, values).execute(link.get()).await?.rows_affected()),
            Self::Sqlite(link) => Ok(sqlite::execute(link.get(), sql, values)?),
        }
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, DriverError> {
        match self {
            Self::Postgres(link) => {
                Ok(for_postgres(sql, values).fetch_optional(link.get()).await?.map(Row::Postgres))
            }
            Self::Sqlite(link) => Ok(sqlite::fetch(link.get(), sql, values, 1)?.pop().map(Row::Sqlite)),
        }
    }

    /// Runs a statement that gives any number of rows.
    pub(super) async fn fetch_all(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, DriverError> {
        match self {
            Self::Postgres(link) => {
                let rows = for_postgres(sql, values).fetch_all(link.get()).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(link) => {
                let rows = sqlite::fetch(link.get(), sql, values, usize::MAX)?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
        }
    }

    /// Runs a text of several statements without arguments.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), DriverError> {
        match self {
            Self::Postgres(link) => Ok(sqlx::raw_sql(sql).execute(link.get()).await.map(drop)?),
            Self::Sqlite(link) => Ok(link.get().execute_batch(sql)?),
        }
    }
}

fn for_postgres<'q>(sql: &'static str, values: &[Value<'_>]) -> Query<'q, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Bytes(bytes) => query.bind(bytes.as_deref()),
        Value::Int(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.as_deref()),
    })
}
