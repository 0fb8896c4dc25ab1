//! Sessions.

use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::ids::{ClientId, SessionId, UserId};
use crate::domain::secret::Digest32;
use crate::domain::session::{Session, SessionOrigin};
use crate::domain::user::User;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, consents, users};

const INSERT: &str = "
    INSERT INTO sessions (id, user_id, auth_time, created_at, last_seen_at, expires_at, ended_at, methods, acr,
                          address, user_agent, digest)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const FIND: &str = "
    SELECT id, user_id, auth_time, created_at, last_seen_at, expires_at, ended_at, methods, acr, address, user_agent
      FROM sessions WHERE id = $1";
const FIND_LIVE: &str = "
    SELECT s.id, s.user_id, s.auth_time, s.created_at, s.last_seen_at, s.expires_at, s.ended_at, s.methods, s.acr,
           s.address, s.user_agent,
           u.id, u.sub, u.organisation_id, u.username, u.name, u.email, u.email_verified_at, u.created_at,
           u.disabled_at, u.profile,
           (SELECT p.payload FROM single_use p
             WHERE p.purpose = 'pushed_request' AND p.digest = $3 AND p.used_at IS NULL AND p.expires_at > $4),
           c.user_id, c.client_id, NULLIF(c.api_id, ''), c.scopes, c.granted_at, c.claims, c.details
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN consents c ON c.user_id = s.user_id AND c.client_id = $2
     WHERE s.digest = $1 AND s.ended_at IS NULL AND u.disabled_at IS NULL";
const LIST_BY_USER: &str = "
    SELECT id, user_id, auth_time, created_at, last_seen_at, expires_at, ended_at, methods, acr, address, user_agent
      FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY id LIMIT $3";
const LIST_NEWEST: &str = "
    SELECT id, user_id, auth_time, created_at, last_seen_at, expires_at, ended_at, methods, acr, address, user_agent
      FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND last_seen_at > $3
     ORDER BY id DESC LIMIT $4";
const TOUCH: &str =
    "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND ended_at IS NULL AND last_seen_at < $2";
// Who renews names the proof that is renewed: of two at once, one does.
const RENEW: &str = "
    UPDATE sessions
       SET digest = $3, auth_time = $4, last_seen_at = $5, expires_at = $6, methods = $7, acr = $8
     WHERE id = $1 AND auth_time = $2 AND ended_at IS NULL";
const IS_LIVE: &str = "SELECT 1 FROM sessions WHERE id = $1 AND ended_at IS NULL";
const END: &str = "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL";
const END_ALL: &str = "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, FIND_LIVE, LIST_BY_USER, LIST_NEWEST, TOUCH, RENEW, IS_LIVE, END, END_ALL];

/// How many columns [`read_at`] reads.
pub(super) const WIDTH: usize = 11;
/// Where a pushed request stands that is read beside a session and its user.
const AT_REQUEST: usize = WIDTH + users::WIDTH;
/// Where a consent begins.
const AT_CONSENT: usize = AT_REQUEST + 1;

/// A session that has not ended, and what was read beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub user: User,
    /// What the user allowed the client: `None` where no client is named, and where something of it cannot be read.
    pub consents: Option<Vec<Consent>>,
    /// What the handle stands for, as it was pushed, if it may still be spent.
    pub request: Option<String>,
}

/// What a client sends somebody with.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentWith<'a> {
    /// The client.
    pub client: Option<&'a ClientId>,
    /// What stands for a request that it pushed.
    pub handle: Option<&'a Digest32>,
}

