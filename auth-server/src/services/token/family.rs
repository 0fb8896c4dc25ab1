//! From what a person allowed to a grant, and to the first of its refresh tokens.

use crate::domain::audit::AuditEvent;
use crate::domain::clock::Timestamp;
use crate::domain::grant::Grant;
use crate::domain::once::Once;
use crate::services::token::TokenError;
use crate::services::token::access::{session_is_live, standing_holds};
use crate::services::token::refresh_token::Family;
use crate::storage::grants::Standing;
use crate::storage::{Tx, grants};

/// Makes a grant, in the transaction in which its code is spent, begins the family of its refresh tokens, and uses up what came with the
/// request.
///
/// Between the person's decision and now the user may have been disabled, or the session ended by a new password. A grant that does
/// not stand is taken back at once: nothing is bought with the token of one.
pub(super) async fn begin(
    tx: &mut Tx,
    grant: &Grant,
    (family, owed): (Option<Family>, &mut Once),
    event: AuditEvent,
    now: Timestamp,
) -> Result<Standing, TokenError> {
    let first = family.map(|family| family.first(now));
    let standing = grants::begin(tx, grant, first.as_ref(), owed).await?.ok_or(TokenError::GrantOver)?;
    owed.clear();
    if !(standing_holds(&standing, now) && session_is_live(&standing, now)) {
        grants::revoke(tx, &grant.id, now).await?;
        tx.audit(event.refused());
        return Err(TokenError::GrantOver);
    }
    tx.audit(event);
    Ok(standing)
}
