//! What clients ask of people from behind, until it is decided; and what clients are to be told of it then.

use std::time::Duration;

use crate::domain::ciba::{BindingMessage, CibaRequest};
use crate::domain::client::GrantType;
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::{Decision, PollState};
use crate::domain::ids::{CibaRequestId, ClientId, UserId};
use crate::domain::secret::Digest32;
use crate::storage::leases::Lease;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, polled};

const INSERT: &str = "
    INSERT INTO ciba_requests (digest, id, client_id, user_id, scopes, api_id, binding_message, wishes, address,
                               created_at, expires_at, interval_micros, next_poll_at, ping, ping_attempts)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $10, $13, 0)";
// Requests of clients that may not ask any more take nobody's place.
const WAITING: &str = "
    SELECT id, client_id, user_id, scopes, api_id, binding_message, wishes, address, created_at, expires_at
      FROM ciba_requests
     WHERE user_id = $1 AND expires_at > $2 AND allowed_at IS NULL AND denied_at IS NULL
       AND EXISTS (SELECT 1 FROM clients c
                    WHERE c.id = ciba_requests.client_id AND c.disabled_at IS NULL AND c.grants LIKE $4)
     ORDER BY expires_at LIMIT $3";
const COUNT: &str = "
    SELECT client_id FROM ciba_requests
     WHERE user_id = $1 AND expires_at > $2 AND allowed_at IS NULL AND denied_at IS NULL
       AND EXISTS (SELECT 1 FROM clients c
                    WHERE c.id = ciba_requests.client_id AND c.disabled_at IS NULL AND c.grants LIKE $4)
     LIMIT $3";
const FIND: &str = "
    SELECT id, client_id, user_id, scopes, api_id, binding_message, wishes, address, created_at, expires_at
      FROM ciba_requests
     WHERE id = $1 AND user_id = $2 AND expires_at > $3 AND allowed_at IS NULL AND denied_at IS NULL";
const ALLOW: &str = "
    UPDATE ciba_requests
       SET allowed_at = $3, ping_due_at = CASE WHEN ping IS NULL THEN NULL ELSE CAST($3 AS BIGINT) END
     WHERE id = $1 AND user_id = $2 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3
 RETURNING digest";
const DENY: &str = "
    UPDATE ciba_requests
       SET denied_at = $3, ping_due_at = CASE WHEN ping IS NULL THEN NULL ELSE CAST($3 AS BIGINT) END
     WHERE id = $1 AND user_id = $2 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $3
 RETURNING digest";
const POLL: &str = "
    UPDATE ciba_requests
       SET interval_micros = CASE WHEN next_poll_at > $3 THEN interval_micros + $4 ELSE interval_micros END,
           hurried_at = CASE WHEN next_poll_at > $3 THEN CAST($3 AS BIGINT) ELSE NULL END,
           next_poll_at = CAST($3 AS BIGINT) - CAST($5 AS BIGINT) +
               CASE WHEN next_poll_at > $3 THEN interval_micros + $4 ELSE interval_micros END
     WHERE digest = $1 AND client_id = $2
 RETURNING expires_at, allowed_at, denied_at, hurried_at";
const PING_IS_DUE: &str = "
    SELECT 1 FROM ciba_requests
     WHERE ping_due_at <= $1 AND (ping_leased_until IS NULL OR ping_leased_until <= $1) LIMIT 1";
const SETTLE_PING: &str = "
    UPDATE ciba_requests SET ping = NULL, ping_due_at = NULL, ping_leased_until = NULL, ping_lease_token = NULL
     WHERE id = $1 AND ping_lease_token = $2";
const PUT_OFF_PING: &str = "
    UPDATE ciba_requests SET ping_due_at = $3, ping_leased_until = NULL, ping_lease_token = NULL
     WHERE id = $1 AND ping_lease_token = $2";
const FORGET: &str = "DELETE FROM ciba_requests WHERE user_id = $1 AND client_id = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, WAITING, COUNT, FIND, ALLOW, DENY, POLL, PING_IS_DUE, SETTLE_PING, PUT_OFF_PING, FORGET];

/// A request that is about to be acknowledged.
#[derive(Clone, Debug)]
pub struct NewCibaRequest {
    /// The digest of what the client asks with.
    pub digest: Digest32,
    /// What is asked for.
    pub request: CibaRequest,
    /// How long the client has to wait between two questions.
    pub interval: Duration,
    /// What it is told once somebody decided, sealed; `None` if it only asks.
    pub ping: Option<Vec<u8>>,
}

/// What a client is to be told because somebody decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ping {
    /// The request.
    pub id: CibaRequestId,
    /// Who is told.
    pub client: ClientId,
    /// What it is told, sealed.
    pub sealed: Vec<u8>,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// When there is nothing to ask for any more.
    pub expires_at: Timestamp,
}

/// How many requests wait for one person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// Those of one client.
    pub of_client: usize,
    /// Those of all.
    pub of_all: usize,
}

