//! Taking the second step off an account whose owner lost everything that passes it.

use crate::domain::audit::AuditAction;
use crate::domain::ids::UserId;
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::rbac::AssignmentSubject;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::users::{UserService, find};
use crate::storage::{Turn, second_steps, users};

impl UserService {
    /// Removes the second step of an account, with its recovery codes. Whoever was signed in is no longer: nobody knows who has the device
    /// now. Gives whether there was one.
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
                    if !second_steps::remove(tx, &user.id).await? {
                        return Ok(None);
                    }
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    tx.audit(caller.event(AuditAction::SecondStepRemoved).on(&user.id));
                    let letter = Letter::SecondStepRemoved { by: ChangedBy::Administrator, at: caller.now };
                    mail.post(tx, letter, &user).await?;
                    Ok::<_, AdminError>(Some(departures))
                })
            })
            .await?;
        let was_there = departures.is_some();
        self.notices.send(departures.unwrap_or_default());
        Ok(was_there)
    }
}
