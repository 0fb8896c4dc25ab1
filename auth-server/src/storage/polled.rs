//! What a client asks about again and again, until somebody decided: the questions of both tables that hold such a thing.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::decoupled::{LEEWAY, PollState, STEP};
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::{StoreError, Tx};

/// A client asks what was decided; notes when it did, and makes one that asks too soon wait longer. `None` when there is no such thing
/// of this client. All of it is one statement, so that no two questions are both the first.
///
/// The statement is that of the table: it takes digest, client, time, step and leeway, and returns when it expires, when it was allowed,
/// denied, and asked about too soon.
pub(super) async fn poll(
    tx: &mut Tx,
    statement: &'static str,
    (digest, client): (&Digest32, &ClientId),
    now: Timestamp,
) -> Result<Option<PollState>, StoreError> {
    let values = [digest.into(), client.into(), now.into(), micros(STEP).into(), micros(LEEWAY).into()];
    let Some(row) = tx.fetch_optional(statement, &values).await? else { return Ok(None) };
    let at = |column| row.get::<Option<Timestamp>>(column);
    let expires_at: Timestamp = row.get(0)?;
    let (allowed, denied, hurried) = (at(1)?.is_some(), at(2)?.is_some(), at(3)?.is_some());
    Ok(Some(match (allowed, denied, hurried) {
        _ if now >= expires_at => PollState::Expired,
        (true, ..) => PollState::Allowed,
        (_, true, _) => PollState::Denied,
        (.., true) => PollState::Hurried,
        _ => PollState::Pending,
    }))
}

/// A duration as it is stored.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
