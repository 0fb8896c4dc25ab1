//! The two drivers behind one face: the only file that knows which database a statement runs on.

use std::borrow::Cow;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Postgres, Sqlite, Transaction};

use crate::domain::clock::Timestamp;
use crate::domain::ids::Id;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;

/// An argument of a statement. Each kind has its own nothing, because PostgreSQL wants to know its type.
pub(super) enum Value<'a> {
    Bytes(Option<Cow<'a, [u8]>>),
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
}

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
    Reading(PoolConnection<Sqlite>),
    Writing(Box<SqliteConnection>),
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
    fn get(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Reading(connection) => connection,
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
    ) -> Result<u64, sqlx::Error> {
        match self {
            Self::Postgres(link) => Ok(for_postgres(sql, values).execute(link.get()).await?.rows_affected()),
            Self::Sqlite(link) => Ok(for_sqlite(sql, values).execute(link.get()).await?.rows_affected()),
        }
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Postgres(link) => {
                Ok(for_postgres(sql, values).fetch_optional(link.get()).await?.map(Row::Postgres))
            }
            Self::Sqlite(link) => {
                Ok(for_sqlite(sql, values).fetch_optional(link.get()).await?.map(Row::Sqlite))
            }
        }
    }

    /// Runs a statement that gives any number of rows.
    pub(super) async fn fetch_all(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Postgres(link) => {
                let rows = for_postgres(sql, values).fetch_all(link.get()).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(link) => {
                let rows = for_sqlite(sql, values).fetch_all(link.get()).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
        }
    }

    /// Runs a text of several statements without arguments.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(link) => sqlx::raw_sql(sql).execute(link.get()).await.map(drop),
            Self::Sqlite(link) => sqlx::raw_sql(sql).execute(link.get()).await.map(drop),
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

fn for_sqlite<'q>(sql: &'static str, values: &[Value<'_>]) -> Query<'q, Sqlite, SqliteArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Bytes(bytes) => query.bind(bytes.as_deref()),
        Value::Int(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.as_deref()),
    })
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(Some(i64::from(number)))
    }
}

// Counters start at one and are incremented by us: none comes near the end of 63 bits.
impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Int(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Int(Some(time.as_micros()))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(time: Option<Timestamp>) -> Self {
        Self::Int(time.map(Timestamp::as_micros))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Cow::Owned))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Some(Cow::Borrowed(bytes)))
    }
}

impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        Self::Bytes(bytes.map(Cow::Borrowed))
    }
}

impl<'a> From<&'a Digest32> for Value<'a> {
    fn from(digest: &'a Digest32) -> Self {
        Self::Bytes(Some(Cow::Borrowed(digest.as_bytes())))
    }
}

impl<'a, K> From<&'a Id<K>> for Value<'a> {
    fn from(id: &'a Id<K>) -> Self {
        Self::Text(Some(Cow::Borrowed(id.as_str())))
    }
}

impl<'a, K> From<Option<&'a Id<K>>> for Value<'a> {
    fn from(id: Option<&'a Id<K>>) -> Self {
        Self::Text(id.map(|id| Cow::Borrowed(id.as_str())))
    }
}
