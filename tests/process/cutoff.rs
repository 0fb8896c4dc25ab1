//! Access that is taken away ends at every service by itself: the bench has the times, this has that none goes on.

use portcullis_tests::cutoff::{Cut, Scene};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use rstest::rstest;

const TRIALS: usize = 10;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_away_is_refused_by_every_service_that_listens(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database, |place| place).await;
    for cut in Cut::ALL {
        let mut times = Vec::new();
        for number in 0..TRIALS {
            times.push(scene.trial(cut, number).await);
        }
        times.sort_unstable();
        println!("{cut:?}: {:?}, slowest {:?}", times[TRIALS / 2], times[TRIALS - 1]);
    }
}
