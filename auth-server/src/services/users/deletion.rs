//! Deleting accounts, and keeping those whose owners wanted them deleted.

use std::collections::BTreeMap;

use crate::domain::account_deletion::AccountDeletion;
use crate::domain::audit::AuditAction;
use crate::domain::ids::UserId;
use crate::domain::letter::ChangedBy;
use crate::domain::rbac::AssignmentSubject;
use crate::domain::user::User;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::deletion::{erase, keep, tell_kept};
use crate::services::mailing::MailService;
use crate::services::owners::Owners;
use crate::services::users::{UserService, find, versioned};
use crate::services::version::Versioned;
use crate::storage::{Turn, Tx, account_deletions, users};

impl UserService {
    /// Deletes an account with all that belongs to it: roles, sessions, grants and consents. What it asked of services is hidden at
    /// once, and forgotten soon. What it did stays in the audit trail, under its identifier. The last owner stays.
    pub async fn delete(&self, id: &UserId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let notices = self.notices.clone();
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id.clone()), &caller).await?;
                    owners.require_other(tx, &id).await?;
                    let event = caller.event(AuditAction::UserDeleted).on(&id);
                    Ok::<_, AdminError>(erase(tx, &user, &notices, event, caller.now).await?)
                })
            })
            .await?;
        self.notices.send(departures);
        Ok(())
    }

    /// Which of these accounts their owners want deleted, and when that is done. They are in the order of their identifiers.
    pub async fn deletions(&self, among: &[User]) -> Result<BTreeMap<UserId, AccountDeletion>, AdminError> {
        // Whoever wants it is switched off.
        let mut off = among.iter().filter(|user| !user.is_enabled());
        let Some(first) = off.next() else { return Ok(BTreeMap::new()) };
        let last = off.next_back().unwrap_or(first);
        let limit = u32::try_from(among.len()).unwrap_or(u32::MAX);
        let mut tx = self.store.read().await?;
        let found = account_deletions::among(&mut tx, (&first.id, &last.id), limit).await?;
        Ok(found.into_iter().map(|asked| (asked.user.clone(), asked)).collect())
    }

    /// Keeps an account that its owner wanted deleted. What ended when that was asked for stays ended.
    pub async fn withdraw_deletion(
        &self,
        id: &UserId,
        caller: &Caller,
    ) -> Result<Versioned<User>, AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let mail = self.mail.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    users::hold(tx, &id).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    let event = caller.event(AuditAction::UserDeletionWithdrawn).on(&user.id);
                    let kept = keep(tx, user, event).await?;
                    let kept = kept.ok_or(AdminError::NotFound(Thing::Deletion))?;
                    tell_kept(tx, &mail, ChangedBy::Administrator, &kept).await?;
                    Ok(versioned(kept))
                })
            })
            .await
    }
}

/// Has an account that is to be deleted not be kept by its owner.
pub(super) async fn bar(
    tx: &mut Tx,
    user: &User,
    owners: &Owners,
    caller: &Caller,
) -> Result<(), AdminError> {
    let asked = account_deletions::find(tx, &user.id).await?;
    if asked.is_some_and(|asked| asked.barred_at.is_none()) {
        owners.require_rank(tx, &AssignmentSubject::User(user.id.clone()), caller).await?;
        account_deletions::bar(tx, &user.id, caller.now).await?;
        tx.audit(caller.event(AuditAction::UserDisabled).on(&user.id));
    }
    Ok(())
}

/// Forgets what a replica of before left behind that switched an account on which was to be deleted.
pub(super) async fn forget(tx: &mut Tx, id: &UserId) -> Result<(), AdminError> {
    Ok(account_deletions::remove(tx, id).await.map(drop)?)
}

/// Forgets that its owner wanted an account deleted.
pub(super) async fn stop(
    tx: &mut Tx,
    user: &User,
    mail: &MailService,
    caller: &Caller,
) -> Result<(), AdminError> {
    if account_deletions::remove(tx, &user.id).await? {
        tx.audit(caller.event(AuditAction::UserDeletionWithdrawn).on(&user.id));
        tell_kept(tx, mail, ChangedBy::Administrator, user).await?;
    }
    Ok(())
}
