//! When secrets of clients were used last, so that an operator sees when an old one is used no more.
//!
//! Nothing is written while a client waits: uses are noted in memory and written now and then, each secret once in a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::{Store, StoreError, secret_uses};

/// What a time is exact to.
const EVERY: Duration = Duration::from_mins(5);
/// Secrets that are looked after at most: beyond that, all that was written is forgotten and may be written again.
const MOST: usize = 10_000;

/// Notes uses of secrets.
#[derive(Clone)]
pub(crate) struct SecretUses {
    store: Store,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    /// When each was used last, as far as that was written.
    written: HashMap<Digest32, Timestamp>,
    waiting: HashMap<Digest32, (ClientId, Timestamp)>,
}

impl SecretUses {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, noted: Arc::default() }
    }

    /// Notes that a secret was used.
    pub(super) fn note(&self, client: &ClientId, secret: &Digest32, now: Timestamp) {
        let mut noted = self.noted();
        if noted.written.get(secret).is_some_and(|at| now < at.plus(EVERY)) {
            return;
        }
        if noted.waiting.len() < MOST {
            noted.waiting.insert(*secret, (client.clone(), now));
        }
    }

    /// Writes what was noted since. What cannot be written is kept for the next time.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.noted().waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let written = self.write(waiting.clone()).await;
        let mut noted = self.noted();
        if let Err(error) = written {
            for (secret, last) in waiting {
                noted.waiting.entry(secret).or_insert(last);
            }
            return Err(error);
        }
        if noted.written.len() >= MOST {
            noted.written.clear();
        }
        noted.written.extend(waiting.into_iter().map(|(secret, (_, at))| (secret, at)));
        Ok(())
    }

    /// Of a client that was deleted meanwhile, and of a secret that was retired, nothing is written.
    async fn write(&self, noted: HashMap<Digest32, (ClientId, Timestamp)>) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        for (secret, (client, at)) in noted {
            let found = self.store.client(&client).await?;
            let is_held =
                |client: &Client| client.authentication.secrets.iter().any(|held| held.digest == secret);
            if found.is_some_and(|client| is_held(&client)) {
                waiting.push((secret, client, at));
            }
        }
        // In one order, so that replicas do not wait for each other.
        waiting.sort_unstable_by_key(|(secret, ..)| *secret.as_bytes());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    for (secret, client, at) in &waiting {
                        secret_uses::note(tx, client, secret, *at).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
