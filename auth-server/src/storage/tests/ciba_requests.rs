//! What waits for a person: one decision, by that person alone, and one ping for it.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::ciba::{BindingMessage, CibaRequest, CibaWishes};
use crate::domain::client::{Client, GrantType};
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::Decision::{self, Allow, Deny};
use crate::domain::decoupled::PollState;
use crate::domain::ids::{CibaRequestId, ClientId, UserId};
use crate::domain::secret::Digest32;
use crate::storage::Tx;
use crate::storage::ciba_requests::{self, NewCibaRequest, Waiting};
use crate::storage::clients;
use crate::storage::leases::Lease;

const LIFE: Duration = Duration::from_mins(5);

/// A request of a client that is told of decisions.
pub(super) fn request(
    fixture: &Fixture,
    client: &ClientId,
    user: &UserId,
    expires_at: Timestamp,
) -> NewCibaRequest {
    NewCibaRequest {
        digest: fixture.digest(),
        request: CibaRequest {
            id: fixture.id(),
            client: client.clone(),
            user: user.clone(),
            scopes: scopes("openid read"),
            resource: None,
            binding_message: BindingMessage::parse("W4SCT").ok(),
            wishes: CibaWishes { acr_values: vec!["x".to_owned()], max_age_secs: Some(7) },
            address: "2001:db8::1".parse().ok(),
            created_at: fixture.now(),
            expires_at,
        },
        interval: Duration::from_secs(5),
        ping: Some(vec![1, 2, 3]),
    }
}

/// Changes what there is of the client of a request.
async fn change(fixture: &Fixture, client: &ClientId, change: fn(&mut Client)) {
    let id = client.clone();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let mut client = clients::find(tx, &id).await?.unwrap();
                change(&mut client);
                tx.invalidate();
                clients::update(tx, &client).await
            })
        })
        .await;
}

async fn insert(fixture: &Fixture, new: &NewCibaRequest) {
    let new = new.clone();
    fixture.write(move |tx| Box::pin(async move { ciba_requests::insert(tx, &new).await })).await;
}

/// One that waits for somebody.
async fn waiting(fixture: &Fixture) -> NewCibaRequest {
    let (client, user) = (fixture.client().await.id, fixture.user("ada").await.id);
    let new = request(fixture, &client, &user, fixture.now().plus(LIFE));
    insert(fixture, &new).await;
    new
}

async fn count(tx: &mut Tx, user: &UserId, client: &ClientId, now: Timestamp) -> Waiting {
    ciba_requests::count_waiting(tx, (user, client), now, 9).await.unwrap()
}

async fn decide(
    fixture: &Fixture,
    (id, user): (&CibaRequestId, &UserId),
    decision: Decision,
    now: Timestamp,
) -> Option<Digest32> {
    let (id, user) = (id.clone(), user.clone());
    fixture
        .write(move |tx| {
            Box::pin(async move { ciba_requests::decide(tx, (&id, &user), decision, now).await })
        })
        .await
}

