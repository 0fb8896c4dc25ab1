//! Connections to read from, and on PostgreSQL to write on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool};
use sqlx::{Connection, Executor};

use crate::storage::StoreError;
use crate::storage::db::{Link, PgLink, SqliteLink};
use crate::storage::dialect::CHANNEL;
use crate::storage::error::connection_is_lost;
use crate::storage::readers::Readers;
use crate::storage::sqlite::Opening;

/// How long a request waits for a connection before it is told that the database is busy.
const PATIENCE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_mins(5);

/// The connections of a store.
pub(super) enum Pools {
    Postgres(PgPool, Trust),
    Sqlite(Readers),
}

/// Since when connections are known to be good: one that was idle at a failure is asked before it is used again.
#[derive(Clone)]
pub(super) struct Trust {
    epoch: Instant,
    failed_at: Arc<AtomicU64>,
}

impl Trust {
    fn new() -> Self {
        Self { epoch: Instant::now(), failed_at: Arc::default() }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn failed(&self) {
        self.failed_at.store(self.elapsed(), Ordering::Relaxed);
    }

    fn covers(&self, idle_for: Duration) -> bool {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        failed_at == 0 || idle_for < Duration::from_micros(self.elapsed().saturating_sub(failed_at))
    }
}

impl Pools {
    pub(super) fn postgres(options: PgConnectOptions, max_connections: u32) -> Self {
        let trust = Trust::new();
        let asked = trust.clone();
        let pool = PoolOptions::new()
            .max_connections(max_connections.max(2))
            .acquire_timeout(PATIENCE)
            .idle_timeout(IDLE)
            // A question before every use costs a round trip each; it is asked only after something failed.
            .test_before_acquire(false)
            .before_acquire(move |connection: &mut PgConnection, meta| {
                let trusted = asked.covers(meta.idle_for);
                Box::pin(async move { Ok(trusted || connection.ping().await.is_ok()) })
            })
            .after_connect(|connection: &mut PgConnection, _| {
                Box::pin(async move {
                    let limits =
                        "SET statement_timeout = '15s'; SET idle_in_transaction_session_timeout = '30s'";
                    connection.execute(sqlx::raw_sql(limits)).await.map(drop)
                })
            })
            .connect_lazy_with(options);
        Self::Postgres(pool, trust)
    }

    pub(super) fn sqlite(opening: Opening, max_connections: u32) -> Self {
        Self::Sqlite(Readers::new(opening, max_connections.max(1)))
    }

    /// A connection to read from.
    pub(super) async fn reading(&self) -> Result<Link, StoreError> {
        Ok(match self {
            Self::Postgres(pool, _) => Link::Postgres(PgLink::Reading(pool.acquire().await?)),
            Self::Sqlite(readers) => Link::Sqlite(SqliteLink::Reading(readers.acquire(PATIENCE).await?)),
        })
    }

    /// A connection in the place of one that was lost.
    pub(super) async fn reconnect(&self) -> Result<Link, StoreError> {
        self.distrust_idle();
        self.reading().await
    }

    /// Asks every connection that is idle now before it is used again.
    pub(super) fn distrust_idle(&self) {
        if let Self::Postgres(_, trust) = self {
            trust.failed();
        }
    }

    /// Closes every connection once it is given back.
    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(pool, _) => pool.close().await,
            Self::Sqlite(readers) => readers.close().await,
        }
    }
}

/// Begins a transaction. A connection that died in the pool is replaced once: nothing was lost with it.
pub(super) async fn begin(pool: &PgPool, trust: &Trust) -> Result<Link, StoreError> {
    let first = pool.begin().await;
    let transaction = match first {
        Err(error) if connection_is_lost(&error) => {
            trust.failed();
            pool.begin().await?
        }
        other => other?,
    };
    Ok(Link::Postgres(PgLink::Writing(transaction)))
}

/// Listens for other replicas that emptied the caches.
pub(super) async fn listen(options: &PgConnectOptions) -> Result<PgListener, StoreError> {
    let pool =
        PoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
