//! What a statement costs through `sqlx::Any`, through the driver of the database itself, and for SQLite without a thread in
//! between, in interleaved rounds.
//!
//! The records of the decisions in `auth-server/docs/adr/` say what it printed. SQLite is a file of its own; PostgreSQL is the server that
//! `PORTCULLIS_TEST_POSTGRES` names, in which a database is made for this run.
//!
//! ```text
//! PORTCULLIS_TEST_POSTGRES=postgres://.. cargo bench --workspace --bench speed -- drivers
//! ```

use std::time::Instant;

use portcullis_tests::database::Database as Backend;
use rusqlite::Connection;
use sqlx::pool::PoolOptions;
use sqlx::{
    Any, ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Pool, Postgres, Row, Sqlite, Type,
};

use crate::cpu;

/// Rounds of each measurement.
const ROUNDS: usize = 5;
/// Statements of a round.
const READS: i64 = 10_000;
const WRITES: i64 = 1_000;
/// Rows to read from.
const ROWS: i64 = 1_000;
/// Connections of a pool.
const CONNECTIONS: u32 = 4;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS tokens (
        id BIGINT PRIMARY KEY, client TEXT NOT NULL, scopes TEXT NOT NULL, digest TEXT NOT NULL,
        created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, spent_at BIGINT)";
