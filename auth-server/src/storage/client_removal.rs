//! Taking a client away with all that is kept beside it, whoever does so.

use crate::domain::audit::AuditEvent;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::rbac::AssignmentSubject;
use crate::domain::revocation::Revocation;
use crate::storage::{StoreError, Tx, assignments, clients, forgotten, secret_uses};

/// Deletes a client, its roles and the uses of its secrets; what it holds counts nowhere any more.
///
/// One that is gone already, because another replica looked after the same clients, is in the trail once.
pub async fn take_away(
    tx: &mut Tx,
    client: &ClientId,
    event: AuditEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    assignments::delete_of(tx, &AssignmentSubject::Client(client.clone())).await?;
    secret_uses::forget_all(tx, client).await?;
    if !clients::delete(tx, client).await? {
        return Ok(());
    }
    forgotten::insert(tx, client.as_str(), now).await?;
    tx.revoke(Revocation::of_client(client.as_str(), now));
    tx.audit(event.on(client));
    tx.invalidate();
    Ok(())
}