/// Adds a session under the digest of its token.
pub async fn insert(tx: &mut Tx, session: &Session, digest: &Digest32) -> Result<(), StoreError> {
    let methods = methods(session)?;
    let values = [
        (&session.id).into(),
        (&session.user).into(),
        session.auth_time.into(),
        session.created_at.into(),
        session.last_seen_at.into(),
        session.expires_at.into(),
        session.ended_at.into(),
        methods.into(),
        session.acr.as_str().into(),
        session.origin.address.map(|address| address.to_string()).into(),
        session.origin.user_agent.as_str().into(),
        digest.into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The session with this identifier, in whatever state.
pub async fn find(tx: &mut Tx, id: &SessionId) -> Result<Option<Session>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(|row| read_at(row, 0)).transpose()
}

/// The session of a token, with its user, neither ended nor disabled, with what the user allowed the client, and with the request that
/// it pushed, which this does not spend. Whether the session expired is for the caller to see.
pub async fn find_live(
    tx: &mut Tx,
    digest: &Digest32,
    sent: SentWith<'_>,
    now: Timestamp,
) -> Result<Option<Found>, StoreError> {
    let SentWith { client, handle } = sent;
    // A row for each consent, or one without any.
    let handle = handle.map(|handle| handle.as_bytes().as_slice());
    let values = [digest.into(), client.into(), handle.into(), now.into()];
    let rows = tx.fetch_all(FIND_LIVE, &values).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(Found {
        session: read_at(first, 0)?,
        user: users::read_at(first, WIDTH)?,
        consents: client.and_then(|_| read_consents(&rows)),
        request: first.get(AT_REQUEST)?,
    }))
}

/// Whoever needs what cannot be read asks for it, and fails; nobody else does.
fn read_consents(rows: &[Row]) -> Option<Vec<Consent>> {
    let is_there = |row: &&Row| !matches!(row.get::<Option<UserId>>(AT_CONSENT), Ok(None));
    rows.iter().filter(is_there).map(|row| consents::read_at(row, AT_CONSENT).ok()).collect()
}

/// The sessions of a user that have not ended, oldest first.
pub async fn list_by_user(
    tx: &mut Tx,
    user: &UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let rows = tx.fetch_all(LIST_BY_USER, &[user.into(), now.into(), limit.into()]).await?;
    rows.iter().map(|row| read_at(row, 0)).collect()
}

/// The sessions of a user that have not ended and were used after `idle_since`, the newest first.
pub async fn list_newest(
    tx: &mut Tx,
    user: &UserId,
    (now, idle_since): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let rows = tx.fetch_all(LIST_NEWEST, &[user.into(), now.into(), idle_since.into(), limit.into()]).await?;
    rows.iter().map(|row| read_at(row, 0)).collect()
}

/// Notes that the session was used. Time only goes forward: of two replicas the later one counts.
pub async fn touch(tx: &mut Tx, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(TOUCH, &[id.into(), now.into()]).await.map(drop)
}

/// Gives a session a new proof and a new token, as long as nobody ended it, and nobody renewed it since `before`; gives whether that was
/// so. Whoever has the token of before has nothing then.
pub async fn renew(
    tx: &mut Tx,
    session: &Session,
    digest: &Digest32,
    before: Timestamp,
) -> Result<bool, StoreError> {
    let values = [
        (&session.id).into(),
        before.into(),
        digest.into(),
        session.auth_time.into(),
        session.last_seen_at.into(),
        session.expires_at.into(),
        methods(session)?.into(),
        session.acr.as_str().into(),
    ];
    Ok(tx.execute(RENEW, &values).await? > 0)
}

/// Whether nobody ended a session.
pub async fn is_live(tx: &mut Tx, id: &SessionId) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_LIVE, &[id.into()]).await?.is_some())
}

/// Ends a session; gives whether it had not ended before.
pub async fn end(tx: &mut Tx, id: &SessionId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(END, &[id.into(), now.into()]).await? > 0)
}

/// Ends every session of a user; gives how many.
pub async fn end_all(tx: &mut Tx, user: &UserId, now: Timestamp) -> Result<u64, StoreError> {
    tx.execute(END_ALL, &[user.into(), now.into()]).await
}

fn methods(session: &Session) -> Result<String, StoreError> {
    serde_json::to_string(&session.methods)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

/// Reads the columns of a session that begin at `first`, in the order of the statements above.
pub(super) fn read_at(row: &Row, first: usize) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.get(first)?,
        user: row.get(first + 1)?,
        auth_time: row.get(first + 2)?,
        created_at: row.get(first + 3)?,
        last_seen_at: row.get(first + 4)?,
        expires_at: row.get(first + 5)?,
        ended_at: row.get(first + 6)?,
        methods: row.json(first + 7)?,
        acr: row.parse(first + 8)?,
        origin: SessionOrigin { address: row.get(first + 9)?, user_agent: row.get(first + 10)? },
    })
}
