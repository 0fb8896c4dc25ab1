//! An activation that a power cut interrupts, where there is one server and its file.

use std::time::{Duration, Instant};

use portcullis_tests::admin::Admin;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::service::{GuardedService, REVISION};
use tempfile::tempdir;

const ORDERS: &str = "https://orders.test";
const KILLS: u64 = 25;

/// How long news may take on a loaded machine before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Revisions take turns, so that each decides otherwise than the one before it.
const fn rules(revision: u64) -> &'static str {
    if revision.is_multiple_of(2) { "p, viewer, *, orders, read\n" } else { "p, viewer, *, orders, create\n" }
}

// CB-21 on SQLite
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_activations_leaves_the_old_or_the_new_revision_and_allows_nothing_else_sqlite() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let admin = Admin::in_place(&place);
    let mut server = ServerProcess::start_unlimited(&place).await;
    let api = admin.api(ORDERS).await;
    let caller = admin.machine_client(&[&api]).await;
    admin.assign(&api, "viewer", &caller.id).await;
    admin.activate(&api, rules(2)).await;
    let client = admin.guard_client(&api).await;
    let service = GuardedService::listening(&server.address, &server.address, ORDERS, &client).await;
    let (mut current, mut answered) = (2, 0);
    for round in 0..KILLS {
        let request = admin.activation(&api, rules(current + 1)).await;
        let sent =
            tokio::spawn(async move { request.send().await.is_ok_and(|answer| answer.status() == 200) });
        // Not to wait for anything: each round dies at another moment.
        tokio::time::sleep(Duration::from_micros(800 * round)).await;
        server.kill();
        let was_answered = sent.await.unwrap();
        server = ServerProcess::start_unlimited(&place).await;
        let policy = admin.get(&format!("/apis/{}/policy", api.id)).await.json();
        let active = policy["number"].as_u64().unwrap_or_else(|| panic!("{policy}"));
        assert!(active == current + 1 || (active == current && !was_answered), "{active} after {current}");
        assert_eq!(policy["rules"], rules(active), "a revision has the text it was made of");
        answered += u64::from(was_answered);
        current = active;
        let token = server.machine.client_credentials(&caller, ORDERS).await.member("access_token");
        let since = Instant::now();
        loop {
            // Whichever revision decides, it is one that was active, and decides as it says.
            for (answer, action) in [
                (service.get("/orders", Some(&token)).await, "read"),
                (service.post("/orders", Some(&token)).await, "create"),
            ] {
                let revision: u64 = answer.header(REVISION).parse().unwrap();
                assert!(revision <= active, "{revision} was never active");
                let expected = if rules(revision).contains(action) { 200 } else { 403 };
                assert_eq!(answer.status, expected, "{action} by {revision}: {}", answer.text());
            }
            if service.revision() == Some(active) {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "{:?} instead of {active}", service.revision());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    println!("{KILLS} kills: {} activations took place, {answered} of them were answered", current - 2);
}
