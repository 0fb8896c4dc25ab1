//! The store: opens the database, reads from it, and is the only way to write to it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::domain::client::Client;
use crate::domain::clock::Clock;
use crate::domain::details::kind::DetailsTypes;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::rbac::{Api, Audience, RoleName};
use crate::storage::cache::Caches;
use crate::storage::commit::perform;
use crate::storage::error::READ_ONLY;
use crate::storage::migrations::{self, SchemaStatus};
use crate::storage::options::{StoreOptions, Target};
use crate::storage::pools::{Pools, begin};
use crate::storage::shared::Shared;
use crate::storage::sqlite::Opening;
use crate::storage::tx::Work;
use crate::storage::watch::Watch;
use crate::storage::writer::Writer;
use crate::storage::{Outcome, StoreError, Tx, look, watch as watching};

/// The database, with memory in front of it. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    caches: Arc<Caches>,
    target: Target,
    /// Only SQLite has one, and not when it is only looked at: PostgreSQL lets many write at once.
    writer: Option<Writer>,
    watch: Watch,
}

impl Store {
    /// Opens the database, and makes the file of a SQLite database that is not there yet.
    ///
    /// The schema is left as it is: see [`migrate`](Self::migrate).
    pub async fn open(options: &StoreOptions, clock: Clock) -> Result<Self, StoreError> {
        let target = options.target()?;
        let opened = timeout(options.connect_timeout, first_contact(&target)).await;
        answered(target.place(), opened)?;
        let pools = match &target {
            Target::Postgres(options_of) => Pools::postgres((**options_of).clone(), options.max_connections),
            Target::Sqlite(file) => Pools::sqlite(Opening::to_read(file), options.max_connections),
        };
        Ok(Self::over(target, pools, clock, Access::Writes))
    }

    /// Opens the database only to look at what is there now: nothing is made, and a SQLite file is not even locked for
    /// writing. `None` when there is no SQLite file yet and one could be made.
    pub(crate) async fn look(options: &StoreOptions, clock: Clock) -> Result<Option<Self>, StoreError> {
        let target = options.target()?;
        let pools = match &target {
            Target::Postgres(options_of) => {
                let opened = timeout(options.connect_timeout, first_contact(&target)).await;
                answered(target.place(), opened)?;
                Pools::postgres((**options_of).clone(), options.max_connections)
            }
            Target::Sqlite(file) => match look::readable(file) {
                Ok(Some(opening)) => Pools::sqlite(opening, 1),
                Ok(None) => return Ok(None),
                Err(reason) => return Err(StoreError::CannotOpen { place: target.place(), reason }),
            },
        };
        Ok(Some(Self::over(target, pools, clock, Access::Reads)))
    }

    fn over(target: Target, pools: Pools, clock: Clock, access: Access) -> Self {
        let shared = Arc::new(Shared { clock, statements: AtomicU64::new(0), pools });
        let caches = Arc::new(Caches::new(Arc::clone(&shared)));
        let writer = match (&target, access) {
            (Target::Sqlite(file), Access::Writes) => {
                Some(Writer::start(Opening::to_write(file), Arc::clone(&shared), Arc::clone(&caches)))
            }
            (Target::Sqlite(_), Access::Reads) | (Target::Postgres(_), _) => None,
        };
        let watch = watching::spawn(&caches, &target);
        Self { inner: Arc::new(Inner { shared, caches, target, writer, watch }) }
    }

    /// Brings the schema up to date. Of several processes that start at once, one migrates and the others wait.
    pub async fn migrate(&self) -> Result<SchemaStatus, StoreError> {
        migrations::migrate(&self.inner.target, &self.inner.shared).await
    }

    /// Says which schema the database has, and which one this program knows.
    pub async fn schema_status(&self) -> Result<SchemaStatus, StoreError> {
        migrations::status(&mut self.read().await?).await
    }

