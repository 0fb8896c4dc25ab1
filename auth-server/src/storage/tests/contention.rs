use std::sync::Arc;

use tokio::sync::Barrier;

use super::support::{Backend, Fixture, START};
use crate::domain::ids::{OrganisationId, UserId};
use crate::domain::organisation::Organisation;
use crate::storage::{StoreError, organisations, users};

/// SQLite has one writer, so nothing can stand in its way there.
#[tokio::test]
async fn of_two_transactions_that_wait_for_each_other_one_is_told_to_try_again_postgres() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let (one, two) = (fixture.user("one").await.id, fixture.user("two").await.id);
    let meet = Arc::new(Barrier::new(2));
    let hold_both = |first: &UserId, second: &UserId| {
        let (first, second, meet) = (first.clone(), second.clone(), Arc::clone(&meet));
        let (store, id): (_, OrganisationId) = (fixture.store.clone(), fixture.id());
        let organisation = Organisation { id: id.clone(), name: "Acme".to_owned(), created_at: START };
        async move {
            let outcome: Result<(), StoreError> = store
                .write(move |tx| {
                    Box::pin(async move {
                        organisations::insert(tx, &organisation).await?;
                        users::hold(tx, &first).await?;
                        meet.wait().await;
                        users::hold(tx, &second).await
                    })
                })
                .await;
            (outcome, id)
        }
    };
    let outcomes: [_; 2] = tokio::join!(hold_both(&one, &two), hold_both(&two, &one)).into();
    let contended = outcomes.iter().filter(|(outcome, _)| *outcome == Err(StoreError::Contended)).count();
    let good = outcomes.iter().filter(|(outcome, _)| outcome.is_ok()).count();
    assert_eq!((good, contended), (1, 1), "{outcomes:?}");
    assert!(StoreError::Contended.is_temporary(), "whoever asked is told to try again");
    for (outcome, id) in outcomes {
        let kept = organisations::find(&mut fixture.read().await, &id).await.unwrap();
        assert_eq!(kept.is_some(), outcome.is_ok(), "all of it is kept or none");
    }
}
