//! What is done again and again: one job per kind and stretch of time, whoever gets to add it.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::JobId;
use crate::domain::secret::Digest32;
use crate::jobs::cleanup;
use crate::storage::{Store, StoreError, jobs};

/// Work that is due once in every stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periodic {
    pub(super) kind: &'static str,
    pub(super) every: Duration,
}

/// Everything that is done again and again.
pub(super) const PERIODIC: [Periodic; 1] = [Periodic { kind: cleanup::KIND, every: Duration::from_mins(10) }];

impl Periodic {
    /// The number of the stretch of time that `now` lies in.
    pub(super) fn stretch(&self, now: Timestamp) -> i64 {
        let length = i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX);
        now.as_micros().div_euclid(length)
    }

    /// Adds the job of a stretch. Every replica makes the same identifier, so there is one job however many try.
    pub(super) async fn add(self, store: &Store, stretch: i64, now: Timestamp) -> Result<bool, StoreError> {
        let Some(id) = self.job_of(stretch) else { return Ok(false) };
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    jobs::insert(tx, &id, self.kind, "{}", now).await
                })
            })
            .await
    }

    fn job_of(self, stretch: i64) -> Option<JobId> {
        let digest = Digest32::of_parts(&[self.kind.as_bytes(), b"\0", &stretch.to_be_bytes()]).hex();
        JobId::parse(&format!("job_{}", digest.get(..32)?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_one_job_and_the_next_another() {
        let [cleanup] = PERIODIC;
        let start = Timestamp::from_secs(1_800_000_000);
        let within = start.plus(cleanup.every).minus(Duration::from_micros(1));
        assert_eq!(cleanup.stretch(start), cleanup.stretch(within));
        assert_eq!(cleanup.stretch(start.plus(cleanup.every)), cleanup.stretch(start) + 1);
        assert_eq!(cleanup.job_of(7), cleanup.job_of(7));
        assert_ne!(cleanup.job_of(7).unwrap(), cleanup.job_of(8).unwrap());
    }
}
