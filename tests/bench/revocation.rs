//! How long what was taken away is still served: from the request that takes it away until the last of three services that listen
//! has refused the token. On SQLite, and with `PORTCULLIS_TEST_POSTGRES` on PostgreSQL with two servers too.

use std::time::Duration;

use portcullis_tests::cutoff::{Cut, Scene};
use portcullis_tests::database::Database;
use portcullis_tests::process::Place;

use crate::server::program;

const TRIALS: usize = 100;
/// What the design promises.
const BOUND: Duration = Duration::from_secs(2);
/// A trial takes a small part of a second where all is well.
const LONGEST: Duration = Duration::from_mins(10);

/// Measures and prints.
///
/// # Panics
///
/// When it takes too long.
pub(crate) async fn measure() {
    let mut databases = vec![Database::Sqlite];
    if std::env::var_os("PORTCULLIS_TEST_POSTGRES").is_some() {
        databases.push(Database::Postgres);
    }
    println!(
        "{:<24} {:>10} {:>10} {:>10}   at most {} ms",
        format!("{TRIALS} trials each, ms"),
        "median",
        "p99",
        "slowest",
        BOUND.as_millis()
    );
    for database in databases {
        let measured = tokio::time::timeout(LONGEST, Box::pin(measure_on(database))).await;
        measured.unwrap_or_else(|_| panic!("{database:?} takes longer than {LONGEST:?}"));
    }
}

async fn measure_on(database: Database) {
    let scene = Scene::set(database, |place| Place { program: Some(program()), ..place }).await;
    for cut in Cut::ALL {
        let mut times = Vec::with_capacity(TRIALS);
        for number in 0..TRIALS {
            times.push(scene.trial(cut, number).await);
        }
        times.sort_unstable();
        let millis = |rank: usize| times.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        let (median, p99, slowest) =
            (millis(TRIALS.div_ceil(2)), millis((TRIALS * 99).div_ceil(100)), millis(TRIALS));
        let verdict = if slowest <= BOUND.as_secs_f64() * 1e3 { "met" } else { "MISSED" };
        let name = format!("{database:?} {cut:?}");
        println!("{name:<24} {median:>10.1} {p99:>10.1} {slowest:>10.1}   {verdict}");
    }
}
