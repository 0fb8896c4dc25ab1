use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::user::User;
use crate::storage::{account_deletions, credentials, users};

const DAY: Duration = Duration::from_hours(24);

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn accounts_are_due_in_the_order_of_their_time_and_never_before_it(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut ids = [fixture.user("ada").await.id, fixture.user("bob").await.id, fixture.user("cleo").await.id];
    ids.sort();
    let [ada, bob, cleo] = ids;
    let now = fixture.now();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                account_deletions::insert(tx, &ada, now, now.plus(DAY * 2)).await?;
                account_deletions::insert(tx, &bob, now.minus(DAY), now).await?;
                account_deletions::bar(tx, &bob, now).await?;
                account_deletions::insert(tx, &bob, now, now.plus(DAY)).await?;
                let asked = account_deletions::find(tx, &bob).await?.unwrap();
                assert_eq!(
                    (asked.asked_at, asked.barred_at),
                    (now, None),
                    "what was left behind is forgotten"
                );
                let early = now.plus(DAY).minus(Duration::from_micros(1));
                assert_eq!(account_deletions::due(tx, early, 9).await?, []);
                assert_eq!(account_deletions::due(tx, now.plus(DAY), 9).await?, std::slice::from_ref(&bob));
                let both = [bob.clone(), ada.clone()];
                assert_eq!(account_deletions::due(tx, now.plus(DAY * 9), 9).await?, both);
                assert_eq!(
                    account_deletions::due(tx, now.plus(DAY * 9), 1).await?,
                    std::slice::from_ref(&bob)
                );
                assert!(account_deletions::bar(tx, &bob, now).await?);
                assert!(!account_deletions::bar(tx, &bob, now).await?, "once");
                assert_eq!(account_deletions::find(tx, &bob).await?.unwrap().barred_at, Some(now));
                let all = account_deletions::among(tx, (&ada, &cleo), 9).await?;
                assert_eq!(all.iter().map(|asked| &asked.user).collect::<Vec<_>>(), [&ada, &bob]);
                assert_eq!(account_deletions::among(tx, (&cleo, &cleo), 9).await?, []);
                assert!(account_deletions::remove(tx, &bob).await?);
                assert!(!account_deletions::remove(tx, &bob).await?);
                users::delete(tx, &ada).await?;
                assert_eq!(account_deletions::due(tx, now.plus(DAY * 9), 9).await?, [], "it went with her");
                Ok(())
            })
        })
        .await;
}

/// Whoever goes on with another account with the same address is found by it, and not the account that they left.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_account_on_its_way_out_hides_no_other_with_its_address(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let older = fixture.user("older").await;
    fixture.clock.advance(Duration::from_millis(1));
    let newer = fixture.user("newer").await;
    let now = fixture.now();
    assert_eq!(older.email, newer.email);
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let address = older.email.clone().unwrap();
                account_deletions::insert(tx, &older.id, now, now.plus(DAY)).await?;
                users::update(tx, &User { disabled_at: Some(now), ..older.clone() }).await?;
                let found = credentials::by_address(tx, &address).await?.unwrap();
                assert_eq!(found.user.id, newer.id);
                // One that somebody confirmed is theirs; the other may be anybody's.
                let confirmed =
                    User { disabled_at: Some(now), email_verified_at: Some(now), ..older.clone() };
                users::update(tx, &confirmed).await?;
                let found = credentials::by_address(tx, &address).await?.unwrap();
                assert_eq!((found.user.id, found.leaving), (older.id, Some(now.plus(DAY))));
                Ok(())
            })
        })
        .await;
}

/// Whoever is switched off proves nothing, unless it is their own wish, and nobody else's.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_account_is_open_to_its_owner_until_it_is_barred(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let now = fixture.now();
    let ada = User { disabled_at: Some(now), ..fixture.user("ada").await };
    let due = now.plus(DAY);
    fixture
        .write(move |tx| {
            Box::pin(async move {
                users::update(tx, &ada).await?;
                let address = ada.email.clone().unwrap();
                let row = credentials::for_sign_in(tx, &ada.username).await?.unwrap();
                assert!(row.leaving.is_none() && !row.is_open());
                assert!(credentials::by_address(tx, &address).await?.is_none());
                account_deletions::insert(tx, &ada.id, now, due).await?;
                let row = credentials::for_sign_in(tx, &ada.username).await?.unwrap();
                assert!(row.leaving == Some(due) && row.is_open() && !row.user.is_enabled());
                assert!(credentials::by_address(tx, &address).await?.is_some());
                users::update(tx, &User { disabled_at: None, ..ada.clone() }).await?;
                let row = credentials::for_sign_in(tx, &ada.username).await?.unwrap();
                assert!(row.leaving.is_none() && row.is_open(), "a replica of before switched it on");
                assert_eq!(credentials::by_address(tx, &address).await?.unwrap().leaving, None);
                users::update(tx, &ada).await?;
                account_deletions::bar(tx, &ada.id, now).await?;
                let row = credentials::for_sign_in(tx, &ada.username).await?.unwrap();
                assert!(row.leaving.is_none() && !row.is_open());
                assert!(credentials::by_address(tx, &address).await?.is_none());
                Ok(())
            })
        })
        .await;
}
