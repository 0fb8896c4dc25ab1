use std::collections::BTreeSet;
use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Timestamp;
use crate::domain::grant::Grant;
use crate::domain::ids::{ClientId, LogoutNoticeKind, SessionId, UserId};
use crate::storage::leases::Lease;
use crate::storage::logout_notices::{self, Participant};
use crate::storage::{Store, StoreError, clients, sessions};

const MINUTE: Duration = Duration::from_mins(1);

fn lease(token: &str, until: Timestamp) -> Lease {
    Lease { token: token.to_owned(), until }
}

/// A session of a client that is told, and of nobody else.
async fn session(fixture: &Fixture) -> (ClientId, UserId, SessionId) {
    let (client, user, session, _) = fixture.any_grant().await;
    (client, user, session)
}

async fn notice(fixture: &Fixture, leased: Option<Lease>) -> Participant {
    let (_, _, of) = session(fixture).await;
    let told = logout_notices::of_session(&mut fixture.read().await, &of).await.unwrap().remove(0);
    add(fixture, &told, leased).await;
    told
}

async fn add(fixture: &Fixture, told: &Participant, leased: Option<Lease>) -> bool {
    let (id, told, now) = (fixture.id::<LogoutNoticeKind>(), told.clone(), fixture.now());
    fixture
        .write(move |tx| {
            Box::pin(async move { logout_notices::insert(tx, &id, &told, now, leased.as_ref()).await })
        })
        .await
}

async fn take(store: &Store, fixture: &Fixture, token: &str, limit: u32) -> Vec<LogoutNotice> {
    let (now, lease) = (fixture.now(), lease(token, fixture.now().plus(MINUTE)));
    let work =
        store.write(move |tx| Box::pin(async move { logout_notices::take(tx, &lease, now, limit).await }));
    let found: Result<_, StoreError> = work.await;
    found.unwrap()
}