/// Adds a request.
pub async fn insert(tx: &mut Tx, new: &NewCibaRequest) -> Result<(), StoreError> {
    let request = &new.request;
    let wishes = serde_json::to_string(&request.wishes)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let values = [
        (&new.digest).into(),
        (&request.id).into(),
        (&request.client).into(),
        (&request.user).into(),
        request.scopes.to_string().into(),
        request.resource.as_ref().into(),
        request.binding_message.as_ref().map(BindingMessage::as_str).into(),
        wishes.into(),
        request.address.map(|address| address.to_string()).into(),
        request.created_at.into(),
        request.expires_at.into(),
        polled::micros(new.interval).into(),
        new.ping.as_deref().into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// What stands in the grants of a client that may ask.
fn may_ask() -> String {
    format!("%\"{}\"%", GrantType::Ciba.as_str())
}

/// What waits for a person, what expires first before the rest.
pub async fn waiting(
    tx: &mut Tx,
    user: &UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<CibaRequest>, StoreError> {
    let values = [user.into(), now.into(), limit.into(), may_ask().into()];
    let rows = tx.fetch_all(WAITING, &values).await?;
    rows.iter().map(read).collect()
}

/// How much of it there is, up to a limit.
pub async fn count_waiting(
    tx: &mut Tx,
    (user, client): (&UserId, &ClientId),
    now: Timestamp,
    limit: u32,
) -> Result<Waiting, StoreError> {
    let values = [user.into(), now.into(), limit.into(), may_ask().into()];
    let rows = tx.fetch_all(COUNT, &values).await?;
    let mut of_client = 0;
    for row in &rows {
        of_client += usize::from(row.get::<ClientId>(0)? == *client);
    }
    Ok(Waiting { of_client, of_all: rows.len() })
}

/// One that waits for this person, and for nobody else.
pub async fn find_waiting(
    tx: &mut Tx,
    (id, user): (&CibaRequestId, &UserId),
    now: Timestamp,
) -> Result<Option<CibaRequest>, StoreError> {
    tx.fetch_optional(FIND, &[id.into(), user.into(), now.into()]).await?.as_ref().map(read).transpose()
}

/// Notes what the person decided who was asked: the digest of what the client asks with, for exactly one caller, and never after it
/// expired. From then on the client is to be told, if it wants to be.
pub async fn decide(
    tx: &mut Tx,
    (id, user): (&CibaRequestId, &UserId),
    decision: Decision,
    now: Timestamp,
) -> Result<Option<Digest32>, StoreError> {
    let statement = match decision {
        Decision::Allow => ALLOW,
        Decision::Deny => DENY,
    };
    let row = tx.fetch_optional(statement, &[id.into(), user.into(), now.into()]).await?;
    row.map(|row| row.get(0)).transpose()
}

/// A client asks what was decided: how often it may, `polled` says.
pub async fn poll(
    tx: &mut Tx,
    digest: &Digest32,
    client: &ClientId,
    now: Timestamp,
) -> Result<Option<PollState>, StoreError> {
    polled::poll(tx, POLL, (digest, client), now).await
}

/// Whether there is something to [`take_pings`].
pub async fn ping_is_due(tx: &mut Tx, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(PING_IS_DUE, &[now.into()]).await?.is_some())
}

/// Takes the pings that have been due longest: while the lease lasts nobody else gets them.
pub async fn take_pings(
    tx: &mut Tx,
    lease: &Lease,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Ping>, StoreError> {
    let values = [lease.until.into(), lease.token.as_str().into(), now.into(), limit.into()];
    let rows = tx.fetch_all(tx.dialect().due_pings(), &values).await?;
    rows.iter()
        .map(|row| {
            Ok(Ping {
                id: row.get(0)?,
                client: row.get(1)?,
                sealed: row.get(2)?,
                attempts: row.get(3)?,
                expires_at: row.get(4)?,
            })
        })
        .collect()
}

/// Notes that a client was told, or is told no more, and forgets what it was to be told; `false` when the lease was lost.
pub async fn settle_ping(tx: &mut Tx, id: &CibaRequestId, lease: &Lease) -> Result<bool, StoreError> {
    Ok(tx.execute(SETTLE_PING, &[id.into(), lease.token.as_str().into()]).await? > 0)
}

/// Puts a ping back that was not taken; `false` when the lease was lost.
pub async fn put_off_ping(
    tx: &mut Tx,
    id: &CibaRequestId,
    lease: &Lease,
    due_at: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(PUT_OFF_PING, &[id.into(), lease.token.as_str().into(), due_at.into()]).await? > 0)
}

/// Forgets what a client asked of a person, decided or not: nobody gets anything for it any more. `false` when there was nothing.
pub async fn forget_between(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<bool, StoreError> {
    Ok(tx.execute(FORGET, &[user.into(), client.into()]).await? > 0)
}

fn read(row: &Row) -> Result<CibaRequest, StoreError> {
    let message: Option<String> = row.get(5)?;
    let message = message.as_deref().map(BindingMessage::parse).transpose().map_err(|_| row.corrupt(5))?;
    Ok(CibaRequest {
        id: row.get(0)?,
        client: row.get(1)?,
        user: row.get(2)?,
        scopes: row.get(3)?,
        resource: row.get(4)?,
        binding_message: message,
        wishes: row.json(6)?,
        address: row.get(7)?,
        created_at: row.get(8)?,
        expires_at: row.get(9)?,
    })
}
