//! Deleting an account for good, and keeping one that was to be deleted.

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::rbac::AssignmentSubject;
use crate::domain::user::User;
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::storage::{
    Store, StoreError, Turn, Tx, account_deletions, assignments, forgotten, mail_outbox, users,
};

/// Deletes an account with all that belongs to it, as part of something larger: roles, sessions, grants and consents. What it asked of
/// services is hidden at once, and forgotten soon. What it did stays in the audit trail, under its identifier.
pub(crate) async fn erase(
    tx: &mut Tx,
    user: &User,
    notices: &LogoutNotices,
    event: AuditEvent,
    now: Timestamp,
) -> Result<Departures, StoreError> {
    users::hold(tx, &user.id).await?;
    let departures = notices.end_all(tx, &user.id, now).await?;
    assignments::delete_of(tx, &AssignmentSubject::User(user.id.clone())).await?;
    users::delete(tx, &user.id).await?;
    mail_outbox::forget(tx, &user.id, now).await?;
    forgotten::insert(tx, user.sub.as_str(), now).await?;
    tx.audit(event);
    tx.invalidate();
    Ok(departures)
}

/// Lets an account be kept that was to be deleted, as part of something larger; gives it as it is now, or `None` where nobody wanted it
/// deleted. One that an administrator switched off as well stays off.
pub(crate) async fn keep(tx: &mut Tx, user: User, event: AuditEvent) -> Result<Option<User>, StoreError> {
    let Some(asked) = account_deletions::find(tx, &user.id).await? else { return Ok(None) };
    account_deletions::remove(tx, &user.id).await?;
    let user = User { disabled_at: asked.barred_at, ..user };
    users::update(tx, &user).await?;
    tx.audit(event);
    tx.invalidate();
    Ok(Some(user))
}

/// Deletes every account whose time to be kept is over, one in a transaction. Whoever stops in between leaves the rest to the next.
pub(crate) async fn all_due(
    store: &Store,
    notices: &LogoutNotices,
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let notices_of_one = notices.clone();
        let done = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    match account_deletions::next_due(tx, now).await? {
                        Some(id) => Ok(Some(one(tx, &id, &notices_of_one, now).await?)),
                        None => Ok::<_, StoreError>(None),
                    }
                })
            })
            .await?;
        match done {
            Some(departures) => notices.send(departures),
            None => return Ok(()),
        }
    }
}

/// Deletes an account that was due a moment ago, if it still is: its owner may have kept it since, and another replica may have deleted it.
async fn one(
    tx: &mut Tx,
    id: &UserId,
    notices: &LogoutNotices,
    now: Timestamp,
) -> Result<Departures, StoreError> {
    tx.one_at_a_time(Turn::Administration).await?;
    let asked = account_deletions::find(tx, id).await?.filter(|asked| asked.due_at <= now);
    let (Some(asked), Some(user)) = (asked, users::find(tx, id).await?) else {
        return Ok(Departures::default());
    };
    let event = AuditEvent::new(Actor::System, AuditAction::UserDeleted).on(id);
    let event = event.with(json!({ "asked_at": asked.asked_at.rfc3339(), "reason": "own_wish" }));
    erase(tx, &user, notices, event, now).await
}
