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
    let (ada, bob, cleo) =
        (fixture.user("ada").await.id, fixture.user("bob").await.id, fixture.user("cleo").await.id);
    let now = fixture.now();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                assert!(account_deletions::insert(tx, &ada, now, now.plus(DAY * 2)).await?);
                assert!(account_deletions::insert(tx, &bob, now, now.plus(DAY)).await?);
                assert!(!account_deletions::insert(tx, &bob, now, now).await?, "the first wish counts");
                let early = now.plus(DAY).minus(Duration::from_micros(1));
                assert_eq!(account_deletions::next_due(tx, early).await?, None);
                assert_eq!(account_deletions::next_due(tx, now.plus(DAY)).await?, Some(bob.clone()));
                assert_eq!(account_deletions::next_due(tx, now.plus(DAY * 9)).await?, Some(bob.clone()));
                assert!(account_deletions::bar(tx, &bob, now).await?);
                assert!(!account_deletions::bar(tx, &bob, now).await?, "once");
                assert_eq!(account_deletions::find(tx, &bob).await?.unwrap().barred_at, Some(now));
                let all = account_deletions::among(tx, (&ada, &cleo), 9).await?;
                assert_eq!(all.iter().map(|asked| &asked.user).collect::<Vec<_>>(), [&ada, &bob]);
                assert_eq!(account_deletions::among(tx, (&cleo, &cleo), 9).await?, []);
                assert!(account_deletions::remove(tx, &bob).await?);
                assert!(!account_deletions::remove(tx, &bob).await?);
                users::delete(tx, &ada).await?;
                assert_eq!(
                    account_deletions::next_due(tx, now.plus(DAY * 9)).await?,
                    None,
                    "it went with her"
                );
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
                account_deletions::bar(tx, &ada.id, now).await?;
                let row = credentials::for_sign_in(tx, &ada.username).await?.unwrap();
                assert!(row.leaving.is_none() && !row.is_open());
                assert!(credentials::by_address(tx, &address).await?.is_none());
                Ok(())
            })
        })
        .await;
}
