//! What a sign-in begins with, before a second step: a password, or a letter.

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest32;
use crate::domain::user::PasswordHash;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::{StoreError, Tx, letter_sign_ins};

/// What a sign-in begins with.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FirstFactor {
    /// The code of a letter.
    Letter,
    /// The password, as in what versions wrote that knew nothing else.
    #[default]
    Password,
}

/// What was right before the second step, until it is used up.
pub(super) enum FirstProof {
    /// The code of the letter with this name.
    Letter(Digest32),
    /// The password; a fresh hash of it, in place of a stale one.
    Password { renewed: Option<PasswordHash> },
}

impl FirstProof {
    pub(super) const fn factor(&self) -> FirstFactor {
        match self {
            Self::Letter(_) => FirstFactor::Letter,
            Self::Password { .. } => FirstFactor::Password,
        }
    }

    /// A fresh hash of the password.
    pub(super) const fn renewed(&self) -> Option<&PasswordHash> {
        match self {
            Self::Letter(_) => None,
            Self::Password { renewed } => renewed.as_ref(),
        }
    }
}

/// Uses up what was right, and gives whether it still was.
pub(super) async fn is_first(
    tx: &mut Tx,
    row: &SignInRow,
    proof: FirstProof,
    now: Timestamp,
) -> Result<bool, StoreError> {
    match (proof, &row.password) {
        (FirstProof::Letter(name), _) => letter_sign_ins::use_up(tx, &name, now).await,
        (FirstProof::Password { renewed: Some(renewed) }, Some(old)) => {
            credentials::replace_password(tx, &row.user.id, old, &renewed, now).await
        }
        (FirstProof::Password { .. }, _) => Ok(true),
    }
}

/// Stands for the account as it is once the first factor is kept, with a fresh hash in place of a stale one.
pub(super) fn state_after(row: &SignInRow, first: FirstFactor, renewed: Option<&PasswordHash>) -> Digest32 {
    match first {
        FirstFactor::Letter => row.state(),
        FirstFactor::Password => PasswordHash::state_of(renewed.or(row.password.as_ref())),
    }
}

/// Stands for the account as it is now, as a sign-in knows it that began so.
pub(super) fn state_of(row: &SignInRow, first: FirstFactor) -> Digest32 {
    state_after(row, first, None)
}