const INSERT: &str = "
    INSERT INTO tokens (id, client, scopes, digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING";
const READ: &str =
    "SELECT id, client, scopes, digest, created_at, expires_at, spent_at FROM tokens WHERE id = $1";
const SPEND: &str = "UPDATE tokens SET spent_at = $1 WHERE id = $2 RETURNING client, scopes";

/// Microseconds of one statement.
struct Cost {
    /// CPU of this process, the threads of the driver among it; what PostgreSQL does is the same for both.
    cpu: f64,
    /// One statement after the other.
    elapsed: f64,
}

/// Compares both on both databases, and prints every round.
pub(crate) async fn compare_all() {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("{}?mode=rwc", Backend::Sqlite.create(folder.path()).await);
    let (typed, any) = (pool::<Sqlite>(&url).await, pool::<Any>(&url).await);
    fill(&typed).await;
    compare("SQLite", async || round(&typed).await, async || round(&any).await).await;
    let connection = Connection::open(folder.path().join("portcullis.db")).expect("the file is there");
    println!("SQLite, called in place");
    for _ in 0..ROUNDS {
        for (what, cost) in ["read", "update"].into_iter().zip(round_in_place(&connection).await) {
            println!("  {what:<7} {:>6.1} ({:>6.1})", cost.cpu, cost.elapsed);
        }
    }
    let url = Backend::Postgres.create(folder.path()).await;
    let (typed, any) = (pool::<Postgres>(&url).await, pool::<Any>(&url).await);
    fill(&typed).await;
    compare("PostgreSQL", async || round(&typed).await, async || round(&any).await).await;
}

/// Prints what both cost, round by round.
async fn compare(name: &str, typed: impl AsyncFn() -> [Cost; 2], any: impl AsyncFn() -> [Cost; 2]) {
    println!("{name}: CPU us (elapsed us) of one statement");
    for _ in 0..ROUNDS {
        let (left, right) = (typed().await, any().await);
        for (what, (typed, any)) in ["read", "update"].into_iter().zip(left.iter().zip(&right)) {
            println!(
                "  {what:<7} typed {:>6.1} ({:>6.1})   any {:>6.1} ({:>6.1})   any/typed {:.2} ({:.2})",
                typed.cpu,
                typed.elapsed,
                any.cpu,
                any.elapsed,
                any.cpu / typed.cpu,
                any.elapsed / typed.elapsed
            );
        }
    }
}

/// Reads and updates, one after the other.
async fn round<D: Database>(pool: &Pool<D>) -> [Cost; 2]
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    for<'q> i64: Encode<'q, D> + Decode<'q, D> + Type<D>,
    for<'q> Option<i64>: Decode<'q, D> + Type<D>,
    for<'q> String: Decode<'q, D> + Type<D>,
    usize: ColumnIndex<D::Row>,
{
    [
        measure(READS, async |n| read(pool, n).await).await,
        measure(WRITES, async |n| spend(pool, n).await).await,
    ]
}

/// The same without a thread in between.
async fn round_in_place(connection: &Connection) -> [Cost; 2] {
    let reads = measure(READS, async |number| {
        let mut statement = connection.prepare_cached(READ).expect("the table is there");
        let found = statement.query_row([number % ROWS], |row| {
            let texts: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((texts, row.get::<_, i64>(4)? < row.get::<_, i64>(5)?, row.get::<_, Option<i64>>(6)?))
        });
        let (texts, is_in_order, spent_at) = found.expect("the row is there");
        assert!(texts.iter().all(|text| !text.is_empty()) && is_in_order);
        std::hint::black_box(spent_at);
    });
    let reads = reads.await;
    let writes = measure(WRITES, async |number| {
        let mut statement = connection.prepare_cached(SPEND).expect("the table is there");
        let spent = statement.query_row([number, number % ROWS], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        let (client, scopes) = spent.expect("the row is there");
        assert!(!client.is_empty() && !scopes.is_empty());
    });
    [reads, writes.await]
}

async fn pool<D: Database>(url: &str) -> Pool<D> {
    PoolOptions::new().max_connections(CONNECTIONS).connect(url).await.expect("it connects")
}

async fn fill<D: Database>(pool: &Pool<D>)
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    for<'q> i64: Encode<'q, D> + Type<D>,
    for<'q> &'q str: Encode<'q, D> + Type<D>,
{
    let digest = "0f".repeat(32);
    let mut connection = pool.acquire().await.expect("a connection");
    connection.execute(TABLE).await.expect("the table is made");
    for id in 0..ROWS {
        let row =
            sqlx::query(INSERT).bind(id).bind("cli_0123456789abcdef").bind("openid profile offline_access");
        let row = row.bind(digest.as_str()).bind(1_800_000_000_000_000_i64).bind(1_800_000_300_000_000_i64);
        row.execute(&mut *connection).await.expect("the row is new");
    }
}

async fn read<D: Database>(pool: &Pool<D>, number: i64)
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    for<'q> i64: Encode<'q, D> + Decode<'q, D> + Type<D>,
    for<'q> Option<i64>: Decode<'q, D> + Type<D>,
    for<'q> String: Decode<'q, D> + Type<D>,
    usize: ColumnIndex<D::Row>,
{
    let mut connection = pool.acquire().await.expect("a connection");
    let row =
        sqlx::query(READ).bind(number % ROWS).fetch_one(&mut *connection).await.expect("the row is there");
    for column in 1..4_usize {
        assert!(!row.get::<String, _>(column).is_empty());
    }
    assert!(row.get::<i64, _>(4_usize) < row.get::<i64, _>(5_usize));
    std::hint::black_box(row.get::<Option<i64>, _>(6_usize));
}

async fn spend<D: Database>(pool: &Pool<D>, number: i64)
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    for<'q> i64: Encode<'q, D> + Type<D>,
    for<'q> String: Decode<'q, D> + Type<D>,
    usize: ColumnIndex<D::Row>,
{
    let mut connection = pool.acquire().await.expect("a connection");
    let spent = sqlx::query(SPEND).bind(number).bind(number % ROWS);
    let row = spent.fetch_one(&mut *connection).await.expect("the row is there");
    assert!(!row.get::<String, _>(0_usize).is_empty() && !row.get::<String, _>(1_usize).is_empty());
}

/// Runs a statement so many times, one after the other.
async fn measure(count: i64, statement: impl AsyncFn(i64)) -> Cost {
    for number in 0..count / 10 {
        statement(number).await;
    }
    let (before, started) = (cpu::of_process(std::process::id()), Instant::now());
    for number in 0..count {
        statement(number).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let per = |total: std::time::Duration| total.as_secs_f64() * 1e6 / count as f64;
    Cost {
        cpu: per(cpu::of_process(std::process::id()).saturating_sub(before)),
        elapsed: per(started.elapsed()),
    }
}
