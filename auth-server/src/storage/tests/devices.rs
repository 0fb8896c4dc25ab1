//! Devices that wait: one decision, and questions that keep their distance.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::Decision::{Allow, Deny};
use crate::domain::decoupled::PollState;
use crate::domain::device::DeviceRequest;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::device_authorizations::{self, NewDevice};

const LIFE: Duration = Duration::from_mins(10);
const INTERVAL: Duration = Duration::from_secs(5);

/// A device that waits, and its client.
async fn waiting(fixture: &Fixture) -> (NewDevice, ClientId) {
    let client = fixture.client().await.id;
    let api = fixture.api("https://orders.test").await.id;
    let request = DeviceRequest {
        client: client.clone(),
        scopes: scopes("openid read"),
        resource: Some(api),
        address: "2001:db8::1".parse().ok(),
        created_at: fixture.now(),
        expires_at: fixture.now().plus(LIFE),
        decided_at: None,
    };
    let device =
        NewDevice { digest: fixture.digest(), user_code: fixture.digest(), request, interval: INTERVAL };
    let kept = device.clone();
    let is_new: bool = fixture
        .write(move |tx| Box::pin(async move { device_authorizations::insert(tx, &kept).await }))
        .await;
    assert!(is_new);
    (device, client)
}

async fn poll(fixture: &Fixture, digest: Digest32, client: &ClientId, now: Timestamp) -> Option<PollState> {
    let client = client.clone();
    fixture
        .write(move |tx| {
            Box::pin(async move { device_authorizations::poll(tx, &digest, &client, now).await })
        })
        .await
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_device_is_found_by_its_code_which_no_other_gets(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (device, _) = waiting(&fixture).await;
    let mut tx = fixture.read().await;
    let found = device_authorizations::find_by_user_code(&mut tx, &device.user_code).await.unwrap().unwrap();
    assert_eq!((found.digest, &found.request), (device.digest, &device.request));
    let unknown = device_authorizations::find_by_user_code(&mut tx, &device.digest).await.unwrap();
    assert!(unknown.is_none(), "a device code is no user code");
    drop(tx);
    let other = NewDevice { digest: fixture.digest(), ..device };
    let is_new: bool = fixture
        .write(move |tx| Box::pin(async move { device_authorizations::insert(tx, &other).await }))
        .await;
    assert!(!is_new, "the code is taken");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_decisions_at_two_replicas_one_counts(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let (device, client) = waiting(&fixture).await;
    let (digest, now) = (device.digest, fixture.now());
    let deciders = (0..20).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        let decision = if number % 3 == 0 { Allow } else { Deny };
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move { device_authorizations::decide(tx, &digest, decision, now).await })
            });
            work.await.unwrap().then_some(decision)
        })
    });
    let counted: Vec<_> = join_all(deciders).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    let told = if counted.contains(&Allow) { PollState::Allowed } else { PollState::Denied };
    assert_eq!(poll(&fixture, digest, &client, now).await, Some(told));
    let mut tx = fixture.read().await;
    let found = device_authorizations::find_by_user_code(&mut tx, &device.user_code).await.unwrap().unwrap();
    assert_eq!(found.request.decided_at, Some(now));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn nobody_decides_after_the_end(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (device, client) = waiting(&fixture).await;
    let (digest, end) = (device.digest, fixture.now().plus(LIFE));
    for decision in [Allow, Deny] {
        let counts: bool = fixture
            .write(move |tx| {
                Box::pin(async move { device_authorizations::decide(tx, &digest, decision, end).await })
            })
            .await;
        assert!(!counts, "{decision:?}");
    }
    assert_eq!(poll(&fixture, digest, &client, end).await, Some(PollState::Expired));
    let almost = end.minus(Duration::from_micros(1));
    assert_eq!(poll(&fixture, digest, &client, almost).await, Some(PollState::Hurried), "it asked just now");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn each_question_that_comes_too_soon_makes_the_next_wait_longer(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (device, client) = waiting(&fixture).await;
    let mut now = fixture.now();
    for (wait_millis, state) in [
        (0, PollState::Pending),
        // A little too soon is not counted: the way may have been shorter this time.
        (4_500, PollState::Pending),
        (4_499, PollState::Hurried),
        (9_499, PollState::Hurried),
        (14_500, PollState::Pending),
        (14_500, PollState::Pending),
    ] {
        now = now.plus(Duration::from_millis(wait_millis));
        assert_eq!(poll(&fixture, device.digest, &client, now).await, Some(state), "{wait_millis}");
    }
    let stranger = fixture.id();
    assert_eq!(poll(&fixture, device.digest, &stranger, now).await, None, "of another client");
    assert_eq!(poll(&fixture, device.user_code, &client, now).await, None);
}
