use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::confirmation::{Confirmation, Thumbprint};
use crate::domain::grant::Grant;
use crate::domain::ids::{ClientId, GrantId};
use crate::domain::once::Once;
use crate::domain::refresh::RefreshState;
use crate::domain::secret::Digest32;
use crate::storage::grants;
use crate::storage::refresh_tokens::{self, NewRefreshToken};

const TTL: Duration = Duration::from_hours(24);

async fn issued(fixture: &Fixture, client: &ClientId, grant: &GrantId) -> Digest32 {
    let token = NewRefreshToken {
        digest: fixture.digest(),
        grant: grant.clone(),
        client: client.clone(),
        scopes: scopes("openid"),
        expires_at: fixture.now().plus(TTL),
        absolute_expires_at: fixture.now().plus(TTL * 90),
        once: Once::default(),
    };
    let digest = token.digest;
    fixture.write(move |tx| Box::pin(async move { refresh_tokens::insert(tx, &token).await })).await;
    digest
}

async fn state(fixture: &Fixture, digest: &Digest32) -> RefreshState {
    refresh_tokens::find(&mut fixture.read().await, digest).await.unwrap().unwrap().state
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_callers_one_spends_and_the_others_find_its_successor(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, _, _, grant) = fixture.any_grant().await;
    let digest = issued(&fixture, &client, &grant).await;
    let now = fixture.now();
    let callers = (0..30_u8).map(|number| {
        let (store, client) = (fixture.store.clone(), client.clone());
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                Box::pin(async move {
                    refresh_tokens::spend(tx, &digest, (&client, &Confirmation::default()), &[number], now)
                        .await
                })
            });
            work.await.unwrap()
        })
    });
    let spent: Vec<_> = join_all(callers).await.into_iter().filter_map(Result::unwrap).collect();
    let [winner] = spent.as_slice() else { panic!("{} callers spent it", spent.len()) };
    assert_eq!((&winner.grant, winner.state), (&grant, RefreshState::Spent { at: now }));
    let found = refresh_tokens::find(&mut fixture.read().await, &digest).await.unwrap().unwrap();
    assert_eq!(found.successor, winner.successor);
    assert_eq!(found.absolute_expires_at, now.plus(TTL * 90));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn only_the_client_spends_its_token_and_only_in_time(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, _, _, grant) = fixture.any_grant().await;
    let digest = issued(&fixture, &client, &grant).await;
    let other = fixture.client().await.id;
    let now = fixture.now();
    let (foreign, late) = fixture
        .write(move |tx| {
            Box::pin(async move {
                let foreign =
                    refresh_tokens::spend(tx, &digest, (&other, &Confirmation::default()), b"x", now).await?;
                let late = refresh_tokens::spend(
                    tx,
                    &digest,
                    (&client, &Confirmation::default()),
                    b"x",
                    now.plus(TTL),
                )
                .await?;
                Ok((foreign.is_some(), late.is_some()))
            })
        })
        .await;
    assert_eq!((foreign, late), (false, false));
    assert_eq!(state(&fixture, &digest).await, RefreshState::Active { expires_at: now.plus(TTL) });
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn neither_a_revoked_family_nor_a_revoked_grant_is_spent(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, _, _, grant) = fixture.any_grant().await;
    let (now, other) =
        (fixture.now(), fixture.grant(&client, &fixture.user("eve").await.id, "openid").await.id);
    let burnt = issued(&fixture, &client, &grant).await;
    let orphan = issued(&fixture, &client, &other).await;
    let spent = fixture
        .write(move |tx| {
            Box::pin(async move {
                assert_eq!(refresh_tokens::revoke_family(tx, &grant, now).await?, 1);
                assert_eq!(refresh_tokens::revoke_family(tx, &grant, now).await?, 0);
                assert!(grants::revoke(tx, &other, now).await?);
                let burnt =
                    refresh_tokens::spend(tx, &burnt, (&client, &Confirmation::default()), b"x", now).await?;
                let orphan =
                    refresh_tokens::spend(tx, &orphan, (&client, &Confirmation::default()), b"x", now)
                        .await?;
                Ok((burnt.is_some(), orphan.is_some()))
            })
        })
        .await;
    assert_eq!(spent, (false, false));
    assert_eq!(state(&fixture, &burnt).await, RefreshState::Revoked);
    assert_eq!(state(&fixture, &orphan).await, RefreshState::Revoked);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_token_that_is_bound_is_spent_only_by_who_holds_what_it_is_bound_to(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, user, _, _) = fixture.any_grant().await;
    let thumbprint = |letter: &str| Some(Thumbprint::parse(&letter.repeat(43)).unwrap());
    let binding = Confirmation { jkt: thumbprint("A"), x5t: thumbprint("E") };
    let grant =
        Grant { id: fixture.id(), binding: binding.clone(), ..fixture.grant(&client, &user, "openid").await };
    fixture.insert_grant(&grant).await;
    assert_eq!(grants::find(&mut fixture.read().await, &grant.id).await.unwrap().unwrap().binding, binding);
    let digest = issued(&fixture, &client, &grant.id).await;
    let now = fixture.now();
    let spent = fixture
        .write(move |tx| {
            Box::pin(async move {
                let mut spent = Vec::new();
                for held in [
                    Confirmation::default(),
                    Confirmation { jkt: thumbprint("I"), ..binding.clone() },
                    Confirmation { x5t: None, ..binding.clone() },
                    binding,
                ] {
                    let token = refresh_tokens::spend(tx, &digest, (&client, &held), b"x", now).await?;
                    spent.push(token.is_some());
                }
                Ok(spent)
            })
        })
        .await;
    assert_eq!(spent, [false, false, false, true]);
}
