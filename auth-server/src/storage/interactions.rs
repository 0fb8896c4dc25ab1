//! Interactions.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{InteractionId, SessionId};
use crate::domain::interaction::Interaction;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO interactions (id, client_id, browser, request, prior_session_id, session_id, created_at, expires_at,
                              finished_at, prior_auth_time, pushed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const FIND: &str = "
    SELECT id, client_id, browser, request, prior_session_id, session_id, created_at, expires_at, finished_at,
           prior_auth_time
      FROM interactions WHERE id = $1";
const BIND: &str = "UPDATE interactions SET session_id = $2 WHERE id = $1 AND finished_at IS NULL";
// What a flow keeps of a pushed request is spent with it, by a trigger.
const FINISH: &str = "
    UPDATE interactions SET finished_at = $2 WHERE id = $1 AND finished_at IS NULL AND expires_at > $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, BIND, FINISH];

/// Adds an interaction.
pub async fn insert(tx: &mut Tx, interaction: &Interaction) -> Result<(), StoreError> {
    add(tx, interaction, None).await
}

/// Adds one that keeps a pushed request, whose handle is spent as it is finished.
pub async fn insert_pushed(
    tx: &mut Tx,
    interaction: &Interaction,
    handle: &Digest32,
) -> Result<(), StoreError> {
    add(tx, interaction, Some(handle)).await
}

async fn add(tx: &mut Tx, interaction: &Interaction, pushed: Option<&Digest32>) -> Result<(), StoreError> {
    let values = [
        (&interaction.id).into(),
        (&interaction.client).into(),
        (&interaction.browser).into(),
        interaction.request.as_str().into(),
        interaction.prior_session.as_ref().into(),
        interaction.session.as_ref().into(),
        interaction.created_at.into(),
        interaction.expires_at.into(),
        interaction.finished_at.into(),
        interaction.prior_proof.into(),
        pushed.map(|handle| handle.as_bytes().as_slice()).into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The interaction with this identifier, in whatever state.
pub async fn find(tx: &mut Tx, id: &InteractionId) -> Result<Option<Interaction>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// Notes which session is asked for consent; gives whether the flow still goes on.
pub async fn bind(tx: &mut Tx, id: &InteractionId, session: &SessionId) -> Result<bool, StoreError> {
    Ok(tx.execute(BIND, &[id.into(), session.into()]).await? > 0)
}

/// Ends the flow: `true` for exactly one caller, and never after it expired. Of the flows that keep one pushed request, one ends, and
/// spends the handle of it; none does where the handle was spent otherwise, or is not there any more.
pub async fn finish(tx: &mut Tx, id: &InteractionId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(FINISH, &[id.into(), now.into()]).await? > 0)
}

fn read(row: &Row) -> Result<Interaction, StoreError> {
    Ok(Interaction {
        id: row.get(0)?,
        client: row.get(1)?,
        browser: row.get(2)?,
        request: row.get(3)?,
        prior_session: row.get(4)?,
        prior_proof: row.get(9)?,
        session: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        finished_at: row.get(8)?,
    })
}
