//! What this server knows a person by, for that person: one document, made when it is asked for.

pub(crate) mod document;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::services::account::AccountService;
use crate::services::account::limits::ChangeLimits;
use crate::services::own_data::document::{Listed, OwnData, SignInPart};
use crate::services::passkeys::own::is_proven;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::{
    Store, StoreError, Tx, assignments, credentials, organisations, passkeys, second_steps, sessions,
};

/// Roles, and sessions, that the document names at most.
const MOST: u32 = 500;

/// Collects what this server knows a person by.
#[derive(Clone)]
pub(crate) struct OwnDataService {
    store: Store,
    parts: Arc<OwnDataParts>,
}

/// What the service needs besides the database.
pub(crate) struct OwnDataParts {
    pub(crate) account: AccountService,
    pub(crate) issuer: Issuer,
    pub(crate) limits: ChangeLimits,
}

/// Why somebody does not get the document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// The sign-in is too old, or was weaker than the account asks for.
    #[error("the sign-in is too old")]
    NotFresh,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was asked for too often just now.
    #[error("too many downloads")]
    Throttled { retry_after: Duration },
}

impl OwnDataService {
    pub(crate) fn new(store: Store, parts: OwnDataParts) -> Self {
        Self { store, parts: Arc::new(parts) }
    }

    /// Collects it for whoever is signed in, and writes down that they have it.
    pub(crate) async fn collect(&self, live: &LiveSession, visit: &Visit) -> Result<OwnData, DataError> {
        if !is_proven(&mut self.store.read().await?, live, visit.now).await? {
            return Err(DataError::NotFresh);
        }
        let admitted = self.parts.limits.admit(&live.user.id);
        admitted.map_err(|retry_after| DataError::Throttled { retry_after })?;
        let event = AuditEvent::new(Actor::User(live.user.id.clone()), AuditAction::UserDataDownloaded);
        let event = event.on(&live.user.id).from(Some(visit.address));
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await?;
        let mut data = self.begun(live, visit.now).await?;
        let apps = self.parts.account.apps(live, visit.now).await?;
        data.applications =
            Listed { complete: !apps.more, items: apps.found.into_iter().map(Into::into).collect() };
        let log = self.parts.account.whole_log(live).await?;
        data.security_log = Listed {
            complete: log.older.is_none(),
            items: log.entries.into_iter().map(Into::into).collect(),
        };
        Ok(data)
    }

    /// All that is found without going through lists of others.
    async fn begun(&self, live: &LiveSession, now: Timestamp) -> Result<OwnData, StoreError> {
        let (user, mut tx) = (&live.user, self.store.read().await?);
        let organisation = organisations::find(&mut tx, &user.organisation).await?;
        let roles = assignments::own(&mut tx, &user.id, MOST).await?;
        // Also those that nobody used for long: they have not ended.
        let ever = Timestamp::from_micros(0);
        let found = sessions::list_newest(&mut tx, &user.id, (now, ever), MOST).await?;
        Ok(OwnData {
            format: document::FORMAT,
            issuer: self.parts.issuer.as_str().to_owned(),
            made_at: now.rfc3339(),
            account: user.into(),
            organisation: organisation.map(Into::into),
            roles: Listed {
                complete: is_all(roles.len()),
                items: roles.into_iter().map(Into::into).collect(),
            },
            sign_in: sign_in(&mut tx, live).await?,
            sessions: Listed {
                complete: is_all(found.len()),
                items: found.iter().map(|session| document::session(session, live)).collect(),
            },
            applications: Listed::default(),
            security_log: Listed::default(),
        })
    }
}

/// What the account is signed in to by. Names and times alone: nothing of it proves anything.
async fn sign_in(tx: &mut Tx, live: &LiveSession) -> Result<SignInPart, StoreError> {
    let user = &live.user;
    let row = credentials::for_sign_in(tx, &user.username).await?;
    let step = second_steps::find(tx, &user.id).await?;
    let left = second_steps::count_codes(tx, &user.id).await?;
    let passkeys = passkeys::list(tx, &user.id).await?;
    Ok(SignInPart {
        password: row.is_some_and(|row| row.password.is_some()),
        second_step: step.map(|step| document::step(&step, left)),
        passkeys: passkeys.into_iter().map(Into::into).collect(),
    })
}

fn is_all(found: usize) -> bool {
    u32::try_from(found).is_ok_and(|found| found < MOST)
}
