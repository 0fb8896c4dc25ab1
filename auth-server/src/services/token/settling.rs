//! What comes with a token request and counts once: the assertion by which the client shows who it is, and the proof of its key.
//!
//! Both are used up by a statement that the grant writes anyway, where there is one; otherwise by one of their own. Nothing is issued
//! before, and nothing is written that would outlast it if something was used before. A refusal uses up the assertion, and not the proof.

use crate::domain::once::Once;
use crate::services::client_auth::replays;
use crate::services::registration::Arrival;
use crate::services::token::{TokenCaller, TokenError, TokenService};
use crate::storage::{Outcome, Tx, Work, single_use};

impl TokenService {
    /// Runs a transaction that uses up what is owed. What no statement of it took along is used up by one more at its end.
    pub(super) async fn spend<T, W>(&self, owed: &mut Once, work: W) -> Result<T, TokenError>
    where
        W: for<'t> FnOnce(&'t mut Tx, &'t mut Once) -> Work<'t, Result<T, TokenError>> + Send + 'static,
        T: Send + 'static,
    {
        let mut carried = owed.clone();
        let outcome = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let outcome = work(tx, &mut carried).await;
                    settle(tx, carried, outcome).await
                })
            })
            .await;
        // After a fault nothing was written, and all of it is still owed.
        if !outcome.as_ref().is_err_and(Outcome::is_fault) {
            owed.clear();
        }
        outcome
    }

    /// Uses up what no transaction did.
    pub(super) async fn use_up(&self, owed: &mut Once) -> Result<(), TokenError> {
        if !owed.is_empty() {
            let once = owed.clone();
            let work =
                self.store.write(move |tx| Box::pin(async move { single_use::use_up(tx, &once).await }));
            work.await?;
            owed.clear();
        }
        Ok(())
    }

    /// What a client is told that is refused: if it shows an assertion that was used before, nothing but that. Where the database does
    /// not answer, nothing was done, and the client may try the same again.
    pub(super) async fn refused(&self, caller: &TokenCaller, owed: &Once, error: TokenError) -> TokenError {
        let Some(assertion) = owed.assertion.filter(|_| !error.is_temporary()) else { return error };
        let arrival = Arrival { address: caller.address, now: caller.now };
        let (counted, client) = ((&self.store, &self.limits), &caller.client.client().id);
        match replays::use_up(counted, client, assertion, arrival).await {
            Ok(()) => error,
            Err(refusal) => TokenError::Client(refusal),
        }
    }
}

/// The end of a transaction. What was used before is a fault: nothing of the transaction is kept.
async fn settle<T>(tx: &mut Tx, owed: Once, outcome: Result<T, TokenError>) -> Result<T, TokenError> {
    let owed = match &outcome {
        Ok(_) => owed,
        Err(error) if error.is_fault() => return outcome,
        Err(_) => Once { proof: None, ..owed },
    };
    single_use::use_up(tx, &owed).await?;
    outcome
}
