//! Letters on their way to people.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{LetterId, UserId};
use crate::domain::letter::LetterState;
use crate::domain::secret::Digest32;
use crate::storage::leases::Lease;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const COUNT: &str = "
    SELECT COUNT(*) FROM mail_outbox WHERE tally = $1 AND created_at > $2 AND state <> 'void'";
const INSERT: &str = "
    INSERT INTO mail_outbox (id, kind, user_id, tally, sealed, created_at, expires_at, attempts, state, due_at,
                             settled_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $6, $9)";
const IS_DUE: &str = "
    SELECT 1 FROM mail_outbox
     WHERE settled_at IS NULL AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) LIMIT 1";
/// What is settled has no lease any more, and says nothing any more.
const SETTLE: &str = "
    UPDATE mail_outbox
       SET state = $3, settled_at = $4, last_error = $5, sealed = NULL, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2";
const PUT_OFF: &str = "
    UPDATE mail_outbox SET due_at = $3, last_error = $4, leased_until = NULL, lease_token = NULL
     WHERE id = $1 AND lease_token = $2";
const FORGET: &str = "
    UPDATE mail_outbox SET state = 'void', settled_at = $2, sealed = NULL, leased_until = NULL, lease_token = NULL
     WHERE user_id = $1 AND settled_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[COUNT, INSERT, IS_DUE, SETTLE, PUT_OFF, FORGET];

/// A letter before it is kept.
#[derive(Clone, Debug)]
pub struct NewLetter {
    /// Names it.
    pub id: LetterId,
    /// What kind of letter it is.
    pub kind: &'static str,
    /// Whose account it is about, if there is one.
    pub user: Option<UserId>,
    /// Stands for the address and the kind, to count.
    pub tally: Digest32,
    /// Whom it goes to and what it says, for those who have the key.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// Until when it is tried.
    pub expires_at: Timestamp,
}

/// A letter that is somebody's to send.
#[derive(Clone, Debug)]
pub struct DueLetter {
    /// Names it.
    pub id: LetterId,
    /// What kind of letter it is.
    pub kind: String,
    /// Whose account it is about.
    pub user: Option<UserId>,
    /// Whom it goes to and what it says.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// Until when it is tried.
    pub expires_at: Timestamp,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// Why it did not go the last time.
    pub last_error: Option<String>,
}

/// How many letters of a tally were kept since then to be sent. Until the transaction ends nobody else counts the same: of two
/// letters at once, the second sees the first.
pub async fn count(tx: &mut Tx, tally: &Digest32, since: Timestamp) -> Result<u64, StoreError> {
    if let Some(lock) = tx.dialect().take_turn() {
        let number = tally.as_bytes().first_chunk().map_or(0, |first| i64::from_be_bytes(*first));
        tx.fetch_all(lock, &[number.into()]).await?;
    }
    let row = tx.fetch_optional(COUNT, &[tally.into(), since.into()]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

/// Keeps a letter: to be sent, or void from the beginning.
pub async fn insert(tx: &mut Tx, letter: &NewLetter, state: LetterState) -> Result<(), StoreError> {
    let is_void = state == LetterState::Void;
    let sealed = Some(letter.sealed.as_slice()).filter(|_| !is_void);
    let values = [
        (&letter.id).into(),
        letter.kind.into(),
        letter.user.as_ref().into(),
        (&letter.tally).into(),
        sealed.into(),
        letter.created_at.into(),
        letter.expires_at.into(),
        state.as_str().into(),
        Some(letter.created_at).filter(|_| is_void).into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// Whether there is something to [`take`].
pub async fn is_due(tx: &mut Tx, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.fetch_optional(IS_DUE, &[now.into()]).await?.is_some())
}

/// Takes the letters that have been due longest: while the lease lasts nobody else gets them.
pub async fn take(
    tx: &mut Tx,
    lease: &Lease,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueLetter>, StoreError> {
    let values = [lease.until.into(), lease.token.as_str().into(), now.into(), limit.into()];
    let rows = tx.fetch_all(tx.dialect().due_letters(), &values).await?;
    rows.iter().map(read).collect()
}

/// Notes how a letter ended, and forgets what it said; `false` when the lease was lost.
pub async fn settle(
    tx: &mut Tx,
    (id, lease): (&LetterId, &Lease),
    state: LetterState,
    error: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = [id.into(), lease.token.as_str().into(), state.as_str().into(), now.into(), error.into()];
    Ok(tx.execute(SETTLE, &values).await? > 0)
}

/// Puts a letter back that was not taken; `false` when the lease was lost.
pub async fn put_off(
    tx: &mut Tx,
    (id, lease): (&LetterId, &Lease),
    due_at: Timestamp,
    error: &str,
) -> Result<bool, StoreError> {
    let values = [id.into(), lease.token.as_str().into(), due_at.into(), error.into()];
    Ok(tx.execute(PUT_OFF, &values).await? > 0)
}

/// Forgets what was to be sent about an account: there is nobody any more to whom it says something.
pub async fn forget(tx: &mut Tx, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(FORGET, &[user.into(), now.into()]).await.map(drop)
}

fn read(row: &Row) -> Result<DueLetter, StoreError> {
    Ok(DueLetter {
        id: row.get(0)?,
        kind: row.get(1)?,
        user: row.get(2)?,
        sealed: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        attempts: row.get(6)?,
        last_error: row.get(7)?,
    })
}
