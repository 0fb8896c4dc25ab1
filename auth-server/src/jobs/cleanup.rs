//! Takes away what nobody can use any more.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::decision::Day;
use crate::jobs::registrations;
use crate::storage::cleanup::{self, Expired};
use crate::storage::{Store, StoreError, decision_records, forgotten};

pub(super) const KIND: &str = "cleanup";

/// How long something is kept after its end: a replay is still recognised, and a page can say "expired".
const KEPT: Duration = Duration::from_hours(24);
/// Most rows in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 500;
/// Until then whoever was adding records as somebody was deleted, and could not see it yet, is done.
const PATIENCE: Duration = Duration::from_mins(1);
/// What is left of a hundred thousand records waits for the next cleaning, and nobody sees it.
const MAX_FORGET_BATCHES: u32 = 200;

/// Takes away everything that ended more than a day ago. Browser flows go at their end: anybody can begin one, and one that is
/// gone gets the same page as one that expired.
pub(super) async fn run(store: &Store, now: Timestamp, keep_days: u32) -> Result<(), StoreError> {
    let before = now.minus(KEPT);
    for what in Expired::ALL {
        let before = if what == Expired::Interactions { now } else { before };
        loop {
            let gone = store
                .write(move |tx| {
                    Box::pin(async move {
                        tx.in_background();
                        cleanup::expired(tx, what, before, BATCH).await
                    })
                })
                .await?;
            if gone < u64::from(BATCH) {
                break;
            }
        }
    }
    let oldest = Day::of(now).minus(keep_days);
    let more = async || {
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    decision_records::delete_before(tx, oldest, BATCH).await
                })
            })
            .await
    };
    while more().await? {}
    registrations::review(store, now).await?;
    forget(store, now.minus(PATIENCE)).await?;
    release_forgotten(store, now.minus(KEPT * (keep_days + 1))).await?;
    // After the tokens and sessions, because a grant stays while something hangs on it.
    let mut after = None;
    loop {
        let next = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    cleanup::grants(tx, after.as_ref(), before, BATCH).await
                })
            })
            .await?;
        match next {
            Some(end) => after = Some(end),
            None => return Ok(()),
        }
    }
}

/// Takes away what was recorded of people and clients that were deleted: a good deal at a time, since other jobs wait meanwhile.
async fn forget(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    for _ in 0..MAX_FORGET_BATCHES {
        let more = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    forgotten::delete_records(tx, before, BATCH).await
                })
            })
            .await?;
        if !more {
            break;
        }
    }
    Ok(())
}

/// Forgets that somebody is forgotten, once what guards may still tell of them is too old to be taken.
async fn release_forgotten(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    loop {
        let gone = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    forgotten::release(tx, before, BATCH).await
                })
            })
            .await?;
        if gone < u64::from(BATCH) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::config::Sessions;
    use crate::storage::single_use::{self, Purpose};
    use crate::storage::tests::support::{Backend, Fixture};

    /// A flow may begin with a handle in its last moment, and cannot end without it.
    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_handle_is_kept_as_long_as_the_longest_flow_that_began_with_it(#[case] backend: Backend) {
        let schema = serde_json::to_value(schemars::schema_for!(Sessions)).unwrap();
        let longest = schema.pointer("/properties/interaction_ttl_mins/maximum").and_then(Value::as_u64);
        let longest = Duration::from_mins(longest.unwrap());
        let fixture = Fixture::new(backend).await;
        let (handle, ends) = (fixture.digest(), fixture.now().plus(Duration::from_mins(1)));
        let purpose = Purpose::PushedRequest;
        fixture
            .write(move |tx| {
                Box::pin(async move { single_use::issue(tx, purpose, &handle, &"request", ends).await })
            })
            .await;
        let began = fixture.now();
        let is_kept = async || {
            let mut tx = fixture.read().await;
            single_use::find::<String>(&mut tx, purpose, &handle, began).await.unwrap().is_some()
        };
        run(&fixture.store, ends.plus(longest), 30).await.unwrap();
        assert!(is_kept().await);
        run(&fixture.store, ends.plus(longest * 2), 30).await.unwrap();
        assert!(!is_kept().await, "and not for ever");
    }
}
