//! Deleting an account for good, and keeping one that was to be deleted.

use std::net::IpAddr;

use serde_json::json;
use tracing::warn;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::rbac::AssignmentSubject;
use crate::domain::user::User;
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::mailing::{Addressee, MailService};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{
    Store, StoreError, Turn, Tx, account_deletions, assignments, forgotten, mail_outbox, users,
};

/// How many accounts are deleted before it is looked again which are due.
const AT_ONCE: u32 = 100;

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
    // They have addresses in them.
    single_use::forget_of(tx, Purpose::AddressProof, &user.id).await?;
    single_use::forget_of(tx, Purpose::AddressReturn, &user.id).await?;
    mail_outbox::forget(tx, &user.id, now).await?;
    forgotten::insert(tx, user.sub.as_str(), now).await?;
    tx.audit(event);
    tx.invalidate();
    Ok(departures)
}

/// Lets an account be kept that was to be deleted, as part of something larger; gives it as it is now, or `None` where nobody wanted it
/// deleted. One that an administrator switched off as well stays off.
pub(crate) async fn keep(tx: &mut Tx, user: User, event: AuditEvent) -> Result<Option<User>, StoreError> {
    let asked = account_deletions::find(tx, &user.id).await?.filter(|_| !user.is_enabled());
    let Some(asked) = asked else { return Ok(None) };
    account_deletions::remove(tx, &user.id).await?;
    let user = User { disabled_at: asked.barred_at, ..user };
    users::update(tx, &user).await?;
    tx.audit(event);
    tx.invalidate();
    Ok(Some(user))
}

/// Tells the owner of an account that it is kept: somebody else may have seen to that.
pub(crate) async fn tell_kept(
    tx: &mut Tx,
    mail: &MailService,
    by: ChangedBy,
    user: &User,
) -> Result<(), StoreError> {
    let at = tx.now();
    mail.post(tx, Letter::AccountKept { by, at }, user).await
}

/// Tells whoever had an account that it is gone; gives whether a letter says so. It is about nobody any more.
pub(crate) async fn tell_gone(
    tx: &mut Tx,
    mail: &MailService,
    user: &User,
    address: Option<IpAddr>,
) -> Result<bool, StoreError> {
    let Some(to) = Addressee::of(user) else { return Ok(false) };
    let letter = Letter::AccountDeletion { address, at: tx.now(), until: None };
    mail.post_to(tx, letter, Some(Addressee { user: None, ..to })).await
}

/// Deletes every account whose time to be kept is over, one in a transaction. Whoever stops in between leaves the rest to the next. One
/// that cannot be deleted keeps no other from it; the first such error is given.
pub(crate) async fn all_due(
    store: &Store,
    (notices, mail): (&LogoutNotices, &MailService),
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let due = account_deletions::due(&mut store.read().await?.uncounted(), now, AT_ONCE).await?;
        let is_last = u32::try_from(due.len()).is_ok_and(|found| found < AT_ONCE);
        let mut failed = Ok(());
        for id in due {
            let (user, notices_of_one, mail) = (id.clone(), notices.clone(), mail.clone());
            let done = store.write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    one(tx, &user, (&notices_of_one, &mail), now).await
                })
            });
            match done.await {
                Ok(departures) => notices.send(departures),
                Err(error) => {
                    warn!(user.id = id.as_str(), cause = %error, "an account that is due cannot be deleted at present");
                    failed = failed.and(Err(error));
                }
            }
        }
        if is_last || failed.is_err() {
            return failed;
        }
    }
}

/// Deletes an account that was due a moment ago, if it still is: its owner may have kept it since, and another replica may have deleted it.
async fn one(
    tx: &mut Tx,
    id: &UserId,
    (notices, mail): (&LogoutNotices, &MailService),
    now: Timestamp,
) -> Result<Departures, StoreError> {
    tx.one_at_a_time(Turn::Administration).await?;
    let asked = account_deletions::find(tx, id).await?.filter(|asked| asked.due_at <= now);
    let (Some(asked), Some(user)) = (asked, users::find(tx, id).await?) else {
        return Ok(Departures::default());
    };
    // A replica of before switches accounts on and knows nothing of what was asked for.
    if user.is_enabled() {
        account_deletions::remove(tx, id).await?;
        return Ok(Departures::default());
    }
    let event = AuditEvent::new(Actor::System, AuditAction::UserDeleted).on(id);
    let event = event.with(json!({ "asked_at": asked.asked_at.rfc3339(), "reason": "own_wish" }));
    let departures = erase(tx, &user, notices, event, now).await?;
    tell_gone(tx, mail, &user, None).await?;
    Ok(departures)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::storage::audit;
    use crate::storage::tests::support::{Backend, Fixture};

    const DAY: Duration = Duration::from_hours(24);

    /// One that cannot be read is named in the log and tried again; one that is switched on is not wanted away.
    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn an_account_that_cannot_be_deleted_keeps_no_other_from_it(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let now = fixture.now();
        let [ada, bob, cleo] =
            [fixture.user("ada").await, fixture.user("bob").await, fixture.user("cleo").await];
        let ids = [ada.id.clone(), bob.id.clone(), cleo.id.clone()];
        let notices = LogoutNotices::new(fixture.entropy.clone());
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    for (days, user) in [(3, ada), (2, bob), (1, cleo)] {
                        account_deletions::insert(tx, &user.id, now, now.minus(DAY * days)).await?;
                        let disabled_at = (user.username.as_str() != "cleo").then_some(now);
                        users::update(tx, &User { disabled_at, ..user }).await?;
                    }
                    tx.meddle("UPDATE users SET profile = '[' WHERE username = 'ada'").await.map(drop)
                })
            })
            .await;
        let outcome = all_due(&fixture.store, (&notices, &MailService::off()), now).await;
        assert!(outcome.is_err(), "whoever runs it hears of the one that stays");
        let mut tx = fixture.read().await;
        let [ada, bob, cleo] = &ids;
        assert!(users::find(&mut tx, bob).await.unwrap().is_none());
        assert!(users::find(&mut tx, cleo).await.unwrap().is_some());
        assert_eq!(account_deletions::due(&mut tx, now, 9).await.unwrap(), std::slice::from_ref(ada));
        let deleted = audit::list(&mut tx, None, 50).await.unwrap();
        let deleted: Vec<_> =
            deleted.iter().filter(|record| record.event.action == AuditAction::UserDeleted).collect();
        assert_eq!(deleted.len(), 1);
        drop(tx);
        fixture
            .write(|tx| {
                Box::pin(async move {
                    tx.meddle("UPDATE users SET profile = '{}' WHERE username = 'ada'").await.map(drop)
                })
            })
            .await;
        all_due(&fixture.store, (&notices, &MailService::off()), now).await.unwrap();
        assert_eq!(account_deletions::due(&mut fixture.read().await, now, 9).await.unwrap(), []);
    }
}
