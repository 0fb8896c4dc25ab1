//! Access that is taken away ends at every service by itself, within the time that is promised: a trial that takes longer, and what is
//! allowed for where other tests run beside, is a failure. The bench has the times without.

use std::time::Instant;

use futures_util::future::join_all;
use portcullis_tests::cutoff::{ALLOWANCE, Cut, PROMISED, Scene, until_refused};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{ServerProcess, two_places};
use portcullis_tests::service::GuardedService;
use rstest::rstest;
use serde_json::Value;

use crate::commands::{ORDERS, json, place_on, registered};

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

// CB-19
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_removed_while_fifty_callers_ask_lets_none_of_them_in_for_longer(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database, |place| place).await;
    let last = scene.trial_in_a_crowd(Cut::RoleRemoval, 50).await;
    println!(
        "{database:?}: the last of 50 callers was refused after {last:?}, {PROMISED:?} are promised, {ALLOWANCE:?} allowed for"
    );
}

// JW-21: at each server, and at a service that listens to it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_revoked_key_signed_is_refused_by_a_service_that_listens(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place, second) = if database == Postgres {
        let (folder, first, second) = two_places().await;
        (folder, first, Some(second))
    } else {
        let (folder, place) = place_on(database).await;
        (folder, place, None)
    };
    let mut servers = vec![ServerProcess::start(&place).await];
    if let Some(second) = &second {
        servers.push(ServerProcess::start(second).await);
    }
    let made = |arguments: &[&str]| {
        registered(&json(&place, &[&["client", "create", "--api", ORDERS], arguments].concat()))
    };
    let guard = made(&["--preset", "service", "--name", "Orders"]);
    let robot = made(&["--preset", "m2m", "--name", "Robot", "--role", "viewer"]);
    let (issuer, last) = (&servers[0].address, servers.last().unwrap());
    let listening =
        servers.iter().map(|server| GuardedService::listening(issuer, &server.address, ORDERS, &guard));
    let services = join_all(listening).await;
    let token = last.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    for (server, service) in servers.iter().zip(&services) {
        assert!(server.machine.is_active(&robot, &token).await);
        let answer = service.get("/orders", Some(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    let keys = json(&place, &["key", "list"]);
    let kid = portcullis_tests::jwt::header(&token)["kid"].clone();
    assert!(keys.as_array().unwrap().iter().any(|key: &Value| key["kid"] == kid), "{keys}");
    json(&place, &["key", "revoke", kid.as_str().unwrap()]);
    // From when the command has said that it is done: another program did it, and each server looks each second.
    let since = Instant::now();
    let took = join_all(services.iter().map(|service| until_refused(service, &token, since))).await;
    println!(
        "{database:?}: refused {took:?} after `key revoke`, {PROMISED:?} are promised, {ALLOWANCE:?} allowed for"
    );
    for server in &servers {
        while server.machine.is_active(&robot, &token).await {
            assert!(since.elapsed() < PROMISED + ALLOWANCE, "{} calls it active", server.address);
        }
    }
    let next = last.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    for service in &services {
        let answer = service.get("/orders", Some(&next)).await;
        assert_eq!(answer.status, 200, "another key signs: {}", answer.text());
    }
}
