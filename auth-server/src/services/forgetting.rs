//! Forgets what a user or client asked of services, once they are deleted.
//!
//! From the deletion on nobody sees these records and none are added. They are taken away by a job: there may be so many that
//! nobody could wait for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::ids::JobId;
use crate::domain::secret::Entropy;
use crate::storage::{Store, StoreError, Tx, forgotten, jobs};

/// The kind of the job that takes the records away.
pub(crate) const FORGET_JOB: &str = "forget_subject";

/// Until then whoever was adding records as somebody was deleted, and could not see it yet, is done.
const PATIENCE: Duration = Duration::from_mins(1);
/// Most records in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 500;

/// What the job is told.
#[derive(Deserialize, Serialize)]
pub(crate) struct ForgetJob {
    subject: String,
}

/// Hides what is recorded of `subject`, and leaves it to a job to take it away.
pub(crate) async fn forget(
    tx: &mut Tx,
    subject: &str,
    entropy: &Entropy,
    now: Timestamp,
) -> Result<(), StoreError> {
    forgotten::insert(tx, subject, now).await?;
    let payload = serde_json::to_string(&ForgetJob { subject: subject.to_owned() })
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let id = JobId::generate(now, entropy);
    jobs::insert(tx, &id, FORGET_JOB, &payload, now.plus(PATIENCE)).await.map(drop)
}

/// Takes the records away. Whoever dies over it has done a part of the work, and whoever does it a second time finds less to do.
pub(crate) async fn carry_out(store: &Store, job: ForgetJob) -> Result<(), StoreError> {
    loop {
        let subject = job.subject.clone();
        let more = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    forgotten::delete_records(tx, &subject, BATCH).await
                })
            })
            .await?;
        if !more {
            return Ok(());
        }
    }
}
