//! The schema and its history: append-only files, the same numbers on both databases.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::secret::Digest32;
use crate::storage::db::{Link, SqliteLink};
use crate::storage::dialect::Dialect;
use crate::storage::error::DriverError;
use crate::storage::options::Target;
use crate::storage::pools::{Pools, begin};
use crate::storage::shared::Shared;
use crate::storage::sqlite::Opening;
use crate::storage::{StoreError, Tx};

struct Migration {
    number: u32,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

/// Every migration there is, in order. What was released is never changed: add the next one.
const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "foundation",
        postgres: include_str!("../../../migrations/postgres/0001_foundation.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0001_foundation.sql"),
    },
    Migration {
        number: 2,
        name: "consent_per_api",
        postgres: include_str!("../../../migrations/postgres/0002_consent_per_api.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0002_consent_per_api.sql"),
    },
    Migration {
        number: 3,
        name: "admin_api",
        postgres: include_str!("../../../migrations/postgres/0003_admin_api.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0003_admin_api.sql"),
    },
    Migration {
        number: 4,
        name: "revocation_feed",
        postgres: include_str!("../../../migrations/postgres/0004_revocation_feed.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0004_revocation_feed.sql"),
    },
    Migration {
        number: 5,
        name: "policy_revisions",
        postgres: include_str!("../../../migrations/postgres/0005_policy_revisions.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0005_policy_revisions.sql"),
    },
    Migration {
        number: 6,
        name: "decision_records",
        postgres: include_str!("../../../migrations/postgres/0006_decision_records.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0006_decision_records.sql"),
    },
    Migration {
        number: 7,
        name: "route_inventories",
        postgres: include_str!("../../../migrations/postgres/0007_route_inventories.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0007_route_inventories.sql"),
    },
    Migration {
        number: 8,
        name: "decisions_asked_for",
        postgres: include_str!("../../../migrations/postgres/0008_decisions_asked_for.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0008_decisions_asked_for.sql"),
    },
    Migration {
        number: 9,
        name: "bounded_records",
        postgres: include_str!("../../../migrations/postgres/0009_bounded_records.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0009_bounded_records.sql"),
    },
    Migration {
        number: 10,
        name: "claims",
        postgres: include_str!("../../../migrations/postgres/0010_claims.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0010_claims.sql"),
    },
    Migration {
        number: 11,
        name: "devices",
        postgres: include_str!("../../../migrations/postgres/0011_devices.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0011_devices.sql"),
    },
    Migration {
        number: 12,
        name: "sender_constraint",
        postgres: include_str!("../../../migrations/postgres/0012_sender_constraint.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0012_sender_constraint.sql"),
    },
    Migration {
        number: 13,
        name: "logout_notices",
        postgres: include_str!("../../../migrations/postgres/0013_logout_notices.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0013_logout_notices.sql"),
    },
    Migration {
        number: 14,
        name: "client_registrations",
        postgres: include_str!("../../../migrations/postgres/0014_client_registrations.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0014_client_registrations.sql"),
    },
    Migration {
        number: 16,
        name: "details",
        postgres: include_str!("../../../migrations/postgres/0016_details.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0016_details.sql"),
    },
    Migration {
        number: 17,
        name: "client_logos",
        postgres: include_str!("../../../migrations/postgres/0017_client_logos.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0017_client_logos.sql"),
    },
    Migration {
        number: 18,
        name: "ciba_requests",
        postgres: include_str!("../../../migrations/postgres/0018_ciba_requests.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0018_ciba_requests.sql"),
    },
    Migration {
        number: 19,
        name: "access_token_signing",
        postgres: include_str!("../../../migrations/postgres/0019_access_token_signing.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0019_access_token_signing.sql"),
    },
    Migration {
        number: 20,
        name: "begun_grants",
        postgres: include_str!("../../../migrations/postgres/0020_begun_grants.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0020_begun_grants.sql"),
    },
    Migration {
        number: 21,
        name: "assertions_in_grants",
        postgres: include_str!("../../../migrations/postgres/0021_assertions_in_grants.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0021_assertions_in_grants.sql"),
    },
    Migration {
        number: 22,
        name: "mail_outbox",
        postgres: include_str!("../../../migrations/postgres/0022_mail_outbox.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0022_mail_outbox.sql"),
    },
    Migration {
        number: 23,
        name: "second_steps",
        postgres: include_str!("../../../migrations/postgres/0023_second_steps.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0023_second_steps.sql"),
    },
    Migration {
        number: 24,
        name: "accounts_by_address",
        postgres: include_str!("../../../migrations/postgres/0024_accounts_by_address.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0024_accounts_by_address.sql"),
    },
    Migration {
        number: 25,
        name: "invitations",
        postgres: include_str!("../../../migrations/postgres/0025_invitations.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0025_invitations.sql"),
    },
    Migration {
        number: 26,
        name: "passkeys",
        postgres: include_str!("../../../migrations/postgres/0026_passkeys.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0026_passkeys.sql"),
    },
    Migration {
        number: 27,
        name: "confirmed_addresses_first",
        postgres: include_str!("../../../migrations/postgres/0027_confirmed_addresses_first.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0027_confirmed_addresses_first.sql"),
    },
    Migration {
        number: 28,
        name: "pushed_requests_of_flows",
        postgres: include_str!("../../../migrations/postgres/0028_pushed_requests_of_flows.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0028_pushed_requests_of_flows.sql"),
    },
    Migration {
        number: 29,
        name: "letter_sign_ins",
        postgres: include_str!("../../../migrations/postgres/0029_letter_sign_ins.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0029_letter_sign_ins.sql"),
    },
    Migration {
        number: 30,
        name: "account_deletions",
        postgres: include_str!("../../../migrations/postgres/0030_account_deletions.sql"),
        sqlite: include_str!("../../../migrations/sqlite/0030_account_deletions.sql"),
    },
];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    number BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";
const APPLIED: &str = "SELECT number, checksum FROM schema_migrations ORDER BY number";
const RECORD: &str =
    "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[APPLIED, RECORD];

