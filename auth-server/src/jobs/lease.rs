//! A lease on a job: while it lasts nobody else does the job, and whoever dies with it loses it in time.

use std::time::Duration;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::secret::{Digest32, Entropy};
use crate::storage::jobs::{self, LeasedJob};
use crate::storage::{Store, StoreError};

/// How long a job may take before another replica tries.
const LEASE: Duration = Duration::from_mins(1);
/// How often a job is tried before it is given up.
const MAX_ATTEMPTS: u32 = 12;
/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A job that is ours for now.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) job: LeasedJob,
    token: String,
}

impl Lease {
    /// Takes the job that has been due longest, if any.
    pub(super) async fn take(
        store: &Store,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Option<Self>, StoreError> {
        let now = clock.now();
        // Looking is cheap and happens all the time; only what is there has to be written for.
        if !jobs::is_due(&mut store.read().await?.uncounted(), now).await? {
            return Ok(None);
        }
        let token = Digest32::of(&entropy.bytes::<16>()).hex();
        let ours = token.clone();
        let job = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    jobs::take(tx, &ours, now.plus(LEASE), now).await
                })
            })
            .await?;
        Ok(job.map(|job| Self { job, token }))
    }

    /// Notes that the job is done.
    pub(super) async fn finish(self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let Self { job, token } = self;
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    jobs::finish(tx, &job.id, &token, now).await
                })
            })
            .await
            .map(drop)
    }

    /// Puts the job back for later, or gives it up when it failed too often.
    pub(super) async fn fail(self, store: &Store, now: Timestamp, error: String) -> Result<(), StoreError> {
        let Self { job, token } = self;
        let again_at = now.plus(wait_after(job.attempts));
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    if job.attempts >= MAX_ATTEMPTS {
                        jobs::give_up(tx, &job.id, &token, now, &error).await
                    } else {
                        jobs::retry(tx, &job.id, &token, again_at, &error).await
                    }
                })
            })
            .await
            .map(drop)
    }
}

fn wait_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_an_hour() {
        assert_eq!(wait_after(1), Duration::from_secs(5));
        assert_eq!(wait_after(2), Duration::from_secs(10));
        assert_eq!(wait_after(5), Duration::from_secs(80));
        assert_eq!(wait_after(11), LONGEST_WAIT);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }
}
