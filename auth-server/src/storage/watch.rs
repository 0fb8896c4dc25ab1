//! Hears that the caches have to be emptied: from other replicas, and from commands beside the server.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::storage::cache::Caches;
use crate::storage::options::Target;
use crate::storage::pools::listen;
use crate::storage::{StoreError, epochs};

/// How often the epoch is read: the longest that another replica's change goes unnoticed.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many readings in a row may fail before memory is trusted no longer.
const TOLERATED: u32 = 10;

/// Somebody who listens; dropping it ends that.
pub(super) struct Watch {
    task: AbortHandle,
}

impl Watch {
    /// Stops listening and gives the connection back.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Watches until the store is closed or gone.
pub(super) fn spawn(caches: &Arc<Caches>, target: &Target) -> Watch {
    let watched = Arc::downgrade(caches);
    let listens_to = match target {
        Target::Postgres(options) => Some(options.as_ref().clone()),
        Target::Sqlite(_) => None,
    };
    Watch { task: tokio::spawn(watch(watched, listens_to)).abort_handle() }
}

async fn watch(watched: Weak<Caches>, listens_to: Option<PgConnectOptions>) {
    let mut listener: Option<PgListener> = None;
    let mut failures = 0;
    loop {
        // Before the reading: what another replica says after it is heard, from the first moment on.
        if let (None, Some(options)) = (&listener, &listens_to) {
            listener = listen(options).await.ok();
        }
        let Some(caches) = watched.upgrade() else { return };
        match refresh(&caches).await {
            Ok(()) => failures = 0,
            Err(_) => failures += 1,
        }
        if failures >= TOLERATED {
            caches.empty();
        }
        drop(caches);
        wait(&mut listener).await;
    }
}

/// Waits for the next reading: until another replica speaks up, or for the interval.
async fn wait(listener: &mut Option<PgListener>) {
    let Some(ears) = listener else { return sleep(INTERVAL).await };
    tokio::select! {
        () = sleep(INTERVAL) => {}
        heard = ears.recv() => if heard.is_err() { *listener = None; }
    }
}

/// Reads the epoch, and empties the caches when it moved on.
pub(super) async fn refresh(caches: &Caches) -> Result<(), StoreError> {
    let before = caches.heard_of();
    let mut tx = caches.reading().await?.uncounted();
    caches.reached(before, epochs::current(&mut tx).await?);
    Ok(())
}