async fn only(fixture: &Fixture) -> LogoutNotice {
    let mut all = logout_notices::list(&mut fixture.read().await, None, 10, None).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn who_took_part_is_known_from_the_grants(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, user, of) = session(&fixture).await;
    let found = async || {
        let of_session = logout_notices::of_session(&mut fixture.read().await, &of).await.unwrap();
        let of_user = logout_notices::of_user(&mut fixture.read().await, &user).await.unwrap();
        assert_eq!(of_session, of_user);
        of_session.into_iter().map(|told| (told.session, told.client)).collect::<Vec<_>>()
    };
    assert_eq!(found().await, [(of.clone(), client.clone())]);
    // A second grant of the same client, one without an ID token, and one of another session that is gone.
    let again = Grant { session: of.clone(), ..fixture.grant(&client, &user, "openid email").await };
    fixture.insert_grant(&Grant { id: fixture.id(), ..again.clone() }).await;
    let other = fixture.client().await;
    let bare = Grant { client: other.id.clone(), scopes: scopes("email openid2"), ..again };
    fixture.insert_grant(&Grant { id: fixture.id(), ..bare.clone() }).await;
    assert_eq!(found().await, [(of.clone(), client.clone())]);
    // One that is switched off is not called.
    let seen = Grant { scopes: scopes("openid"), ..bare };
    fixture.insert_grant(&Grant { id: fixture.id(), ..seen }).await;
    assert_eq!(found().await.len(), 2);
    let now = fixture.now();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let off = crate::domain::client::Client { disabled_at: Some(now), ..other };
                clients::update(tx, &off).await
            })
        })
        .await;
    assert_eq!(found().await, [(of.clone(), client)]);
    // Ended sessions are told of when they end, and not again.
    fixture.write(move |tx| Box::pin(async move { sessions::end(tx, &of, now).await })).await;
    assert_eq!(logout_notices::of_user(&mut fixture.read().await, &user).await.unwrap(), []);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_take_at_once_share_the_notices(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let (client, user, _) = session(&fixture).await;
    let subject = logout_notices::of_user(&mut fixture.read().await, &user).await.unwrap().remove(0).subject;
    for _ in 0..20 {
        let told = Participant { session: fixture.id(), client: client.clone(), subject: subject.clone() };
        assert!(add(&fixture, &told, None).await);
        assert!(!add(&fixture, &told, None).await, "once for each session and client");
    }
    let (one, other) =
        tokio::join!(take(&fixture.store, &fixture, "a", 15), take(&replica, &fixture, "b", 15));
    let left = take(&replica, &fixture, "c", 15).await;
    let all: BTreeSet<_> = one.iter().chain(&other).chain(&left).map(|notice| notice.id.clone()).collect();
    assert_eq!((all.len(), one.len() + other.len() + left.len()), (20, 20));
    assert!(!logout_notices::is_due(&mut fixture.read().await, fixture.now()).await.unwrap());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_lease_runs_out_and_whoever_lost_it_settles_nothing(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let slow = lease("slow", fixture.now().plus(MINUTE));
    notice(&fixture, Some(slow.clone())).await;
    assert_eq!(only(&fixture).await.attempts, 1, "the first try is under way");
    assert_eq!(take(&fixture.store, &fixture, "next", 10).await, []);
    fixture.clock.advance(MINUTE);
    let taken = take(&fixture.store, &fixture, "next", 10).await.remove(0);
    assert_eq!(taken.attempts, 2);
    let next = lease("next", fixture.now().plus(MINUTE));
    let (id, now) = (taken.id.clone(), fixture.now());
    let settle = async |by: Lease| {
        let id = id.clone();
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    let delivered = NoticeState::Delivered;
                    logout_notices::settle(tx, (&id, &by), delivered, None, now).await
                })
            })
            .await
    };
    assert!(!settle(slow).await);
    assert!(settle(next.clone()).await);
    assert!(!settle(next).await, "once");
    let settled = only(&fixture).await;
    assert_eq!((settled.state, settled.settled_at), (NoticeState::Delivered, Some(now)));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_was_not_taken_is_due_again_later(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let told = notice(&fixture, None).await;
    let taken = take(&fixture.store, &fixture, "a", 10).await.remove(0);
    let (id, due_at) = (taken.id, fixture.now().plus(MINUTE));
    let ours = lease("a", fixture.now().plus(MINUTE));
    fixture
        .write(move |tx| {
            Box::pin(async move { logout_notices::put_off(tx, (&id, &ours), due_at, "status 503").await })
        })
        .await;
    assert_eq!(take(&fixture.store, &fixture, "b", 10).await, []);
    let waiting = only(&fixture).await;
    assert_eq!(
        (waiting.state, waiting.due_at, waiting.last_error.as_deref()),
        (NoticeState::Waiting, due_at, Some("status 503"))
    );
    assert_eq!((waiting.session, waiting.client, waiting.subject), (told.session, told.client, told.subject));
    fixture.clock.advance(MINUTE);
    assert_eq!(take(&fixture.store, &fixture, "b", 10).await.len(), 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn notices_are_listed_newest_first_a_page_at_a_time_and_by_state(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let told = notice(&fixture, None).await;
    for _ in 0..2 {
        fixture.clock.advance(MINUTE);
        assert!(add(&fixture, &Participant { session: fixture.id(), ..told.clone() }, None).await);
    }
    let list = async |after: Option<&str>, limit, state| {
        logout_notices::list(&mut fixture.read().await, after, limit, state).await.unwrap()
    };
    let all = list(None, 10, None).await;
    assert!(all.len() == 3 && all.windows(2).all(|pair| pair[0].created_at > pair[1].created_at));
    assert_eq!(list(None, 2, None).await, all[..2]);
    assert_eq!(list(Some(all[1].id.as_str()), 2, Some(NoticeState::Waiting)).await, all[2..]);
    assert_eq!(list(None, 10, Some(NoticeState::Failed)).await, []);
    let of_session =
        logout_notices::list_by_session(&mut fixture.read().await, &told.session, 10).await.unwrap();
    assert_eq!(of_session, all[2..]);
}
