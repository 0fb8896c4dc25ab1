//! One transaction: what statements run in, and what is written at its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::domain::audit::AuditEvent;
use crate::domain::clock::Timestamp;
use crate::domain::revocation::Revocation;
use crate::domain::secret::Digest32;
use crate::storage::StoreError;
use crate::storage::db::{Link, PgLink};
use crate::storage::dialect::Dialect;
use crate::storage::error::DriverError;
use crate::storage::row::Row;
use crate::storage::shared::Shared;
use crate::storage::value::Value;

/// What runs inside a transaction: a future that borrows the transaction.
pub type Work<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

/// The epochs that a transaction made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Reached {
    /// Caches have to be emptied.
    pub(super) cache: Option<u64>,
    /// The place of its last revocation.
    pub(super) revocations: Option<u64>,
}

impl Reached {
    /// What it made, or else what an earlier one did that is committed with it.
    pub(super) fn or(self, earlier: Self) -> Self {
        Self { cache: self.cache.or(earlier.cache), revocations: self.revocations.or(earlier.revocations) }
    }
}

/// The end of the chain of the audit trail.
#[derive(Clone, Copy)]
pub(super) struct ChainHead {
    pub(super) seq: u64,
    pub(super) hash: Digest32,
}

/// A transaction, or a connection to read from.
pub struct Tx {
    link: Link,
    shared: Arc<Shared>,
    /// What is recorded at the end.
    pub(super) events: Vec<AuditEvent>,
    pub(super) invalidates: bool,
    /// What other places are to accept no longer.
    pub(super) revocations: Vec<Revocation>,
    /// The epochs that this transaction made.
    pub(super) reached: Reached,
    pub(super) failed: bool,
    counted: bool,
    /// Where the chain of the audit trail ends, as far as the writer of SQLite knows.
    pub(super) head: Option<ChainHead>,
}

impl Tx {
    pub(super) const fn new(link: Link, shared: Arc<Shared>) -> Self {
        Self {
            link,
            shared,
            events: Vec::new(),
            invalidates: false,
            revocations: Vec::new(),
            reached: Reached { cache: None, revocations: None },
            failed: false,
            counted: true,
            head: None,
        }
    }

    /// Leaves the statements of this transaction out of the count: nobody asked for them.
    #[must_use]
    pub const fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    /// The same for the rest of a transaction that has begun.
    pub const fn in_background(&mut self) {
        self.counted = false;
    }

    /// Records an event at the end of this transaction: it is kept exactly when the transaction is.
    pub fn audit(&mut self, event: AuditEvent) {
        self.events.push(event);
    }

    /// Empties the caches of every replica when this transaction commits.
    pub const fn invalidate(&mut self) {
        self.invalidates = true;
    }

    /// Tells every service of a revocation when this transaction commits.
    pub fn revoke(&mut self, revocation: Revocation) {
        self.revocations.push(revocation);
    }

    /// The time of the store's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Lets no other transaction that takes the same turn run until this one ends: what it checks stays true until
    /// it acts. SQLite has one writer, so there it is always so.
    pub async fn one_at_a_time(&mut self, turn: Turn) -> Result<(), StoreError> {
        match self.dialect().take_turn() {
            Some(lock) => self.fetch_all(lock, &[turn.number().into()]).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self.link {
            Link::Postgres(_) => Dialect::Postgres,
            Link::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Does something behind the back of the server, for tests of what it makes of that.
    #[cfg(test)]
    pub(crate) async fn meddle(&mut self, statement: &'static str) -> Result<u64, StoreError> {
        self.execute(statement, &[]).await
    }

    /// Runs a statement, and counts the rows it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        self.count();
        let result = self.link.execute(sql, values).await;
        self.noted(result)
    }

    /// Runs a statement that gives at most one row.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, StoreError> {
        self.count();
        let mut result = self.link.fetch_optional(sql, values).await;
        if self.reconnects_after(&result).await? {
            result = self.link.fetch_optional(sql, values).await;
        }
        self.noted(result)
    }

    /// Runs a statement that gives any number of rows.
    pub(super) async fn fetch_all(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.count();
        let mut result = self.link.fetch_all(sql, values).await;
        if self.reconnects_after(&result).await? {
            result = self.link.fetch_all(sql, values).await;
        }
        self.noted(result)
    }

    /// Runs a text of several statements; not counted.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let result = self.link.script(sql).await;
        self.noted(result)
    }

    /// Runs a statement that a failed transaction still takes: the end of it.
    pub(super) async fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        Ok(self.link.script(sql).await?)
    }

    fn count(&self) {
        if self.counted {
            self.shared.statements.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection that died while nobody used it is replaced, unless a transaction was lost with it.
    async fn reconnects_after<T>(&mut self, result: &Result<T, DriverError>) -> Result<bool, StoreError> {
        let Err(error) = result else { return Ok(false) };
        let reading = matches!(self.link, Link::Postgres(PgLink::Reading(_)));
        if !reading || !error.is_lost_connection() {
            return Ok(false);
        }
        self.link = self.shared.pools.reconnect().await?;
        Ok(true)
    }

    fn noted<T>(&mut self, result: Result<T, DriverError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            self.failed = true;
            if error.is_lost_connection() {
                self.shared.pools.distrust_idle();
            }
            error.into()
        })
    }

    /// The epochs that the transaction made, for those who have to hear of them once it is committed. Forgets the rest.
    pub(super) fn take_reached(&mut self) -> Reached {
        self.events.clear();
        self.revocations.clear();
        self.failed = false;
        self.invalidates = false;
        self.counted = true;
        std::mem::take(&mut self.reached)
    }

    /// Forgets what was to be written, after a roll-back.
    pub(super) fn forget(&mut self) {
        self.take_reached();
        self.head = None;
    }

    /// Makes what was written last, and ends the transaction.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        match self.link {
            Link::Postgres(PgLink::Writing(transaction)) => Ok(transaction.commit().await?),
            Link::Postgres(PgLink::Reading(_)) | Link::Sqlite(_) => self.control("COMMIT").await,
        }
    }
}

/// What is done one at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// Changes by administrators, which check and then act.
    Administration,
}

impl Turn {
    /// The number of the lock; any would do that no other lock of ours has.
    const fn number(self) -> i64 {
        match self {
            Self::Administration => 7_010_411_218,
        }
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}
