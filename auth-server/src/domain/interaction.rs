//! Interactions: one browser flow each, held on the server and bound to the browser that began it.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, InteractionId, SessionId};
use crate::domain::secret::Digest32;

/// An authorization request on its way through sign-in and consent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interaction {
    /// Names the flow in the address of its pages; worthless without the browser's secret.
    pub id: InteractionId,
    /// Who asked.
    pub client: ClientId,
    /// The digest of the secret of the browser that began it: no other may go on.
    pub browser: Digest32,
    /// The checked request, in JSON.
    pub request: String,
    /// The session that was live when the flow began.
    pub prior_session: Option<SessionId>,
    /// When the person last proved who they are in that session, then.
    pub prior_proof: Option<Timestamp>,
    /// The session that was asked for consent.
    pub session: Option<SessionId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was answered.
    pub finished_at: Option<Timestamp>,
}
