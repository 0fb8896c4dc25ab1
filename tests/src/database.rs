//! The two databases that every integration test runs on, and replicas.

use std::path::Path;

use portcullis_server::domain::secret::Entropy;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

/// Where a server under test keeps its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Database {
    /// A database of its own in the PostgreSQL that `tests/run` started.
    Postgres,
    /// The same, with two servers on it that take turns behind one address.
    Replicas,
    /// A file in the server's data folder.
    Sqlite,
}

impl Database {
    /// Makes an empty database and returns its URL.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is asked for and `tests/run` did not start it: a test that cannot run is a failure.
    pub async fn create(self, data_dir: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", data_dir.join("portcullis.db").display()),
            Self::Postgres | Self::Replicas => create_postgres().await,
        }
    }
}

async fn create_postgres() -> String {
    let admin = required("PORTCULLIS_TEST_POSTGRES");
    let random = Entropy::os().bytes::<8>();
    let name = random.iter().fold("test_".to_owned(), |name, byte| format!("{name}{byte:02x}"));
    let mut connection = PgConnection::connect(&admin).await.expect("the PostgreSQL of tests/run answers");
    connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await
        .expect("the superuser of tests/run may create a database");
    connection.close().await.expect("a connection that answered can be closed");
    let (server, _) = admin.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// Every row of every table of a PostgreSQL database, as text.
///
/// # Panics
///
/// When the database refuses to say.
pub async fn dump(url: &str) -> String {
    const TABLES: &str =
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'";
    let mut connection = PgConnection::connect(url).await.expect("the database answers");
    let tables: Vec<String> =
        sqlx::query_scalar(TABLES).fetch_all(&mut connection).await.expect("its tables are listed");
    let mut rows = Vec::new();
    for table in tables {
        let every = AssertSqlSafe(format!("SELECT kept::text FROM {table} AS kept"));
        rows.extend(
            sqlx::query_scalar::<_, String>(every).fetch_all(&mut connection).await.expect("each is read"),
        );
    }
    connection.close().await.expect("a connection that answered can be closed");
    rows.join("\n")
}

/// Runs SQL behind the back of the server.
///
/// # Panics
///
/// When the database refuses it.
pub async fn execute(url: &str, sql: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.expect("the database answers");
    connection.execute(sql).await.expect("the statement is right");
    connection.close().await.expect("a connection that answered can be closed");
}

/// The first column of what a statement finds.
///
/// # Panics
///
/// When the database refuses it.
pub async fn texts(url: &str, sql: &'static str) -> Vec<String> {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.expect("the database answers");
    let texts = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("the statement is right");
    connection.close().await.expect("a connection that answered can be closed");
    texts
}

/// The letters in the outbox, each as one text with everything in its row that a mail server or a person had a part in, oldest first.
///
/// # Panics
///
/// When the database refuses it.
pub async fn letters(url: &str) -> Vec<String> {
    const ROWS: &str =
        "SELECT id, kind, state, COALESCE(last_error, ''), sealed FROM mail_outbox ORDER BY id";
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.expect("the database answers");
    let rows = sqlx::query(ROWS).fetch_all(&mut connection).await.expect("the statement is right");
    connection.close().await.expect("a connection that answered can be closed");
    let shown = rows.iter().map(|row| {
        let text = |column: usize| row.get::<String, _>(column);
        let sealed = row.get::<Option<Vec<u8>>, _>(4);
        let sealed = sealed.map_or("none".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        format!("{} {} {} {} sealed: {sealed}", text(0), text(1), text(2), text(3))
    });
    shown.collect()
}

/// What `tests/run` exports under this name.
///
/// # Panics
///
/// When it is not set.
pub fn required(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: start this test with tests/run"))
}
