//! Accounts whose owners want them deleted.
//!
//! Such an account is switched off at once, so whatever asks whether it may be used refuses it. For a time its owner can keep it, by the
//! proof that a sign-in takes; then it is deleted as by an administrator.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::config::{Accounts, Deletion};
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::letter::Letter;
use crate::domain::user::{User, Username};
use crate::services::account::limits::ChangeLimits;
use crate::services::admin_error::AdminError;
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::deletion::{erase, tell_gone};
use crate::services::mailing::{Addressee, MailService};
use crate::services::owners::Owners;
use crate::services::passkeys::own::is_proven;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Outcome, Store, StoreError, Turn, Tx, account_deletions, sessions, users};

/// Has people's own accounts deleted.
#[derive(Clone)]
pub(crate) struct LeavingService {
    store: Store,
    parts: Arc<LeavingParts>,
}

/// What the service needs besides the database.
pub(crate) struct LeavingParts {
    pub(crate) settings: Accounts,
    pub(crate) owners: Owners,
    pub(crate) notices: LogoutNotices,
    pub(crate) mail: MailService,
    pub(crate) limits: ChangeLimits,
}

/// Why an account is not going to be deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaveError {
    /// Administrators alone delete accounts here.
    #[error("administrators alone delete accounts here")]
    Closed,
    /// Nobody would be left who administrates the server.
    #[error("the last owner has to stay")]
    LastOwner,
    /// What was typed is not the user name.
    #[error("what was typed is not the user name")]
    Mismatch,
    /// The sign-in is too old, or was weaker than the account asks for.
    #[error("the sign-in is too old")]
    NotFresh,
    /// The session ended, or the account was switched off, meanwhile.
    #[error("the session ended meanwhile")]
    Overtaken,
    #[error(transparent)]
    Owners(AdminError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was asked for too often just now.
    #[error("too many wishes")]
    Throttled { retry_after: Duration },
}

impl Outcome for LeaveError {
    fn is_fault(&self) -> bool {
        match self {
            Self::Overtaken | Self::Store(_) => true,
            Self::Owners(error) => error.is_fault(),
            Self::Closed | Self::LastOwner | Self::Mismatch | Self::NotFresh | Self::Throttled { .. } => {
                false
            }
        }
    }
}

/// What became of a wish to have an account deleted.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// Until when the account can be kept; `None`: it is deleted.
    pub(crate) until: Option<Timestamp>,
    /// Whether a letter says so, too.
    pub(crate) is_told: bool,
}

impl LeavingService {
    pub(crate) fn new(store: Store, parts: LeavingParts) -> Self {
        Self { store, parts: Arc::new(parts) }
    }

    /// Whether people have their own accounts deleted here.
    pub(crate) fn is_open(&self) -> bool {
        self.parts.settings.deletion == Deletion::Owner
    }

    /// How long an account can be kept that its owner wants deleted, in days.
    pub(crate) fn grace_days(&self) -> u32 {
        self.parts.settings.deletion_grace_days
    }

    /// Whether whoever is signed in may have the account deleted now.
    pub(crate) async fn may_ask(&self, live: &LiveSession, now: Timestamp) -> Result<(), LeaveError> {
        if !self.is_open() {
            return Err(LeaveError::Closed);
        }
        let mut tx = self.store.read().await?;
        if !is_proven(&mut tx, live, now).await? {
            return Err(LeaveError::NotFresh);
        }
        self.parts.require_other(&mut tx, &live.user).await
    }

    /// Has the account of whoever is signed in deleted, who typed its user name for it. Every session, grant and token ends now.
    pub(crate) async fn ask(
        &self,
        typed: &str,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<Farewell, LeaveError> {
        self.may_ask(live, visit.now).await?;
        if Username::parse(typed.trim()).ok().as_ref() != Some(&live.user.username) {
            return Err(LeaveError::Mismatch);
        }
        let admitted = self.parts.limits.admit(&live.user.id);
        admitted.map_err(|retry_after| LeaveError::Throttled { retry_after })?;
        let (live, visit, parts) = (live.clone(), visit.clone(), Arc::clone(&self.parts));
        let (farewell, departures) =
            self.store.write(move |tx| Box::pin(async move { parts.begin(tx, &live, &visit).await })).await?;
        self.parts.notices.send(departures);
        Ok(farewell)
    }
}

impl LeavingParts {
    async fn require_other(&self, tx: &mut Tx, leaving: &User) -> Result<(), LeaveError> {
        match self.owners.require_other(tx, &leaving.id).await {
            Err(AdminError::LastOwner) => Err(LeaveError::LastOwner),
            checked => checked.map_err(LeaveError::Owners),
        }
    }

    async fn begin(
        &self,
        tx: &mut Tx,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(Farewell, Departures), LeaveError> {
        let now = visit.now;
        // Two owners may want to go at the same moment.
        tx.one_at_a_time(Turn::Administration).await?;
        users::hold(tx, &live.user.id).await?;
        let user = users::find(tx, &live.user.id).await?.filter(User::is_enabled);
        let Some(user) = user else { return Err(LeaveError::Overtaken) };
        if !sessions::is_live(tx, &live.session.id).await? {
            return Err(LeaveError::Overtaken);
        }
        if !is_proven(tx, live, now).await? {
            return Err(LeaveError::NotFresh);
        }
        self.require_other(tx, &user).await?;
        let until = self.until(tx, &user, now).await?;
        let Some(until) = until else {
            let event = event(&user, AuditAction::UserDeleted, visit);
            let departures = erase(tx, &user, &self.notices, event, now).await?;
            let is_told = tell_gone(tx, &self.mail, &user, Some(visit.address)).await?;
            return Ok((Farewell { until: None, is_told }, departures));
        };
        let is_told = match Addressee::of(&user) {
            Some(to) => {
                let letter =
                    Letter::AccountDeletion { address: Some(visit.address), at: now, until: Some(until) };
                self.mail.post_to(tx, letter, Some(to)).await?
            }
            None => false,
        };
        account_deletions::insert(tx, &user.id, now, until).await?;
        let event = event(&user, AuditAction::UserDeletionRequested, visit);
        tx.audit(event.with(json!({ "until": until.rfc3339() })));
        users::update(tx, &User { disabled_at: Some(now), ..user.clone() }).await?;
        let departures = self.notices.end_all(tx, &user.id, now).await?;
        tx.invalidate();
        Ok((Farewell { until: Some(until), is_told }, departures))
    }

    /// Until when the account can be kept; `None`: it is deleted at once. It outlives every letter by which its owner takes an address back:
    /// whoever changed the address knew the password, too.
    async fn until(&self, tx: &mut Tx, user: &User, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let grace = self.settings.deletion_grace();
        let graced = (!grace.is_zero()).then(|| now.plus(grace));
        let back = single_use::latest_of(tx, Purpose::AddressReturn, &user.id).await?;
        Ok(graced.max(back.filter(|until| *until > now)))
    }
}

/// What somebody did to their own account.
fn event(user: &User, action: AuditAction, visit: &Visit) -> AuditEvent {
    AuditEvent::new(Actor::User(user.id.clone()), action).on(&user.id).from(Some(visit.address))
}
