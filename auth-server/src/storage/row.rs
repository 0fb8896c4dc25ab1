//! Rows on their way back into domain types: what cannot be read is named, never guessed.

use std::net::IpAddr;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, ValueRef as _};

use crate::domain::clock::Timestamp;
use crate::domain::confirmation::Thumbprint;
use crate::domain::ids::{Id, Kind};
use crate::domain::rbac::{Audience, RoleName};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Digest32;
use crate::domain::user::{Email, PasswordHash, Sub, Username};
use crate::storage::StoreError;
use crate::storage::sqlite::{Cell, SqliteRow};

/// A row of either database.
pub(super) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

/// A type that a column can hold.
pub(super) trait Column: Sized {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError>;
}

impl Row {
    /// The value of the column at `index`, counted from 0.
    pub(super) fn get<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        T::read(self, index)
    }

    /// A text column that a type parses.
    pub(super) fn parse<T: FromStr>(&self, index: usize) -> Result<T, StoreError> {
        self.get::<String>(index)?.parse().map_err(|_| self.corrupt(index))
    }

    /// A text column that holds JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, index: usize) -> Result<T, StoreError> {
        serde_json::from_str(&self.get::<String>(index)?).map_err(|_| self.corrupt(index))
    }

    /// The error that says that the column at `index` cannot be read. It does not show the value.
    pub(super) fn corrupt(&self, index: usize) -> StoreError {
        let name = match self {
            Self::Postgres(row) => row.columns().get(index).map(|column| column.name().to_owned()),
            Self::Sqlite(row) => row.name(index).map(str::to_owned),
        };
        StoreError::Corrupt {
            what: name.map_or_else(|| format!("column {index}"), |name| format!("column {name}")),
        }
    }

    fn is_null(&self, index: usize) -> bool {
        match self {
            Self::Postgres(row) => row.try_get_raw(index).is_ok_and(|value| value.is_null()),
            Self::Sqlite(row) => matches!(row.cell(index), Some(Cell::Null)),
        }
    }
}

impl Column for i64 {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        match row {
            Row::Postgres(row) => row.try_get(index).ok(),
            Row::Sqlite(row) => match row.cell(index) {
                Some(Cell::Int(number)) => Some(*number),
                _ => None,
            },
        }
        .ok_or_else(|| row.corrupt(index))
    }
}

impl Column for String {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        match row {
            Row::Postgres(row) => row.try_get(index).ok(),
            Row::Sqlite(row) => match row.cell(index) {
                Some(Cell::Text(text)) => Some(text.clone()),
                _ => None,
            },
        }
        .ok_or_else(|| row.corrupt(index))
    }
}

impl Column for Vec<u8> {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        match row {
            Row::Postgres(row) => row.try_get(index).ok(),
            Row::Sqlite(row) => match row.cell(index) {
                Some(Cell::Bytes(bytes)) => Some(bytes.clone()),
                _ => None,
            },
        }
        .ok_or_else(|| row.corrupt(index))
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        if row.is_null(index) { Ok(None) } else { T::read(row, index).map(Some) }
    }
}

impl Column for u32 {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.get::<i64>(index)?.try_into().map_err(|_| row.corrupt(index))
    }
}

impl Column for u64 {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.get::<i64>(index)?.try_into().map_err(|_| row.corrupt(index))
    }
}

impl Column for Timestamp {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.get(index).map(Self::from_micros)
    }
}

impl Column for Digest32 {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::from_slice(&row.get::<Vec<u8>>(index)?).ok_or_else(|| row.corrupt(index))
    }
}

impl<K: Kind> Column for Id<K> {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.parse(index)
    }
}

impl Column for ScopeSet {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.parse(index)
    }
}

impl Column for IpAddr {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.parse(index)
    }
}

impl Column for Audience {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for Email {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for RoleName {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for Thumbprint {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for Sub {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for Username {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        Self::parse(&row.get::<String>(index)?).map_err(|_| row.corrupt(index))
    }
}

impl Column for PasswordHash {
    fn read(row: &Row, index: usize) -> Result<Self, StoreError> {
        row.get(index).map(Self::from_text)
    }
}
