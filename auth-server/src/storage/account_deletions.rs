//! Accounts whose owners want them deleted, and when that is done.

use crate::domain::account_deletion::AccountDeletion;
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO account_deletions (user_id, asked_at, due_at) VALUES ($1, $2, $3)
        ON CONFLICT (user_id) DO UPDATE
            SET asked_at = excluded.asked_at, due_at = excluded.due_at, barred_at = NULL";
const FIND: &str = "SELECT user_id, asked_at, due_at, barred_at FROM account_deletions WHERE user_id = $1";
const AMONG: &str = "
    SELECT user_id, asked_at, due_at, barred_at
      FROM account_deletions WHERE user_id >= $1 AND user_id <= $2 ORDER BY user_id LIMIT $3";
const DUE: &str = "
    SELECT user_id FROM account_deletions WHERE due_at <= $1 ORDER BY due_at, user_id LIMIT $2";
const BAR: &str = "UPDATE account_deletions SET barred_at = $2 WHERE user_id = $1 AND barred_at IS NULL";
const REMOVE: &str = "DELETE FROM account_deletions WHERE user_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, AMONG, DUE, BAR, REMOVE];

/// Notes that somebody wants their account deleted. What was noted before, and left behind, counts no more.
pub async fn insert(
    tx: &mut Tx,
    user: &UserId,
    asked_at: Timestamp,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(INSERT, &[user.into(), asked_at.into(), due_at.into()]).await?;
    Ok(())
}

/// Whether, and when, the account of this user is deleted.
pub async fn find(tx: &mut Tx, user: &UserId) -> Result<Option<AccountDeletion>, StoreError> {
    tx.fetch_optional(FIND, &[user.into()]).await?.as_ref().map(read).transpose()
}

/// Those of the users from `first` to `last`, in the order of their identifiers.
pub async fn among(
    tx: &mut Tx,
    (first, last): (&UserId, &UserId),
    limit: u32,
) -> Result<Vec<AccountDeletion>, StoreError> {
    let rows = tx.fetch_all(AMONG, &[first.into(), last.into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Whose accounts are due at `now`, those that have been for longest first.
pub async fn due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<UserId>, StoreError> {
    let rows = tx.fetch_all(DUE, &[now.into(), limit.into()]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Has the owner not take it back; gives whether that is news.
pub async fn bar(tx: &mut Tx, user: &UserId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(BAR, &[user.into(), now.into()]).await? > 0)
}

/// Forgets that somebody wanted it; gives whether they did.
pub async fn remove(tx: &mut Tx, user: &UserId) -> Result<bool, StoreError> {
    Ok(tx.execute(REMOVE, &[user.into()]).await? > 0)
}

fn read(row: &Row) -> Result<AccountDeletion, StoreError> {
    Ok(AccountDeletion {
        user: row.get(0)?,
        asked_at: row.get(1)?,
        due_at: row.get(2)?,
        barred_at: row.get(3)?,
    })
}
