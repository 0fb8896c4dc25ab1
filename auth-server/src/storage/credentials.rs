//! What people prove themselves with: so far their passwords, as Argon2id hashes.

use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::secret::Digest32;
use crate::domain::user::{Email, PasswordHash, User, Username};
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, users};

const FOR_SIGN_IN: &str = "
    SELECT u.id, u.sub, u.organisation_id, u.username, u.name, u.email, u.email_verified_at, u.created_at,
           u.disabled_at, u.profile, c.secret, s.sealed, d.due_at
      FROM users u
      LEFT JOIN credentials c ON c.user_id = u.id AND c.kind = 'password'
      LEFT JOIN second_steps s ON s.user_id = u.id
      LEFT JOIN account_deletions d ON d.user_id = u.id AND d.barred_at IS NULL AND u.disabled_at IS NOT NULL
     WHERE u.username = $1";
// By its index: of several accounts one whose owner confirmed the address, of these one that is not on its way out, and of these the oldest.
// What is stored is lowered as ASCII by SQLite, and by PostgreSQL for the collation of the column; what is looked for comes as it is compared.
const BY_ADDRESS: &str = "
    SELECT u.id, u.sub, u.organisation_id, u.username, u.name, u.email, u.email_verified_at, u.created_at,
           u.disabled_at, u.profile, c.secret, s.sealed, d.due_at
      FROM users u
      LEFT JOIN credentials c ON c.user_id = u.id AND c.kind = 'password'
      LEFT JOIN second_steps s ON s.user_id = u.id
      LEFT JOIN account_deletions d ON d.user_id = u.id AND d.barred_at IS NULL AND u.disabled_at IS NOT NULL
     WHERE lower(u.email) = $1 AND (u.disabled_at IS NULL OR d.due_at IS NOT NULL)
     ORDER BY (u.email_verified_at IS NULL), (u.disabled_at IS NOT NULL), u.id LIMIT 1";
const SET: &str = "
    INSERT INTO credentials (user_id, kind, secret, created_at, updated_at) VALUES ($1, 'password', $2, $3, $3)
        ON CONFLICT (user_id, kind) DO UPDATE SET secret = excluded.secret, updated_at = excluded.updated_at";
const REPLACE: &str = "
    UPDATE credentials SET secret = $3, updated_at = $4
     WHERE user_id = $1 AND kind = 'password' AND secret = $2";
const FORGET: &str = "DELETE FROM credentials WHERE user_id = $1 AND kind = 'password'";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FOR_SIGN_IN, BY_ADDRESS, SET, REPLACE, FORGET];

/// What checking a password needs.
#[derive(Clone, Debug)]
pub struct SignInRow {
    /// Whose it is.
    pub user: User,
    /// What it is compared with; `None` for somebody without a password.
    pub password: Option<PasswordHash>,
    /// What makes the codes of its second step, for those who have the key; `None` for somebody without one.
    pub second_step: Option<Vec<u8>>,
    /// When the account is deleted, for one whose owner wants that, and can still keep it.
    pub leaving: Option<Timestamp>,
}

impl SignInRow {
    /// Whether its owner gets in, or to where the account can be kept. Whoever is to be let in asks the account itself.
    pub const fn is_open(&self) -> bool {
        self.user.is_enabled() || self.leaving.is_some()
    }
}

impl SignInRow {
    /// Stands for the address and the password: whatever changes them makes it another. No address has such a byte in it, so the two
    /// cannot run into each other.
    pub fn state(&self) -> Digest32 {
        let email = self.user.email.as_ref().map_or("", Email::as_str);
        let password = self.password.as_ref().map_or("", PasswordHash::as_text);
        Digest32::of_parts(&[email.as_bytes(), b"\0", password.as_bytes()])
    }
}

/// The account with this name and its password.
pub async fn for_sign_in(tx: &mut Tx, name: &Username) -> Result<Option<SignInRow>, StoreError> {
    let row = tx.fetch_optional(FOR_SIGN_IN, &[name.as_str().into()]).await?;
    row.as_ref().map(read).transpose()
}

/// The account with this address, however it is [compared](Email::compared), that is [open](SignInRow::is_open), and its password: of
/// several, one whose owner confirmed the address comes before one that only says so, and the oldest of these first.
pub async fn by_address(tx: &mut Tx, address: &Email) -> Result<Option<SignInRow>, StoreError> {
    let row = tx.fetch_optional(BY_ADDRESS, &[address.compared().into()]).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<SignInRow, StoreError> {
    Ok(SignInRow {
        user: users::read_at(row, 0)?,
        password: row.get(users::WIDTH)?,
        second_step: row.get(users::WIDTH + 1)?,
        leaving: row.get(users::WIDTH + 2)?,
    })
}

/// Sets the password, whatever it was.
pub async fn set_password(
    tx: &mut Tx,
    user: &UserId,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(SET, &[user.into(), hash.as_text().into(), now.into()]).await.map(drop)
}

/// Sets the password while the old one is still stored: of two changes at once one wins, and is told so.
pub async fn replace_password(
    tx: &mut Tx,
    user: &UserId,
    old: &PasswordHash,
    new: &PasswordHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = [user.into(), old.as_text().into(), new.as_text().into(), now.into()];
    Ok(tx.execute(REPLACE, &values).await? > 0)
}

/// Takes the password away: nobody signs in by one before another is set.
pub async fn forget_password(tx: &mut Tx, user: &UserId) -> Result<(), StoreError> {
    tx.execute(FORGET, &[user.into()]).await.map(drop)
}
