//! Handles of pushed requests that flows keep, and that are spent as one of them ends.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::begun::underway;
use super::handles::{TTL, USED, issue_for};
use super::redeemed::code_for;
use super::support::{Backend, Ending, Fixture, START};
use crate::domain::clock::Timestamp;
use crate::domain::code::CodePayload;
use crate::domain::ids::{ClientId, InteractionId};
use crate::domain::interaction::Interaction;
use crate::domain::secret::Digest32;
use crate::storage::cleanup::{self, Expired};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, StoreError, interactions};

/// How long a flow goes on: much longer than a handle may be shown.
const FLOW: Duration = Duration::from_mins(20);
const PUSHED: Purpose = Purpose::PushedRequest;

impl Fixture {
    /// Something that counts once, until it is too late.
    async fn issued(&self, purpose: Purpose, ends: Timestamp) -> Digest32 {
        let digest = self.digest();
        self.write(move |tx| {
            Box::pin(async move { single_use::issue(tx, purpose, &digest, &"request", ends).await })
        })
        .await;
        digest
    }

    /// A flow that keeps what a handle stands for, or what a browser brought.
    async fn flow(&self, client: &ClientId, handle: Option<Digest32>) -> InteractionId {
        let flow = Interaction {
            id: self.id(),
            client: client.clone(),
            browser: self.digest(),
            request: "{}".to_owned(),
            prior_session: None,
            prior_proof: None,
            session: None,
            created_at: self.now(),
            expires_at: self.now().plus(FLOW),
            finished_at: None,
        };
        let id = flow.id.clone();
        self.write(move |tx| {
            Box::pin(async move {
                match handle {
                    None => interactions::insert(tx, &flow).await,
                    Some(handle) => interactions::insert_pushed(tx, &flow, &handle).await,
                }
            })
        })
        .await;
        id
    }

    /// Whether a flow ends; one that does not is as it was.
    async fn ends(&self, flow: &InteractionId) -> bool {
        let ended = finish(&self.store, flow, self.now()).await.unwrap();
        let found = interactions::find(&mut self.read().await, flow).await.unwrap().unwrap();
        assert_eq!(found.finished_at.is_some(), ended);
        ended
    }

    async fn is_spent(&self, purpose: Purpose, digest: &Digest32) -> bool {
        let spent = single_use::find_spent::<String>(&mut self.read().await, purpose, digest).await;
        spent.unwrap().is_some()
    }
}

