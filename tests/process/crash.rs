//! A power cut in the middle of work.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::provision::Provisioned;
use rstest::rstest;
use tempfile::tempdir;
use tokio::sync::mpsc;

/// Families of refresh tokens that are traded at the same time, and how often each is: a hundred rotations.
const FAMILIES: usize = 10;
const TRADES_EACH: usize = 10;

#[rstest]
#[case::early(5)]
#[case::in_the_middle(50)]
#[case::late(85)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_hundred_rotations_loses_no_token_and_doubles_none_sqlite(#[case] kill_after: usize) {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let provisioned = Provisioned::in_place(&place).await;
    let server = ServerProcess::start(&place).await;
    let mut families = Vec::new();
    for _ in 0..FAMILIES {
        families.push(provisioned.refresh_token(&server).await);
    }

    let (traded, mut count) = mpsc::unbounded_channel();
    let workers = families.iter().cloned().enumerate().map(|(family, first)| {
        let (machine, client, traded) = (server.machine.clone(), provisioned.client.clone(), traded.clone());
        tokio::spawn(async move {
            // What the application has written down: every token whose answer arrived.
            let mut held = vec![first];
            for _ in 0..TRADES_EACH {
                let last = held.last().expect("the first is there").clone();
                let Some(answer) = machine.try_refresh(&client, &last).await else { break };
                assert_eq!(answer.status, 200, "{}", answer.text());
                held.push(answer.member("refresh_token"));
                _ = traded.send(());
            }
            (family, held)
        })
    });
    let workers: Vec<_> = workers.collect();
    drop(traded);
    for _ in 0..kill_after {
        count.recv().await.expect("the families trade more often than this");
    }
    server.kill();
    let held: BTreeMap<usize, Vec<String>> = join_all(workers)
        .await
        .into_iter()
        .map(|worker| worker.expect("no family failed before the kill"))
        .collect();

    let server = ServerProcess::start(&place).await;
    let interrupted = held.values().filter(|held| held.len() <= TRADES_EACH).count();
    assert!(interrupted > 0, "the kill came in the middle");
    for (family, held) in held {
        let last = held.last().expect("the first is there");
        // Whether the last trade was lost with its answer or never happened: the token in hand still works.
        let next = server.machine.refresh(&provisioned.client, last).await;
        assert_eq!(next.status, 200, "family {family} lost its token: {}", next.text());
        let after = server.machine.refresh(&provisioned.client, &next.member("refresh_token")).await;
        assert_eq!(after.status, 200, "family {family}: {}", after.text());
        // Its successor was used, so it can never be used again.
        let twice = server.machine.refresh(&provisioned.client, last).await;
        assert_eq!(twice.error(), "invalid_grant", "family {family} used a token twice");
    }
}
