//! A database per test, and things to put into it.

use tempfile::TempDir;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::secret::Entropy;
use crate::storage::{Store, StoreOptions};

/// The time at which every test begins.
pub(super) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Names a superuser's address of a private PostgreSQL.
const POSTGRES: &str = "PORTCULLIS_TEST_POSTGRES";

#[derive(Clone, Copy, Debug)]
pub(super) enum Backend {
    Postgres,
    Sqlite,
}

/// A migrated database of its own.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) place: Place,
}

/// Where a database is: a file in a folder that goes away with the test, or a database of the private cluster.
pub(super) struct Place {
    pub(super) options: StoreOptions,
    pub(super) folder: Option<TempDir>,
}

impl Fixture {
    pub(super) async fn new(backend: Backend) -> Self {
        let place = Place::new(backend).await;
        let clock = Clock::manual(START);
        let store = Store::open(&place.options, clock.clone()).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, clock, entropy: Entropy::os(), place }
    }

    /// A second store on the same database: another replica, or a command beside the server.
    pub(super) async fn replica(&self) -> Store {
        Store::open(&self.place.options, self.clock.clone()).await.unwrap()
    }
}

impl Place {
    pub(super) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => Self { options: StoreOptions::new(make_database().await), folder: None },
            Backend::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("portcullis.db");
                Self {
                    options: StoreOptions::new(format!("sqlite:{}", file.display())),
                    folder: Some(folder),
                }
            }
        }
    }
}

async fn make_database() -> String {
    let Ok(server) = std::env::var(POSTGRES) else {
        panic!("{POSTGRES} is not set: this test needs PostgreSQL, and ./tests/run starts one for it");
    };
    let name = format!("store_{}", crate::domain::secret::Digest32::of(&Entropy::os().bytes::<16>()).hex());
    let name = name.get(..30).unwrap();
    let (base, _) = server.rsplit_once('/').unwrap_or((server.as_str(), ""));
    let pool = sqlx::PgPool::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&pool).await.unwrap();
    pool.close().await;
    format!("{base}/{name}")
}
