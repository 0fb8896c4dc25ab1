//! Sign-ins that wait for the code of a letter.

use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx};

const INSERT: &str = "
    INSERT INTO letter_sign_ins (digest, browser, user_id, code, state, errand, tries, created_at, expires_at, used_at)
    VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, NULL)";
const FIND: &str = "
    SELECT browser, errand, tries, expires_at, used_at FROM letter_sign_ins WHERE digest = $1";
// Counting and reading are one statement: of any number of tries at once, no more are looked at than there may be.
const TRY: &str = "
    UPDATE letter_sign_ins SET tries = tries + 1
     WHERE digest = $1 AND browser = $2 AND tries < $3 AND used_at IS NULL AND expires_at > $4
 RETURNING user_id, code, state, errand";
const USE_UP: &str = "
    UPDATE letter_sign_ins SET used_at = $2 WHERE digest = $1 AND used_at IS NULL AND expires_at > $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, TRY, USE_UP];

/// A sign-in that is to wait.
#[derive(Clone, Debug)]
pub struct NewLetterSignIn {
    /// Stands for its identifier.
    pub digest: Digest32,
    /// Stands for the browser that asked.
    pub browser: Digest32,
    /// Whose it is; `None` where there is nobody.
    pub user: Option<UserId>,
    /// What the code is compared with.
    pub code: Digest32,
    /// Stands for the account as it was.
    pub state: Digest32,
    /// Where it leads, for whoever wrote it.
    pub errand: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when it waits.
    pub expires_at: Timestamp,
}

/// How a sign-in stands.
#[derive(Clone, Debug)]
pub struct LetterSignIn {
    /// Stands for the browser that asked.
    pub browser: Digest32,
    /// Where it leads, for whoever wrote it.
    pub errand: String,
    /// How many codes were tried.
    pub tries: u32,
    /// Until when it waits.
    pub expires_at: Timestamp,
    /// When it was used up.
    pub used_at: Option<Timestamp>,
}

/// What a try is compared with.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Whose sign-in it is; `None` where there is nobody.
    pub user: Option<UserId>,
    /// What the code is compared with.
    pub code: Digest32,
    /// Stands for the account as it was.
    pub state: Digest32,
    /// Where it leads, for whoever wrote it.
    pub errand: String,
}

/// Has a sign-in wait.
pub async fn insert(tx: &mut Tx, sign_in: &NewLetterSignIn) -> Result<(), StoreError> {
    let values = [
        (&sign_in.digest).into(),
        (&sign_in.browser).into(),
        sign_in.user.as_ref().into(),
        (&sign_in.code).into(),
        (&sign_in.state).into(),
        sign_in.errand.as_str().into(),
        sign_in.created_at.into(),
        sign_in.expires_at.into(),
    ];
    tx.execute(INSERT, &values).await.map(drop)
}

/// How it stands, in whatever state.
pub async fn find(tx: &mut Tx, digest: &Digest32) -> Result<Option<LetterSignIn>, StoreError> {
    tx.fetch_optional(FIND, &[digest.into()]).await?.as_ref().map(read).transpose()
}

/// Counts a try of the browser that asked; `None` when none counts any more, or not there.
pub async fn count_try(
    tx: &mut Tx,
    (digest, browser): (&Digest32, &Digest32),
    most: u32,
    now: Timestamp,
) -> Result<Option<Tried>, StoreError> {
    let values = [digest.into(), browser.into(), most.into(), now.into()];
    let Some(row) = tx.fetch_optional(TRY, &values).await? else { return Ok(None) };
    Ok(Some(Tried { user: row.get(0)?, code: row.get(1)?, state: row.get(2)?, errand: row.get(3)? }))
}

/// Uses it up; gives whether nobody had before.
pub async fn use_up(tx: &mut Tx, digest: &Digest32, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.execute(USE_UP, &[digest.into(), now.into()]).await? > 0)
}

fn read(row: &Row) -> Result<LetterSignIn, StoreError> {
    Ok(LetterSignIn {
        browser: row.get(0)?,
        errand: row.get(1)?,
        tries: row.get(2)?,
        expires_at: row.get(3)?,
        used_at: row.get(4)?,
    })
}
