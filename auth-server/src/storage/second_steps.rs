//! The second step of a sign-in: what makes its codes, and the recovery codes beside it.

use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::secret::Digest32;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO second_steps (user_id, sealed, created_at, tries, next_try_at) VALUES ($1, $2, $3, 0, $3)
        ON CONFLICT (user_id) DO NOTHING";
const FIND: &str = "SELECT sealed, created_at, tries, next_try_at FROM second_steps WHERE user_id = $1";
// Whoever tries names the tries before: of any number at once, one tries.
const TRY: &str = "
    UPDATE second_steps SET tries = tries + 1, next_try_at = $3
     WHERE user_id = $1 AND tries = $2 AND next_try_at <= $4";
const FORGET_TRIES: &str = "UPDATE second_steps SET tries = 0, next_try_at = $2 WHERE user_id = $1";
const DELETE: &str = "DELETE FROM second_steps WHERE user_id = $1";
const DELETE_SINCE: &str = "DELETE FROM second_steps WHERE user_id = $1 AND created_at > $2";
const INSERT_CODE: &str = "
    INSERT INTO recovery_codes (user_id, digest, created_at, used_at) VALUES ($1, $2, $3, NULL)";
const SPEND_CODE: &str = "
    UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND digest = $2 AND used_at IS NULL";
const COUNT_CODES: &str = "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";
const DELETE_CODES: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
const DELETE_CODES_SINCE: &str = "DELETE FROM recovery_codes WHERE user_id = $1 AND created_at > $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    FIND,
    TRY,
    FORGET_TRIES,
    DELETE,
    DELETE_SINCE,
    INSERT_CODE,
    SPEND_CODE,
    COUNT_CODES,
    DELETE_CODES,
    DELETE_CODES_SINCE,
];

/// The second step of an account.
#[derive(Clone, Debug)]
pub struct SecondStep {
    /// What makes the codes, for those who have the key.
    pub sealed: Vec<u8>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many codes were tried since the last right one.
    pub tries: u32,
    /// When the next one may be tried.
    pub next_try_at: Timestamp,
}

/// Adds a second step to an account that has none; gives whether that was so.
pub async fn insert(tx: &mut Tx, user: &UserId, sealed: &[u8], now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(INSERT, &[user.into(), Some(sealed).into(), now.into()]).await? > 0)
}

/// The second step of an account, if it has one.
pub async fn find(tx: &mut Tx, user: &UserId) -> Result<Option<SecondStep>, StoreError> {
    let Some(row) = tx.fetch_optional(FIND, &[user.into()]).await? else { return Ok(None) };
    Ok(Some(SecondStep {
        sealed: row.get(0)?,
        created_at: row.get(1)?,
        tries: row.get(2)?,
        next_try_at: row.get(3)?,
    }))
}

/// Counts one more try after so many, and puts the next one off; gives whether this one may be.
pub async fn count_try(
    tx: &mut Tx,
    user: &UserId,
    tries: u32,
    next_try_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(TRY, &[user.into(), tries.into(), next_try_at.into(), now.into()]).await? > 0)
}

/// Begins to count anew.
pub async fn forget_tries(tx: &mut Tx, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(FORGET_TRIES, &[user.into(), now.into()]).await.map(drop)
}

/// Removes the second step with its recovery codes; gives whether there was one.
pub async fn remove(tx: &mut Tx, user: &UserId) -> Result<bool, StoreError> {
    tx.execute(DELETE_CODES, &[user.into()]).await?;
    Ok(tx.execute(DELETE, &[user.into()]).await? > 0)
}

/// What [`remove_since`] removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Removed {
    /// Whether the second step is gone.
    pub step: bool,
    /// Whether recovery codes are.
    pub codes: bool,
}

/// Removes the second step of an account if it was added after that time, and the recovery codes that were made after it; without a step
/// there are no codes either.
pub async fn remove_since(tx: &mut Tx, user: &UserId, since: Timestamp) -> Result<Removed, StoreError> {
    let values = [user.into(), since.into()];
    let step = tx.execute(DELETE_SINCE, &values).await? > 0;
    let gone = if step {
        tx.execute(DELETE_CODES, &[user.into()]).await?
    } else {
        tx.execute(DELETE_CODES_SINCE, &values).await?
    };
    Ok(Removed { step, codes: gone > 0 })
}

/// Puts other recovery codes in the place of all that there are.
pub async fn replace_codes(
    tx: &mut Tx,
    user: &UserId,
    digests: &[Digest32],
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(DELETE_CODES, &[user.into()]).await?;
    for digest in digests {
        tx.execute(INSERT_CODE, &[user.into(), digest.into(), now.into()]).await?;
    }
    Ok(())
}

/// Uses a recovery code up; gives whether it was one that nobody had used.
pub async fn spend_code(
    tx: &mut Tx,
    user: &UserId,
    digest: &Digest32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(SPEND_CODE, &[user.into(), digest.into(), now.into()]).await? > 0)
}

/// How many recovery codes nobody used.
pub async fn count_codes(tx: &mut Tx, user: &UserId) -> Result<u32, StoreError> {
    let row = tx.fetch_optional(COUNT_CODES, &[user.into()]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}