    /// A connection to read from. On SQLite it refuses to write.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        let link = self.inner.shared.pools.reading().await?;
        Ok(Tx::new(link, Arc::clone(&self.inner.shared)))
    }

    /// Runs `work` in a transaction: the only way to write.
    ///
    /// A fault or a panic rolls back; a refusal commits. The answer comes after the commit.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Outcome + Send + 'static,
    {
        match &self.inner.writer {
            Some(writer) => writer.write(work).await,
            None => self.write_now(work).await,
        }
    }

    async fn write_now<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, Result<T, E>> + Send + 'static,
        E: From<StoreError> + Outcome,
    {
        let shared = &self.inner.shared;
        let link = match &shared.pools {
            Pools::Postgres(pool, trust) => begin(pool, trust).await?,
            Pools::Sqlite(_) => shared.pools.reading().await?,
        };
        let mut tx = Tx::new(link, Arc::clone(shared));
        let outcome = perform(&mut tx, work).await;
        if outcome.as_ref().is_err_and(Outcome::is_fault) {
            return outcome;
        }
        let reached = tx.take_reached();
        tx.commit().await?;
        self.inner.caches.heard(reached);
        outcome
    }

    /// How many statements ran: what a test counts.
    pub fn statements(&self) -> u64 {
        self.inner.shared.statements.load(Ordering::Relaxed)
    }

    /// Changes whenever the caches are emptied: whoever keeps something else in memory reads it again then.
    pub fn invalidations(&self) -> watch::Receiver<u64> {
        self.inner.caches.invalidations()
    }

    /// The place of the last revocation; changes when there is another.
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.inner.caches.revocations()
    }

    /// Empties the caches when another replica, or a command beside the server, changed what they hold.
    pub async fn refresh_if_stale(&self) -> Result<(), StoreError> {
        watching::refresh(&self.inner.caches).await
    }

    /// A client, from memory when it was asked for before.
    pub async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        self.inner.caches.client(id).await
    }

    /// An API, from memory when it was asked for before.
    pub async fn api(&self, id: &ApiId) -> Result<Option<Arc<Api>>, StoreError> {
        self.inner.caches.api(id).await
    }

    /// The API with this audience, whatever the case of its scheme and host; from memory when it was asked for before.
    pub async fn api_by_audience(&self, audience: &str) -> Result<Option<Arc<Api>>, StoreError> {
        let found = self.inner.caches.api_by_audience(audience).await?;
        match Audience::plain(audience).filter(|_| found.is_none()) {
            Some(plain) => self.inner.caches.api_by_audience(&plain).await,
            None => Ok(found),
        }
    }

    /// Every type of details, from memory when they were asked for before.
    pub async fn details_types(&self) -> Result<Arc<DetailsTypes>, StoreError> {
        self.inner.caches.details_types().await
    }

    /// The roles that a client holds in an API for itself, from memory when they were asked for before.
    pub async fn client_roles(
        &self,
        client: &ClientId,
        api: &ApiId,
    ) -> Result<Arc<Vec<RoleName>>, StoreError> {
        self.inner.caches.client_roles(client, api).await
    }

    /// The roles that a token of a user carries in an API, from memory when they were asked for before.
    pub async fn user_roles(&self, user: &UserId, api: &ApiId) -> Result<Arc<Vec<RoleName>>, StoreError> {
        self.inner.caches.user_roles(user, api).await
    }

    /// Commits what waits to be written, takes nothing more, and closes every connection once it is given back.
    pub async fn close(&self) {
        self.inner.watch.stop();
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
        self.inner.shared.pools.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.inner.target.place())
    }
}

/// What a store is opened for.
#[derive(Clone, Copy)]
enum Access {
    Reads,
    Writes,
}

/// Whether the first contact was made, and in time.
fn answered<E>(place: String, opened: Result<Result<(), StoreError>, E>) -> Result<(), StoreError> {
    match opened {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(cannot_open(place, &error)),
        Err(_) => Err(StoreError::CannotOpen { place, reason: "it did not answer in time".to_owned() }),
    }
}

async fn first_contact(target: &Target) -> Result<(), StoreError> {
    match target {
        Target::Postgres(options) => Ok(options.connect().await?.close().await?),
        Target::Sqlite(file) => {
            make_private(file)?;
            let started = Instant::now();
            loop {
                // Two processes that make the same file at once may meet in the change to write-ahead logging.
                match Opening::to_write(file).connect().map_err(StoreError::from) {
                    Err(StoreError::Busy) if started.elapsed() < Duration::from_secs(5) => {
                        sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => return Err(explained(file, error)),
                    Ok(_) => return Ok(()),
                }
            }
        }
    }
}

/// SQLite only says that it cannot open the file; the file system knows why.
fn explained(file: &Path, error: StoreError) -> StoreError {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match std::fs::OpenOptions::new().append(true).open(file) {
        Err(refused) if matches!(refused.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            StoreError::ReadOnly
        }
        Err(_) | Ok(_) => error,
    }
}

/// Makes the file so that only its owner reads it; SQLite gives the files beside it the same rights.
fn make_private(file: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable { reason: error.to_string() }),
    }
}

fn cannot_open(place: String, error: &StoreError) -> StoreError {
    let reason = match error {
        StoreError::ReadOnly => READ_ONLY.to_owned(),
        StoreError::Unavailable { reason } | StoreError::Unexpected { reason } => reason.clone(),
        StoreError::Corrupt { what } => what.clone(),
        other => other.to_string(),
    };
    StoreError::CannotOpen { place, reason }
}
