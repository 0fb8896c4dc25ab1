//! The passkeys of accounts: public keys, each known by the digest of the name that its authenticator gave it.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{PasskeyId, UserId};
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO passkeys (id, user_id, digest, credential, name, signatures, created_at, last_used_at, backed_up_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)
        ON CONFLICT (digest) DO NOTHING";
const FIND_BY_DIGEST: &str = "
    SELECT id, user_id, credential, name, signatures, created_at, last_used_at, backed_up_at
      FROM passkeys WHERE digest = $1";
const LIST: &str = "
    SELECT id, user_id, credential, name, signatures, created_at, last_used_at, backed_up_at
      FROM passkeys WHERE user_id = $1 ORDER BY user_id, id LIMIT $2";
const COUNT: &str = "SELECT COUNT(*) FROM passkeys WHERE user_id = $1";
// Whoever used it names how many signatures there were before: of two who know the same number one is let in.
const USE: &str = "
    UPDATE passkeys SET credential = $3, signatures = $4, last_used_at = $5, backed_up_at = $6
     WHERE id = $1 AND signatures = $2";
const RENAME: &str = "UPDATE passkeys SET name = $3 WHERE id = $2 AND user_id = $1";
const DELETE: &str = "DELETE FROM passkeys WHERE id = $2 AND user_id = $1";
const DELETE_ALL: &str = "DELETE FROM passkeys WHERE user_id = $1";
const DELETE_SINCE: &str = "DELETE FROM passkeys WHERE user_id = $1 AND created_at > $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND_BY_DIGEST, LIST, COUNT, USE, RENAME, DELETE, DELETE_ALL, DELETE_SINCE];

/// How many an account has at most.
pub const MOST: u32 = 20;

/// A passkey.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// Names it among those of an account.
    pub id: PasskeyId,
    /// Whose it is.
    pub user: UserId,
    /// The public key, and what else an answer is checked with, as the library that checks it writes it.
    pub credential: String,
    /// What its owner calls it.
    pub name: String,
    /// How many signatures its authenticator says that it made; 0 from one that does not count.
    pub signatures: u32,
    /// When it was added.
    pub created_at: Timestamp,
    /// When somebody signed in with it last.
    pub last_used_at: Option<Timestamp>,
    /// When its authenticator said last that there are copies of it, as those have that lie in an account elsewhere.
    pub backed_up_at: Option<Timestamp>,
}

/// Adds a passkey; gives whether nobody had it before.
pub async fn insert(tx: &mut Tx, passkey: &Passkey, digest: &Digest32) -> Result<bool, StoreError> {
    let values = [
        (&passkey.id).into(),
        (&passkey.user).into(),
        digest.into(),
        passkey.credential.as_str().into(),
        passkey.name.as_str().into(),
        passkey.signatures.into(),
        passkey.created_at.into(),
        passkey.backed_up_at.into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// The passkey that an authenticator calls so, whoever has it.
pub async fn find_by_digest(tx: &mut Tx, digest: &Digest32) -> Result<Option<Passkey>, StoreError> {
    tx.fetch_optional(FIND_BY_DIGEST, &[digest.into()]).await?.as_ref().map(read).transpose()
}

/// Those of an account, the oldest first.
pub async fn list(tx: &mut Tx, user: &UserId) -> Result<Vec<Passkey>, StoreError> {
    tx.fetch_all(LIST, &[user.into(), MOST.into()]).await?.iter().map(read).collect()
}

/// How many an account has.
pub async fn count(tx: &mut Tx, user: &UserId) -> Result<u32, StoreError> {
    let row = tx.fetch_optional(COUNT, &[user.into()]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

/// Writes down that a passkey was used, which had made `before` signatures; gives whether it is still there, and had.
pub async fn note_use(tx: &mut Tx, used: &Passkey, before: u32) -> Result<bool, StoreError> {
    let values = [
        (&used.id).into(),
        before.into(),
        used.credential.as_str().into(),
        used.signatures.into(),
        used.last_used_at.into(),
        used.backed_up_at.into(),
    ];
    Ok(tx.execute(USE, &values).await? > 0)
}

/// Gives a passkey of an account another name; gives whether there is one.
pub async fn rename(tx: &mut Tx, user: &UserId, id: &PasskeyId, name: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(RENAME, &[user.into(), id.into(), name.into()]).await? > 0)
}

/// Removes a passkey of an account; gives whether there was one.
pub async fn remove(tx: &mut Tx, user: &UserId, id: &PasskeyId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[user.into(), id.into()]).await? > 0)
}

/// Removes every passkey of an account; gives how many there were.
pub async fn remove_all(tx: &mut Tx, user: &UserId) -> Result<u64, StoreError> {
    tx.execute(DELETE_ALL, &[user.into()]).await
}

/// Removes the passkeys of an account that were added after that time; gives how many there were.
pub async fn remove_since(tx: &mut Tx, user: &UserId, since: Timestamp) -> Result<u64, StoreError> {
    tx.execute(DELETE_SINCE, &[user.into(), since.into()]).await
}

fn read(row: &Row) -> Result<Passkey, StoreError> {
    Ok(Passkey {
        id: row.get(0)?,
        user: row.get(1)?,
        credential: row.get(2)?,
        name: row.get(3)?,
        signatures: row.get(4)?,
        created_at: row.get(5)?,
        last_used_at: row.get(6)?,
        backed_up_at: row.get(7)?,
    })
}
