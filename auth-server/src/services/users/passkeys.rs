//! The passkeys of an account, for whoever looks after the server.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::ids::{PasskeyId, UserId};
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::rbac::AssignmentSubject;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::users::{UserService, find};
use crate::storage::passkeys::{self, Passkey};
use crate::storage::{Turn, users};

impl UserService {
    /// The passkeys of an account, the oldest first.
    pub async fn passkeys(&self, id: &UserId) -> Result<Vec<Passkey>, AdminError> {
        let mut tx = self.store.read().await?;
        let user = find(&mut tx, id).await?;
        Ok(passkeys::list(&mut tx, &user.id).await?)
    }

    /// Removes a passkey of an account. Whoever was signed in is no longer: nobody knows who has it now.
    pub async fn remove_passkey(
        &self,
        id: &UserId,
        passkey: &PasskeyId,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let (id, passkey, caller) = (id.clone(), passkey.clone(), caller.clone());
        let (owners, notices, mail) = (self.owners.clone(), self.notices.clone(), self.mail.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    users::hold(tx, &user.id).await?;
                    if !passkeys::remove(tx, &user.id, &passkey).await? {
                        return Err(AdminError::NotFound(Thing::Passkey));
                    }
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    let event = caller.event(AuditAction::PasskeyRemoved).on(&user.id);
                    tx.audit(event.with(json!({ "passkey": passkey.as_str() })));
                    let letter = Letter::PasskeyRemoved { by: ChangedBy::Administrator, at: caller.now };
                    mail.post(tx, letter, &user).await?;
                    Ok::<_, AdminError>(departures)
                })
            })
            .await?;
        self.notices.send(departures);
        Ok(())
    }
}
