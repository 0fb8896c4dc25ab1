use std::collections::BTreeSet;
use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::clock::Timestamp;
use crate::domain::ids::LetterKind;
use crate::domain::letter::LetterState;
use crate::domain::secret::Digest32;
use crate::storage::cleanup::{self, Expired};
use crate::storage::leases::Lease;
use crate::storage::mail_outbox::{self, DueLetter, NewLetter};
use crate::storage::{Store, StoreError};

const MINUTE: Duration = Duration::from_mins(1);

fn lease(token: &str, until: Timestamp) -> Lease {
    Lease { token: token.to_owned(), until }
}

fn letter(fixture: &Fixture, tally: &Digest32) -> NewLetter {
    NewLetter {
        id: fixture.id::<LetterKind>(),
        kind: "test",
        user: Some(fixture.id()),
        tally: *tally,
        sealed: b"sealed".to_vec(),
        created_at: fixture.now(),
        expires_at: fixture.now().plus(MINUTE),
    }
}

/// Counts and keeps, as one transaction does; gives how many there were.
async fn post(store: &Store, letter: NewLetter, most: u64) -> u64 {
    let work = store.write(move |tx| {
        Box::pin(async move {
            let since = letter.created_at.minus(MINUTE);
            let count = mail_outbox::count(tx, &letter.tally, since).await?;
            let state = if count < most { LetterState::Waiting } else { LetterState::Void };
            mail_outbox::insert(tx, &letter, state).await?;
            Ok(count)
        })
    });
    let count: Result<u64, StoreError> = work.await;
    count.unwrap()
}

async fn take(store: &Store, fixture: &Fixture, token: &str, limit: u32) -> Vec<DueLetter> {
    let (now, lease) = (fixture.now(), lease(token, fixture.now().plus(MINUTE)));
    let work =
        store.write(move |tx| Box::pin(async move { mail_outbox::take(tx, &lease, now, limit).await }));
    let found: Result<_, StoreError> = work.await;
    found.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_are_written_at_once_are_counted_one_after_the_other(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let tally = fixture.digest();
    let posts = (0..20).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let letter = letter(&fixture, &tally);
        tokio::spawn(async move { post(&store, letter, 3).await })
    });
    let mut counts = Vec::new();
    for posted in posts.collect::<Vec<_>>() {
        counts.push(posted.await.unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts[..4], [0, 1, 2, 3]);
    assert!(counts[4..].iter().all(|count| *count == 3), "what is void is not counted: {counts:?}");
    assert_eq!(take(&replica, &fixture, "a", 50).await.len(), 3);
    // Others are counted apart, and what is older is counted no more.
    assert_eq!(post(&fixture.store, letter(&fixture, &fixture.digest()), 3).await, 0);
    fixture.clock.advance(MINUTE);
    assert_eq!(post(&fixture.store, letter(&fixture, &tally), 3).await, 0);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_take_at_once_share_the_letters(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    for _ in 0..20 {
        post(&fixture.store, letter(&fixture, &fixture.digest()), 3).await;
    }
    let (one, other) =
        tokio::join!(take(&fixture.store, &fixture, "a", 15), take(&replica, &fixture, "b", 15));
    let left = take(&replica, &fixture, "c", 15).await;
    let all: BTreeSet<_> = one.iter().chain(&other).chain(&left).map(|letter| letter.id.clone()).collect();
    assert_eq!((all.len(), one.len() + other.len() + left.len()), (20, 20));
    assert!(!mail_outbox::is_due(&mut fixture.read().await, fixture.now()).await.unwrap());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_lease_runs_out_and_whoever_lost_it_settles_nothing(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    post(&fixture.store, letter(&fixture, &fixture.digest()), 3).await;
    let slow = lease("slow", fixture.now().plus(MINUTE));
    assert_eq!(take(&fixture.store, &fixture, "slow", 10).await[0].attempts, 1);
    assert!(take(&fixture.store, &fixture, "next", 10).await.is_empty());
    fixture.clock.advance(MINUTE);
    let taken = take(&fixture.store, &fixture, "next", 10).await.remove(0);
    assert_eq!((taken.attempts, taken.sealed.as_slice()), (2, &b"sealed"[..]));
    let next = lease("next", fixture.now().plus(MINUTE));
    let (id, now) = (taken.id.clone(), fixture.now());
    let settle = async |by: Lease| {
        let id = id.clone();
        fixture
            .write(move |tx| {
                Box::pin(
                    async move { mail_outbox::settle(tx, (&id, &by), LetterState::Sent, None, now).await },
                )
            })
            .await
    };
    assert!(!settle(slow).await);
    assert!(settle(next.clone()).await);
    assert!(!settle(next).await, "once");
    fixture.clock.advance(10 * MINUTE);
    assert!(take(&fixture.store, &fixture, "late", 10).await.is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_was_not_taken_is_due_again_later(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    post(&fixture.store, letter(&fixture, &fixture.digest()), 3).await;
    let taken = take(&fixture.store, &fixture, "a", 10).await.remove(0);
    let (id, due_at) = (taken.id, fixture.now().plus(MINUTE));
    let ours = lease("a", fixture.now().plus(MINUTE));
    let put_off = fixture
        .write(move |tx| {
            Box::pin(async move { mail_outbox::put_off(tx, (&id, &ours), due_at, "status 451").await })
        })
        .await;
    assert!(put_off);
    assert!(take(&fixture.store, &fixture, "b", 10).await.is_empty());
    fixture.clock.advance(MINUTE);
    assert_eq!(take(&fixture.store, &fixture, "b", 10).await.len(), 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_is_settled_or_over_is_taken_away(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let tally = fixture.digest();
    for _ in 0..2 {
        post(&fixture.store, letter(&fixture, &tally), 1).await;
    }
    fixture.clock.advance(MINUTE);
    let clean = async || {
        let before = fixture.now();
        fixture
            .write(move |tx| {
                Box::pin(async move { cleanup::expired(tx, Expired::Letters, before, 10).await })
            })
            .await
    };
    assert_eq!((clean().await, clean().await), (1, 0), "the void one");
    assert_eq!(take(&fixture.store, &fixture, "a", 10).await.len(), 1);
    fixture.clock.advance(MINUTE);
    assert_eq!(clean().await, 1, "the one that nobody came to in its time");
}
