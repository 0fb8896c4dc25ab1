//! From what a person allowed to a grant, and to the first of its refresh tokens.

use crate::domain::audit::AuditEvent;
use crate::domain::clock::Timestamp;
use crate::domain::grant::Grant;
use crate::services::token::TokenError;
use crate::services::token::access::{session_is_live, standing_holds};
use crate::services::token::refresh_token::Family;
use crate::storage::grants::Standing;
use crate::storage::{Tx, grants, refresh_tokens};

/// Makes a grant, in the transaction in which its code is spent, and begins the family of its refresh tokens.
///
/// Between the person's decision and now the user may have been disabled, or the session ended by a new password.
pub(super) async fn begin(
    tx: &mut Tx,
    grant: &Grant,
    family: Option<Family>,
    event: AuditEvent,
    now: Timestamp,
) -> Result<Standing, TokenError> {
    grants::insert(tx, grant).await?;
    let standing = grants::standing(tx, &grant.id).await?.ok_or(TokenError::GrantOver)?;
    if !(standing_holds(&standing, now) && session_is_live(&standing, now)) {
        grants::revoke(tx, &grant.id, now).await?;
        tx.audit(event.refused());
        return Err(TokenError::GrantOver);
    }
    if let Some(family) = family {
        refresh_tokens::insert(tx, &family.first(grant, now)).await?;
    }
    tx.audit(event);
    Ok(standing)
}
