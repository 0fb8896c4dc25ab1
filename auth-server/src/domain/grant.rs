//! Grants: one authorization each, and the parent of what it buys.

use crate::domain::claim::SingleClaims;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::Confirmation;
use crate::domain::ids::{ClientId, GrantId, SessionId, UserId};
use crate::domain::reach::Reach;
use crate::domain::scope::ScopeSet;

/// One authorization: the parent of one code and of one family of refresh tokens.
///
/// Revoking it ends everything that it bought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Names the grant: the `gid` of tokens.
    pub id: GrantId,
    /// Who may use it.
    pub client: ClientId,
    /// Who gave it.
    pub user: UserId,
    /// The session in which it was given; the session may be gone.
    pub session: SessionId,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// Where, and what there in detail.
    pub reach: Reach,
    /// What its refresh tokens are bound to.
    pub binding: Confirmation,
    /// What ID tokens and userinfo need to know.
    pub identity: GrantIdentity,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// What a grant keeps for ID tokens and userinfo.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrantIdentity {
    /// When the person proved who they are.
    pub auth_time: Timestamp,
    /// The claims that were asked for one by one.
    pub claims: SingleClaims,
}