async fn take(fixture: &Fixture, word: &str, now: Timestamp) -> (Lease, Vec<ciba_requests::Ping>) {
    let lease = Lease { token: word.to_owned(), until: now.plus(Duration::from_mins(1)) };
    let ours = lease.clone();
    let taken = fixture
        .write(move |tx| Box::pin(async move { ciba_requests::take_pings(tx, &ours, now, 10).await }))
        .await;
    (lease, taken)
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_request_waits_for_its_person_until_it_ends(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let new = waiting(&fixture).await;
    let (asked, now) = (&new.request, fixture.now());
    let bob = fixture.user("bob").await.id;
    let mut tx = fixture.read().await;
    let found = ciba_requests::waiting(&mut tx, &asked.user, now, 9).await.unwrap();
    assert_eq!(found.as_slice(), std::slice::from_ref(asked));
    assert_eq!(ciba_requests::waiting(&mut tx, &bob, now, 9).await.unwrap(), []);
    assert_eq!(ciba_requests::waiting(&mut tx, &asked.user, asked.expires_at, 9).await.unwrap(), []);
    let both = Waiting { of_client: 1, of_all: 1 };
    assert_eq!(count(&mut tx, &asked.user, &asked.client, now).await, both);
    let other: ClientId = fixture.id();
    assert_eq!(count(&mut tx, &asked.user, &other, now).await, Waiting { of_client: 0, of_all: 1 });
    assert_eq!(count(&mut tx, &bob, &asked.client, now).await.of_all, 0);
    assert_eq!(count(&mut tx, &asked.user, &asked.client, asked.expires_at).await.of_all, 0);
    let found = ciba_requests::find_waiting(&mut tx, (&asked.id, &bob), now).await.unwrap();
    assert_eq!(found, None, "of somebody else");
    let found = ciba_requests::find_waiting(&mut tx, (&asked.id, &asked.user), now).await.unwrap();
    assert_eq!(found.as_ref(), Some(asked));
    drop(tx);
    for decision in [Allow, Deny] {
        assert_eq!(decide(&fixture, (&asked.id, &bob), decision, now).await, None, "somebody else");
        assert_eq!(decide(&fixture, (&asked.id, &asked.user), decision, asked.expires_at).await, None);
    }
    assert_eq!(decide(&fixture, (&asked.id, &asked.user), Deny, now).await, Some(new.digest));
    let mut tx = fixture.read().await;
    assert_eq!(ciba_requests::waiting(&mut tx, &asked.user, now, 9).await.unwrap(), []);
    assert_eq!(count(&mut tx, &asked.user, &asked.client, now).await.of_all, 0);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_a_client_asked_that_may_not_ask_any_more_waits_for_nobody(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let new = waiting(&fixture).await;
    let (asked, now) = (&new.request, fixture.now());
    let ways: [fn(&mut Client); 4] = [
        |client| client.grants.retain(|grant| *grant != GrantType::Ciba),
        |client| client.grants.push(GrantType::Ciba),
        |client| client.disabled_at = Some(Timestamp::from_secs(1)),
        |client| client.disabled_at = None,
    ];
    for (way, left) in ways.into_iter().zip([0, 1, 0, 1]) {
        change(&fixture, &asked.client, way).await;
        let mut tx = fixture.read().await;
        assert_eq!(ciba_requests::waiting(&mut tx, &asked.user, now, 9).await.unwrap().len(), left);
        assert_eq!(count(&mut tx, &asked.user, &asked.client, now).await.of_all, left);
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_decisions_at_two_replicas_one_counts_and_one_replica_tells(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let new = waiting(&fixture).await;
    let now = fixture.now();
    let deciders = (0..20).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let decision = if number % 3 == 0 { Allow } else { Deny };
        let (id, user) = (new.request.id.clone(), new.request.user.clone());
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move { ciba_requests::decide(tx, (&id, &user), decision, now).await })
            });
            work.await.unwrap().map(|_| decision)
        })
    });
    let counted: Vec<_> = join_all(deciders).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    let told = if counted.contains(&Allow) { PollState::Allowed } else { PollState::Denied };
    let (digest, client) = (new.digest, new.request.client.clone());
    let state: Option<PollState> = fixture
        .write(move |tx| Box::pin(async move { ciba_requests::poll(tx, &digest, &client, now).await }))
        .await;
    assert_eq!(state, Some(told));
    let takers = (0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let lease = Lease { token: number.to_string(), until: now.plus(LIFE) };
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move { ciba_requests::take_pings(tx, &lease, now, 10).await })
            });
            work.await.unwrap().len()
        })
    });
    let taken: usize = join_all(takers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(taken, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_ping_is_somebodys_for_a_while_and_gone_when_it_is_settled(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let new = waiting(&fixture).await;
    let (asked, now) = (new.request.clone(), fixture.now());
    let is_due = async |now| ciba_requests::ping_is_due(&mut fixture.read().await, now).await.unwrap();
    assert!(!is_due(now).await && take(&fixture, "a", now).await.1.is_empty(), "nobody decided");
    decide(&fixture, (&asked.id, &asked.user), Allow, now).await;
    assert!(is_due(now).await);
    let (first, taken) = take(&fixture, "a", now).await;
    assert_eq!((taken.len(), taken[0].attempts, taken[0].sealed.as_slice()), (1, 1, &[1, 2, 3][..]));
    assert_eq!((&taken[0].client, taken[0].expires_at), (&asked.client, asked.expires_at));
    assert!(!is_due(now).await && take(&fixture, "b", now).await.1.is_empty(), "it is somebody's");
    // Whoever had it is gone: the next one takes it, and what the first says then counts no more.
    let later = first.until;
    let (second, taken) = take(&fixture, "b", later).await;
    assert_eq!(taken[0].attempts, 2);
    let settle = async |lease: &Lease| -> bool {
        let (id, lease) = (asked.id.clone(), lease.clone());
        fixture
            .write(move |tx| Box::pin(async move { ciba_requests::settle_ping(tx, &id, &lease).await }))
            .await
    };
    assert!(!settle(&first).await);
    let due = later.plus(Duration::from_secs(10));
    let (id, lease) = (asked.id.clone(), second.clone());
    let put_off: bool = fixture
        .write(move |tx| Box::pin(async move { ciba_requests::put_off_ping(tx, &id, &lease, due).await }))
        .await;
    assert!(put_off && !is_due(later).await && is_due(due).await);
    let (third, taken) = take(&fixture, "c", due).await;
    assert_eq!(taken[0].attempts, 3);
    assert!(settle(&third).await && !settle(&third).await);
    assert!(!is_due(due.plus(LIFE)).await);
    // One that only asks is told nothing.
    let quiet =
        NewCibaRequest { ping: None, ..request(&fixture, &asked.client, &asked.user, due.plus(LIFE)) };
    insert(&fixture, &quiet).await;
    decide(&fixture, (&quiet.request.id, &asked.user), Deny, due).await;
    assert!(!is_due(due.plus(LIFE)).await);
}
