//! What clients are to be told of the end of a session.

use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::client::ClientSettings;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, LogoutNoticeId, SessionId, UserId};
use crate::domain::user::Sub;
use crate::storage::leases::Lease;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

/// Spaces around both sides make the word a whole word. Without that scope a client got no ID token.
const OF_SESSION: &str = "
    SELECT DISTINCT g.session_id, g.client_id, u.sub, c.settings
      FROM grants g
      JOIN users u ON u.id = g.user_id
      JOIN clients c ON c.id = g.client_id
     WHERE g.session_id = $1 AND c.disabled_at IS NULL AND ' ' || g.scopes || ' ' LIKE '% openid %'";
const OF_USER: &str = "
    SELECT DISTINCT g.session_id, g.client_id, u.sub, c.settings
      FROM sessions s
      JOIN grants g ON g.session_id = s.id
      JOIN users u ON u.id = s.user_id
      JOIN clients c ON c.id = g.client_id
     WHERE s.user_id = $1 AND s.ended_at IS NULL AND c.disabled_at IS NULL
       AND ' ' || g.scopes || ' ' LIKE '% openid %'";
const INSERT: &str = "
    INSERT INTO logout_notices (id, session_id, client_id, subject, created_at, attempts, state, due_at,
                                leased_until, lease_token)
    VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $5, $7, $8)
        ON CONFLICT (session_id, client_id) DO NOTHING";
const IS_DUE: &str = "
    SELECT 1 FROM logout_notices
     WHERE settled_at IS NULL AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) LIMIT 1";
const LIST: &str = "
    SELECT id, session_id, client_id, subject, created_at, attempts, state, due_at, settled_at, last_error
      FROM logout_notices WHERE id < $1 ORDER BY id DESC LIMIT $2";
const LIST_BY_STATE: &str = "
    SELECT id, session_id, client_id, subject, created_at, attempts, state, due_at, settled_at, last_error
      FROM logout_notices WHERE state = $3 AND id < $1 ORDER BY id DESC LIMIT $2";
const LIST_BY_SESSION: &str = "
    SELECT id, session_id, client_id, subject, created_at, attempts, state, due_at, settled_at, last_error
      FROM logout_notices WHERE session_id = $1 ORDER BY id LIMIT $2";
/// What is settled has no lease any more.
const SETTLE: &str = "
    UPDATE logout_notices
       SET state = $3, settled_at = $4, last_error = $5, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2";
const PUT_OFF: &str = "
    UPDATE logout_notices SET due_at = $3, last_error = $4, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[OF_SESSION, OF_USER, INSERT, IS_DUE, LIST, LIST_BY_STATE, LIST_BY_SESSION, SETTLE, PUT_OFF];

/// Sorts behind every identifier.
const BEHIND_ALL: &str = "lgn_z";

/// Who took part in a session that ends, and wants to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Participant {
    /// The session.
    pub session: SessionId,
    /// The client.
    pub client: ClientId,
    /// Who signed in.
    pub subject: Sub,
}

/// The clients that got an ID token in a session and want to be told of its end.
pub async fn of_session(tx: &mut Tx, session: &SessionId) -> Result<Vec<Participant>, StoreError> {
    let rows = tx.fetch_all(OF_SESSION, &[session.into()]).await?;
    participants(&rows)
}

/// The same for every session of a user that has not ended.
pub async fn of_user(tx: &mut Tx, user: &UserId) -> Result<Vec<Participant>, StoreError> {
    let rows = tx.fetch_all(OF_USER, &[user.into()]).await?;
    participants(&rows)
}

fn participants(rows: &[Row]) -> Result<Vec<Participant>, StoreError> {
    let mut found = Vec::new();
    for row in rows {
        let settings: ClientSettings = row.json(3)?;
        if settings.protocol.backchannel_logout.is_some() {
            found.push(Participant { session: row.get(0)?, client: row.get(1)?, subject: row.get(2)? });
        }
    }
    Ok(found)
}

/// Adds a notice, to be sent at once by whoever holds the lease, or by anybody where there is none.
pub async fn insert(
    tx: &mut Tx,
    id: &LogoutNoticeId,
    told: &Participant,
    now: Timestamp,
    lease: Option<&Lease>,
) -> Result<bool, StoreError> {
    let values = [
        id.into(),
        (&told.session).into(),
        (&told.client).into(),
        told.subject.as_str().into(),
        now.into(),
        u32::from(lease.is_some()).into(),
        lease.map(|lease| lease.until).into(),
        lease.map(|lease| lease.token.as_str()).into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// Whether there is something to [`take`].
pub async fn is_due(tx: &mut Tx, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_DUE, &[now.into()]).await?.is_some())
}

/// Takes the notices that have been due longest: while the lease lasts nobody else gets them.
pub async fn take(
    tx: &mut Tx,
    lease: &Lease,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<LogoutNotice>, StoreError> {
    let values = [lease.until.into(), lease.token.as_str().into(), now.into(), limit.into()];
    let rows = tx.fetch_all(tx.dialect().due_logout_notices(), &values).await?;
    rows.iter().map(read).collect()
}

/// Notes that a notice was delivered, or is given up; `false` when the lease was lost.
pub async fn settle(
    tx: &mut Tx,
    (id, lease): (&LogoutNoticeId, &Lease),
    state: NoticeState,
    error: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = [id.into(), lease.token.as_str().into(), state.as_str().into(), now.into(), error.into()];
    Ok(tx.execute(SETTLE, &values).await? > 0)
}

/// Puts a notice back that was not taken; `false` when the lease was lost.
pub async fn put_off(
    tx: &mut Tx,
    (id, lease): (&LogoutNoticeId, &Lease),
    due_at: Timestamp,
    error: &str,
) -> Result<bool, StoreError> {
    let values = [id.into(), lease.token.as_str().into(), due_at.into(), error.into()];
    Ok(tx.execute(PUT_OFF, &values).await? > 0)
}

/// The notices before `after`, newest first, of one state or of all.
pub async fn list(
    tx: &mut Tx,
    after: Option<&str>,
    limit: u32,
    state: Option<NoticeState>,
) -> Result<Vec<LogoutNotice>, StoreError> {
    let after = after.unwrap_or(BEHIND_ALL);
    let rows = match state {
        None => tx.fetch_all(LIST, &[after.into(), limit.into()]).await?,
        Some(state) => {
            tx.fetch_all(LIST_BY_STATE, &[after.into(), limit.into(), state.as_str().into()]).await?
        }
    };
    rows.iter().map(read).collect()
}

/// The notices of a session.
pub async fn list_by_session(
    tx: &mut Tx,
    session: &SessionId,
    limit: u32,
) -> Result<Vec<LogoutNotice>, StoreError> {
    let rows = tx.fetch_all(LIST_BY_SESSION, &[session.into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<LogoutNotice, StoreError> {
    Ok(LogoutNotice {
        id: row.get(0)?,
        session: row.get(1)?,
        client: row.get(2)?,
        subject: row.get(3)?,
        created_at: row.get(4)?,
        attempts: row.get(5)?,
        state: row.parse(6)?,
        due_at: row.get(7)?,
        settled_at: row.get(8)?,
        last_error: row.get(9)?,
    })
}
