//! The end of a transaction: what has to be written after the work, before it may be committed.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::storage::tx::{Reached, Work};
use crate::storage::{Outcome, StoreError, Tx, audit, epochs, revocations};

/// Runs `work` and writes what belongs to it. After a fault or a panic the transaction has to be rolled back.
pub(super) async fn perform<T, E, W>(tx: &mut Tx, work: W) -> Result<T, E>
where
    W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, Result<T, E>> + Send,
    E: From<StoreError> + Outcome,
{
    let Ok(outcome) = AssertUnwindSafe(async { work(tx).await }).catch_unwind().await else {
        return Err(StoreError::Panicked.into());
    };
    if outcome.as_ref().is_err_and(Outcome::is_fault) {
        return outcome;
    }
    match finish(tx).await {
        Ok(()) => outcome,
        Err(error) => Err(error.into()),
    }
}

async fn finish(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.failed {
        return Err(StoreError::Aborted);
    }
    if tx.invalidates {
        tx.reached.cache = Some(epochs::bump(tx).await?);
    }
    for revocation in std::mem::take(&mut tx.revocations) {
        tx.reached.revocations = Some(revocations::raise(tx, &revocation).await?);
    }
    if tx.reached != Reached::default() {
        epochs::announce(tx).await?;
    }
    // Last, because from here to the commit every other transaction with an event waits.
    for event in std::mem::take(&mut tx.events) {
        audit::append(tx, &event).await?;
    }
    Ok(())
}
