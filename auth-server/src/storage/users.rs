//! Users.

use std::collections::BTreeSet;

use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::user::{Email, User, Username};
use crate::storage::row::Row;
use crate::storage::value::Value;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO users (id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at,
                       profile)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "
    SELECT id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at, profile
      FROM users WHERE id = $1";
const FIND_BY_SUB: &str = "
    SELECT id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at, profile
      FROM users WHERE sub = $1";
const FIND_BY_USERNAME: &str = "
    SELECT id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at, profile
      FROM users WHERE username = $1";
// Whatever became of the account, in the order of its index: of several the oldest.
const FIND_BY_ADDRESS: &str = "
    SELECT id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at, profile
      FROM users WHERE lower(email) = $1 ORDER BY lower(email), id LIMIT 1";
const LIST: &str = "
    SELECT id, sub, organisation_id, username, name, email, email_verified_at, created_at, disabled_at, profile
      FROM users WHERE id > $1 ORDER BY id LIMIT $2";
const UPDATE: &str = "
    UPDATE users
       SET organisation_id = $2, username = $3, name = $4, email = $5, email_verified_at = $6, disabled_at = $7,
           profile = $8
     WHERE id = $1";

const PROVE_ADDRESS: &str = "
    UPDATE users SET email_verified_at = $3 WHERE id = $1 AND email = $2 AND email_verified_at IS NULL";

const DELETE: &str = "DELETE FROM users WHERE id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, FIND_BY_SUB, FIND_BY_USERNAME, FIND_BY_ADDRESS, LIST, UPDATE, PROVE_ADDRESS, DELETE];

/// How many columns [`read_at`] reads.
pub(super) const WIDTH: usize = 10;

/// Adds a user.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    let values = [
        (&user.id).into(),
        user.sub.as_str().into(),
        (&user.organisation).into(),
        user.username.as_str().into(),
        user.name.as_str().into(),
        user.email.as_ref().map(Email::as_str).into(),
        user.email_verified_at.into(),
        user.created_at.into(),
        user.disabled_at.into(),
        profile(user)?,
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// The user with this identifier.
pub async fn find(tx: &mut Tx, id: &UserId) -> Result<Option<User>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// Lets nobody add a session or a grant of this user until the transaction ends. Whoever ends all of them begins with
/// this; whoever adds one looks at the account after adding it, or after holding it less tightly by
/// [`single_use::consume_from_user`], so that one of the two sees the other. SQLite has one writer, so there it is always so.
///
/// [`single_use::consume_from_user`]: crate::storage::single_use::consume_from_user
pub async fn hold(tx: &mut Tx, id: &UserId) -> Result<(), StoreError> {
    match tx.dialect().hold_user() {
        Some(lock) => tx.fetch_all(lock, &[id.into()]).await.map(drop),
        None => Ok(()),
    }
}

/// The same for two, or one: in one order, so that nobody who holds two waits for another who does.
pub async fn hold_both(tx: &mut Tx, one: &UserId, other: &UserId) -> Result<(), StoreError> {
    for id in BTreeSet::from([one, other]) {
        hold(tx, id).await?;
    }
    Ok(())
}

/// Lets nobody [`hold`] this user until the transaction ends.
pub(super) async fn keep(tx: &mut Tx, id: &UserId) -> Result<(), StoreError> {
    match tx.dialect().keep_user() {
        Some(lock) => tx.fetch_all(lock, &[id.into()]).await.map(drop),
        None => Ok(()),
    }
}

/// The user that tokens call `sub`; the text may be anything.
pub async fn find_by_sub(tx: &mut Tx, sub: &str) -> Result<Option<User>, StoreError> {
    tx.fetch_optional(FIND_BY_SUB, &[sub.into()]).await?.as_ref().map(read).transpose()
}

/// The user with this name.
pub async fn find_by_username(tx: &mut Tx, name: &Username) -> Result<Option<User>, StoreError> {
    tx.fetch_optional(FIND_BY_USERNAME, &[name.as_str().into()]).await?.as_ref().map(read).transpose()
}

/// The oldest user with this address, in whatever case, confirmed or not, switched off or not.
pub async fn find_by_address(tx: &mut Tx, address: &Email) -> Result<Option<User>, StoreError> {
    tx.fetch_optional(FIND_BY_ADDRESS, &[address.compared().as_str().into()])
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// The users behind the identifier `after`, oldest first.
pub async fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
    let rows = tx.fetch_all(LIST, &[after.unwrap_or_default().into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// Changes everything but identifier, subject and time of creation; gives whether there is such a user.
pub async fn update(tx: &mut Tx, user: &User) -> Result<bool, StoreError> {
    let values = [
        (&user.id).into(),
        (&user.organisation).into(),
        user.username.as_str().into(),
        user.name.as_str().into(),
        user.email.as_ref().map(Email::as_str).into(),
        user.email_verified_at.into(),
        user.disabled_at.into(),
        profile(user)?,
    ];
    Ok(tx.execute(UPDATE, &values).await? > 0)
}

/// Notes that somebody reads what goes to the address of a user, if it is still that one; gives whether that is news.
pub async fn prove_address(
    tx: &mut Tx,
    id: &UserId,
    address: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(tx.execute(PROVE_ADDRESS, &[id.into(), address.as_str().into(), now.into()]).await? > 0)
}

/// Removes a user with credentials, sessions, grants and consents; gives whether there was one.
pub async fn delete(tx: &mut Tx, id: &UserId) -> Result<bool, StoreError> {
    Ok(tx.execute(DELETE, &[id.into()]).await? > 0)
}

fn profile(user: &User) -> Result<Value<'_>, StoreError> {
    let text = serde_json::to_string(&user.profile);
    text.map(Value::from).map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

fn read(row: &Row) -> Result<User, StoreError> {
    read_at(row, 0)
}

/// Reads the columns of a user that begin at `first`, in the order of the statements above.
pub(super) fn read_at(row: &Row, first: usize) -> Result<User, StoreError> {
    Ok(User {
        id: row.get(first)?,
        sub: row.get(first + 1)?,
        organisation: row.get(first + 2)?,
        username: row.get(first + 3)?,
        name: row.get(first + 4)?,
        email: row.get(first + 5)?,
        email_verified_at: row.get(first + 6)?,
        created_at: row.get(first + 7)?,
        disabled_at: row.get(first + 8)?,
        profile: row.json(first + 9)?,
    })
}
