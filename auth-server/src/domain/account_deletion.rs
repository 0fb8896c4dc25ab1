//! That somebody wants their account deleted.

use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;

/// That somebody wants their account deleted. The account is switched off meanwhile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountDeletion {
    /// Whose account it is.
    pub user: UserId,
    /// When they asked for it.
    pub asked_at: Timestamp,
    /// From when on it is done.
    pub due_at: Timestamp,
    /// When an administrator switched the account off as well: then its owner does not take it back.
    pub barred_at: Option<Timestamp>,
}
