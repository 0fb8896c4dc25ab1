//! The trail of attempts to do what one may not: who tries doors is worth knowing, and must not be able to fill the disk by it.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::Quota;
use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key};
use crate::services::caller::Caller;
use crate::storage::{Store, StoreError};

/// Events a minute about one caller and one thing. The rest of a burst says nothing new.
const MOST: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

/// Cells of a table: a sixteenth of a megabyte in all.
const BITS: u32 = 12;

/// Records refused access.
#[derive(Clone)]
pub(crate) struct AccessTrail(Arc<Inner>);

struct Inner {
    store: Store,
    seed: [u8; 32],
    events: Buckets,
}

impl AccessTrail {
    pub(crate) fn new(store: Store, clock: &Clock, entropy: &Entropy) -> Self {
        let events = Buckets::new(Quota::per_minute(MOST), BITS, clock);
        Self(Arc::new(Inner { store, seed: entropy.bytes(), events }))
    }

    /// Records that `caller` was refused for want of `needed`. A record that cannot be written changes no answer.
    pub(crate) async fn refused(&self, caller: &Caller, needed: &str) {
        let parts = [caller.actor.as_str().as_bytes(), b" ", needed.as_bytes()];
        if self.0.events.take(Key::new(&self.0.seed, b'a', &parts), NonZeroU32::MIN).is_err() {
            return;
        }
        let event = caller.event(AuditAction::AccessRefused).refused().with(json!({ "needed": needed }));
        let written: Result<(), StoreError> = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.audit(event);
                    Ok(())
                })
            })
            .await;
        if let Err(error) = written {
            tracing::error!(cause = %error, "a refused access could not be recorded");
        }
    }
}