/// How far the schema of a database is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SchemaStatus {
    /// The last migration that was applied; 0 on an empty database.
    pub applied: u32,
    /// The last migration that this program knows.
    pub known: u32,
}

impl SchemaStatus {
    /// What a database that is still to be made has.
    pub(crate) fn of_nothing() -> Self {
        Self { applied: 0, known: known() }
    }

    /// Whether nothing is left to do.
    pub const fn is_current(self) -> bool {
        self.applied == self.known
    }
}

impl Migration {
    const fn text(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }

    fn checksum(&self, dialect: Dialect) -> String {
        Digest32::of(self.text(dialect).as_bytes()).hex()
    }
}

/// Applies what is missing, each migration in a transaction of its own under the lock.
pub(super) async fn migrate(target: &Target, shared: &Arc<Shared>) -> Result<SchemaStatus, StoreError> {
    loop {
        let mut tx = begin_alone(target, shared).await?;
        let status = step(&mut tx).await?;
        tx.commit().await?;
        if status.is_current() {
            return Ok(status);
        }
    }
}

/// A transaction in which no other process migrates. Dropping it rolls back: its connection is its own.
async fn begin_alone(target: &Target, shared: &Arc<Shared>) -> Result<Tx, StoreError> {
    let link = match (target, &shared.pools) {
        (Target::Sqlite(file), _) => {
            // Longer than others: somebody else's migration may take a while.
            let opening = Opening::to_write(file).patient(Duration::from_mins(1));
            let connection = opening.connect().map_err(DriverError::from)?;
            Link::Sqlite(SqliteLink::Writing(Box::new(connection)))
        }
        (Target::Postgres(_), Pools::Postgres(pool, trust)) => begin(pool, trust).await?,
        (Target::Postgres(_), Pools::Sqlite(_)) => return Err(StoreError::Aborted),
    };
    let mut tx = Tx::new(link, Arc::clone(shared)).uncounted();
    tx.script(tx.dialect().lock_migrations()).await?;
    Ok(tx)
}

/// Applies the next migration, if there is one.
async fn step(tx: &mut Tx) -> Result<SchemaStatus, StoreError> {
    let status = status(tx).await?;
    let Some(next) = MIGRATIONS.iter().find(|migration| migration.number > status.applied) else {
        return Ok(status);
    };
    tx.script(CREATE).await?;
    tx.script(next.text(tx.dialect())).await?;
    let checksum = next.checksum(tx.dialect());
    tx.execute(RECORD, &[next.number.into(), next.name.into(), checksum.into(), tx.now().into()]).await?;
    Ok(SchemaStatus { applied: next.number, ..status })
}

/// The last migration that this program knows.
fn known() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// Compares what was applied with what this program knows.
pub(super) async fn status(tx: &mut Tx) -> Result<SchemaStatus, StoreError> {
    let known = known();
    if tx.fetch_optional(tx.dialect().has_migrations(), &[]).await?.is_none() {
        return Ok(SchemaStatus { applied: 0, known });
    }
    let mut applied = 0;
    for row in tx.fetch_all(APPLIED, &[]).await? {
        applied = row.get(0)?;
        let checksum: String = row.get(1)?;
        match MIGRATIONS.iter().find(|migration| migration.number == applied) {
            Some(migration) if migration.checksum(tx.dialect()) == checksum => {}
            Some(_) => return Err(StoreError::MigrationChanged { number: applied }),
            None => return Err(StoreError::NewerSchema { found: applied, known }),
        }
    }
    Ok(SchemaStatus { applied, known })
}