/// Ends a flow by the statement that replicas of before end it with, too.
async fn finish(store: &Store, flow: &InteractionId, now: Timestamp) -> Result<bool, StoreError> {
    let id = flow.clone();
    let work = store.write(move |tx| Box::pin(async move { interactions::finish(tx, &id, now).await }));
    work.await
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn of_the_flows_that_keep_a_handle_one_ends_and_spends_it(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await.id;
    let (handle, other) =
        (fixture.issued(PUSHED, START.plus(TTL)).await, fixture.issued(PUSHED, START.plus(TTL)).await);
    let link = fixture.issued(Purpose::SetupLink, START.plus(TTL)).await;
    let (one, two) = (fixture.flow(&client, Some(handle)).await, fixture.flow(&client, Some(handle)).await);
    let (of_nothing, of_a_link) =
        (fixture.flow(&client, Some(fixture.digest())).await, fixture.flow(&client, Some(link)).await);
    let front = fixture.flow(&client, None).await;
    assert!(!fixture.is_spent(PUSHED, &handle).await, "a flow that keeps it spends nothing");
    // Too late to begin with it, and not to end what was begun.
    fixture.clock.advance(TTL * 2);
    let found = single_use::find::<String>(&mut fixture.read().await, PUSHED, &handle, fixture.now()).await;
    assert_eq!(found.unwrap(), None);
    let before = fixture.store.statements();
    assert_eq!(finish(&fixture.store, &one, fixture.now()).await, Ok(true));
    assert_eq!(fixture.store.statements() - before, 1);
    assert!(fixture.is_spent(PUSHED, &handle).await);
    assert!(!fixture.is_spent(PUSHED, &other).await, "of another nothing is spent");
    assert!(!fixture.ends(&two).await, "another had it");
    assert_eq!(finish(&fixture.store, &one, fixture.now()).await, Ok(false), "nor twice in one flow");
    assert!(!fixture.ends(&of_nothing).await, "what is gone is not unspent");
    assert!(!fixture.ends(&of_a_link).await, "of another purpose");
    assert!(!fixture.is_spent(Purpose::SetupLink, &link).await);
    assert!(fixture.ends(&front).await, "one that keeps none ends as ever");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn of_a_code_in_a_live_session_and_a_flow_one_has_the_handle(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let payload = code_for(&underway(&fixture).await);
    let client = payload.client.clone();
    let (one, two) =
        (fixture.issued(PUSHED, START.plus(TTL)).await, fixture.issued(PUSHED, START.plus(TTL)).await);
    let (of_one, of_two) = (fixture.flow(&client, Some(one)).await, fixture.flow(&client, Some(two)).await);
    assert_eq!(issue_for(&fixture.store, fixture.digest(), &payload, one).await, Ok(()));
    assert!(!fixture.ends(&of_one).await);
    assert!(fixture.ends(&of_two).await);
    assert_eq!(issue_for(&fixture.store, fixture.digest(), &payload, two).await, Err(USED));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_flow_that_ends_in_vain_spends_nothing_and_one_that_is_too_late_neither(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await.id;
    let handle = fixture.issued(PUSHED, START.plus(TTL)).await;
    let (one, two) = (fixture.flow(&client, Some(handle)).await, fixture.flow(&client, Some(handle)).await);
    let (id, now) = (one.clone(), fixture.now());
    let fault = StoreError::Unexpected { reason: "a fault after it".to_owned() };
    let raised = fault.clone();
    let work = fixture.store.write(move |tx| {
        Box::pin(async move {
            assert!(interactions::finish(tx, &id, now).await?);
            Err::<(), _>(Ending::Fault(raised))
        })
    });
    assert_eq!(work.await, Err(Ending::Fault(fault)));
    assert!(!fixture.is_spent(PUSHED, &handle).await);
    assert_eq!(finish(&fixture.store, &one, now.plus(FLOW)).await, Ok(false), "the flow is over");
    assert!(!fixture.is_spent(PUSHED, &handle).await);
    assert!(fixture.ends(&two).await);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn no_flow_ends_whose_handle_is_gone(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await.id;
    let handle = fixture.issued(PUSHED, START.plus(TTL)).await;
    let flow = fixture.flow(&client, Some(handle)).await;
    let gone = fixture
        .write(move |tx| {
            Box::pin(async move { cleanup::expired(tx, Expired::SingleUse, START.plus(TTL * 2), 10).await })
        })
        .await;
    assert_eq!(gone, 1);
    assert!(!fixture.ends(&flow).await);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_flows_and_codes_at_two_replicas_one_has_the_handle(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let payload = code_for(&underway(&fixture).await);
    for _ in 0..3 {
        let handle = fixture.issued(PUSHED, START.plus(TTL)).await;
        let mut tries = Vec::new();
        for number in 0..24 {
            let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
            let (flow, code) = (fixture.flow(&payload.client, Some(handle)).await, fixture.digest());
            tries.push(tokio::spawn(attempt(store, number % 3 == 0, (flow, code), payload.clone(), handle)));
        }
        let outcomes: Vec<bool> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|won| **won).count(), 1, "{outcomes:?}");
        assert!(fixture.is_spent(PUSHED, &handle).await);
    }
}

/// Tries to have a handle, in one way or the other.
async fn attempt(
    store: Store,
    by_code: bool,
    (flow, code): (InteractionId, Digest32),
    payload: CodePayload,
    handle: Digest32,
) -> bool {
    if by_code {
        let issued = issue_for(&store, code, &payload, handle).await;
        assert!(issued == Ok(()) || issued == Err(USED), "{issued:?}");
        issued.is_ok()
    } else {
        finish(&store, &flow, START).await.unwrap()
    }
}
