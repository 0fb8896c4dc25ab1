//! Taking the second step off an account whose owner lost everything that passes it.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::ids::UserId;
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::rbac::AssignmentSubject;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::users::{UserService, find};
use crate::storage::{Turn, passkeys, second_steps, users};

impl UserService {
    /// Removes the second step of an account, with its recovery codes and its passkeys: all that proves more than a password. Whoever was
    /// signed in is no longer: nobody knows who has the device now. Gives whether there was something.
    pub async fn reset_second_step(&self, id: &UserId, caller: &Caller) -> Result<bool, AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let (notices, mail) = (self.notices.clone(), self.mail.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    users::hold(tx, &user.id).await?;
                    let had_step = second_steps::remove(tx, &user.id).await?;
                    let had_keys = passkeys::remove_all(tx, &user.id).await?;
                    if !had_step && had_keys == 0 {
                        return Ok(None);
                    }
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    let (by, at) = (ChangedBy::Administrator, caller.now);
                    if had_step {
                        tx.audit(caller.event(AuditAction::SecondStepRemoved).on(&user.id));
                        mail.post(tx, Letter::SecondStepRemoved { by: by.clone(), at }, &user).await?;
                    }
                    if had_keys > 0 {
                        let event = caller.event(AuditAction::PasskeyRemoved).on(&user.id);
                        tx.audit(event.with(json!({ "passkeys": had_keys })));
                        mail.post(tx, Letter::PasskeyRemoved { by, at }, &user).await?;
                    }
                    Ok::<_, AdminError>(Some(departures))
                })
            })
            .await?;
        let was_there = departures.is_some();
        self.notices.send(departures.unwrap_or_default());
        Ok(was_there)
    }
}
