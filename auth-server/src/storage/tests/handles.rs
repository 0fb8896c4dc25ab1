//! Handles of pushed requests, and the codes that are issued for them.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::begun::underway;
use super::redeemed::code_for;
use super::support::{Backend, Fixture, START};
use crate::domain::code::CodePayload;
use crate::domain::secret::Digest32;
use crate::storage::sessions::{self, SentWith};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, StoreError, Unique};

pub(super) const TTL: Duration = Duration::from_mins(1);
pub(super) const USED: StoreError = StoreError::Conflict(Unique::Once);

/// Issues a code for a handle.
pub(super) async fn issue_for(
    store: &Store,
    code: Digest32,
    payload: &CodePayload,
    handle: Digest32,
) -> Result<(), StoreError> {
    let payload = payload.clone();
    let work = store.write(move |tx| {
        Box::pin(async move {
            let (place, pushed) = ((Purpose::AuthorizationCode, &code), (Purpose::PushedRequest, &handle));
            single_use::issue_from_user_for(tx, place, &payload, START.plus(TTL * 2), pushed).await
        })
    });
    work.await
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_code_spends_the_handle_that_it_is_issued_for_or_is_not_issued(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let payload = code_for(&underway(&fixture).await);
    let push = async |ends| {
        let digest = fixture.digest();
        fixture
            .write(move |tx| {
                let purpose = Purpose::PushedRequest;
                Box::pin(async move { single_use::issue(tx, purpose, &digest, &"request", ends).await })
            })
            .await;
        digest
    };
    let code_of = async |digest: Digest32| {
        let (purpose, now) = (Purpose::AuthorizationCode, fixture.now());
        single_use::find::<CodePayload>(&mut fixture.read().await, purpose, &digest, now).await.unwrap()
    };
    let (handle, other) = (push(START.plus(TTL)).await, push(START.plus(TTL)).await);
    let (first, second) = (fixture.digest(), fixture.digest());
    let before = fixture.store.statements();
    assert_eq!(issue_for(&fixture.store, first, &payload, handle).await, Ok(()));
    assert_eq!(fixture.store.statements() - before, 1);
    assert_eq!(code_of(first).await.as_ref(), Some(&payload));
    let (mut tx, pushed) = (fixture.read().await, Purpose::PushedRequest);
    let spent = single_use::find_spent::<String>(&mut tx, pushed, &handle).await.unwrap();
    assert_eq!(spent.as_deref(), Some("request"));
    let pending = single_use::find::<String>(&mut tx, pushed, &other, START).await.unwrap();
    assert_eq!(pending.as_deref(), Some("request"), "of another nothing is spent");
    drop(tx);
    assert_eq!(issue_for(&fixture.store, second, &payload, handle).await, Err(USED), "spent");
    assert_eq!(issue_for(&fixture.store, second, &payload, fixture.digest()).await, Err(USED), "unknown");
    // A code that is there already is not issued again, and spends nothing.
    assert_eq!(issue_for(&fixture.store, first, &payload, other).await, Err(USED));
    let late = push(START.plus(TTL / 2)).await;
    fixture.clock.advance(TTL / 2);
    assert_eq!(issue_for(&fixture.store, second, &payload, late).await, Err(USED), "expired");
    assert_eq!(code_of(second).await, None, "nothing is kept");
    assert_eq!(issue_for(&fixture.store, second, &payload, other).await, Ok(()));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_codes_at_two_replicas_one_is_issued_for_a_handle(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let payload = code_for(&underway(&fixture).await);
    let handle = fixture.digest();
    fixture
        .write(move |tx| {
            let (purpose, ends) = (Purpose::PushedRequest, START.plus(TTL));
            Box::pin(async move { single_use::issue(tx, purpose, &handle, &"request", ends).await })
        })
        .await;
    let codes: Vec<Digest32> = (0..20).map(|_| fixture.digest()).collect();
    let callers = codes.iter().enumerate().map(|(number, code)| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let (code, payload) = (*code, payload.clone());
        tokio::spawn(async move { issue_for(&store, code, &payload, handle).await })
    });
    let outcomes: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(USED)).count(), 19, "{outcomes:?}");
    for (code, outcome) in codes.iter().zip(&outcomes) {
        let mut tx = fixture.read().await;
        let found = single_use::find::<CodePayload>(&mut tx, Purpose::AuthorizationCode, code, START).await;
        assert_eq!(found.unwrap().is_some(), outcome.is_ok());
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_session_is_found_with_the_request_of_a_handle_as_long_as_it_may_be_spent(
    #[case] backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    let (ada, client) = (fixture.user("ada").await.id, fixture.client().await.id);
    let (cookie, handle, foreign) = (fixture.digest(), fixture.digest(), fixture.digest());
    fixture.session(&ada, &cookie).await;
    fixture
        .write(move |tx| {
            let ends = START.plus(TTL);
            Box::pin(async move {
                single_use::issue(tx, Purpose::PushedRequest, &handle, &"request", ends).await?;
                single_use::issue(tx, Purpose::SetupLink, &foreign, &"link", ends).await
            })
        })
        .await;
    let found = async |handle: Option<&Digest32>| {
        let sent = SentWith { client: Some(&client), handle };
        let found = sessions::find_live(&mut fixture.read().await, &cookie, sent, fixture.now()).await;
        found.unwrap().expect("the session is found").request
    };
    assert_eq!(found(None).await, None);
    assert_eq!(found(Some(&foreign)).await, None, "of another purpose");
    for _ in 0..2 {
        assert_eq!(found(Some(&handle)).await.as_deref(), Some("\"request\""), "reading spends nothing");
    }
    fixture.clock.advance(TTL);
    assert_eq!(found(Some(&handle)).await, None, "expired");
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let purpose = Purpose::PushedRequest;
                assert!(single_use::consume::<String>(tx, purpose, &handle, START).await?.is_some());
                Ok(())
            })
        })
        .await;
    let sent = SentWith { client: None, handle: Some(&handle) };
    let spent = sessions::find_live(&mut fixture.read().await, &cookie, sent, START).await.unwrap();
    assert_eq!(spent.expect("the session is found").request, None, "spent");
}
