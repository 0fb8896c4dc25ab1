//! The sessions of a person: where they are signed in, and an end to it.

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Session;
use crate::services::account::AccountService;
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::visit::{LiveSession, Visit};
use crate::storage::{Store, StoreError, Tx, sessions, users};

/// Sessions that are shown at most: the newest.
const MOST_SHOWN: u32 = 100;
/// Sessions that one transaction ends at most, so that nobody waits long for it.
const AT_ONCE: u32 = 50;
/// Sessions of which applications are told at once. Of the others they are told when that is nobody's any more, after a minute.
const TOLD_AT_ONCE: usize = 16;

/// The sessions of a person beside the one that asks.
pub(crate) struct OtherSessions {
    /// Those that still count, the newest first.
    pub(crate) found: Vec<Session>,
    /// Whether there are older ones.
    pub(crate) more: bool,
}

/// What came of ending a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// It has ended, now or before.
    Ended,
    /// The person has no such session. Whether somebody else has, nobody is told.
    Unknown,
}

/// What ends a session: who asks, and from where.
struct Asker {
    user: UserId,
    visit: Visit,
    notices: LogoutNotices,
}

impl AccountService {
    /// The sessions of whoever is signed in, beside this one.
    pub(crate) async fn other_sessions(
        &self,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<OtherSessions, StoreError> {
        let (owner, idle_since) = (&live.user.id, now.minus(self.settings.idle()));
        let mut tx = self.store.read().await?;
        let mut found = sessions::list_newest(&mut tx, owner, (now, idle_since), MOST_SHOWN + 2).await?;
        found.retain(|session| session.id != live.session.id);
        let most = usize::try_from(MOST_SHOWN).unwrap_or(usize::MAX);
        let more = found.len() > most;
        found.truncate(most);
        Ok(OtherSessions { found, more })
    }

    /// Ends one session of whoever is signed in, as signing out there would.
    pub(crate) async fn end_session(
        &self,
        id: SessionId,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<Ending, StoreError> {
        let asker = self.asker(live, visit);
        let (ending, departures) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    // What is being bought with the session is told of, or not bought: see `users::hold`.
                    users::hold(tx, &asker.user).await?;
                    let session = sessions::find(tx, &id).await?;
                    if session.is_none_or(|session| session.user != asker.user) {
                        return Ok::<_, StoreError>((Ending::Unknown, None));
                    }
                    Ok((Ending::Ended, asker.end(tx, &id).await?))
                })
            })
            .await?;
        self.notices.send(departures.unwrap_or_default());
        Ok(ending)
    }

    /// Ends every session of whoever is signed in but this one.
    pub(crate) async fn end_other_sessions(
        &self,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(), StoreError> {
        loop {
            let (asker, kept) = (self.asker(live, visit), live.session.id.clone());
            let departures = end_some(&self.store, asker, kept).await?;
            let is_done = departures.is_empty();
            self.told(departures);
            if is_done {
                return Ok(());
            }
        }
    }

    /// Ends the first of them, as part of something larger. Whoever commits that calls [`told`](Self::told), and
    /// [`end_other_sessions`](Self::end_other_sessions) for the rest.
    pub(crate) async fn end_first_others(
        &self,
        tx: &mut Tx,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<Vec<Departures>, StoreError> {
        self.asker(live, visit).end_some(tx, &live.session.id).await
    }

    /// Tells applications of sessions that ended: of the first ones now.
    pub(crate) fn told(&self, departures: Vec<Departures>) {
        for told in departures.into_iter().take(TOLD_AT_ONCE) {
            self.notices.send(told);
        }
    }

    fn asker(&self, live: &LiveSession, visit: &Visit) -> Asker {
        Asker { user: live.user.id.clone(), visit: visit.clone(), notices: self.notices.clone() }
    }
}

/// Ends some of them; none when none was left.
async fn end_some(store: &Store, asker: Asker, kept: SessionId) -> Result<Vec<Departures>, StoreError> {
    store
        .write(move |tx| {
            Box::pin(async move {
                users::hold(tx, &asker.user).await?;
                asker.end_some(tx, &kept).await
            })
        })
        .await
}

impl Asker {
    /// Ends some sessions but one; none when none was left.
    async fn end_some(&self, tx: &mut Tx, kept: &SessionId) -> Result<Vec<Departures>, StoreError> {
        // Also those that nobody used for long: they have not ended.
        let ever = Timestamp::from_micros(0);
        let found = sessions::list_newest(tx, &self.user, (self.visit.now, ever), AT_ONCE).await?;
        let mut departures = Vec::new();
        for session in found.into_iter().filter(|session| session.id != *kept) {
            departures.extend(self.end(tx, &session.id).await?);
        }
        Ok(departures)
    }

    /// Ends a session, once.
    async fn end(&self, tx: &mut Tx, id: &SessionId) -> Result<Option<Departures>, StoreError> {
        let departures = self.notices.end(tx, id, self.visit.now).await?;
        if departures.is_some() {
            let event = AuditEvent::new(Actor::User(self.user.clone()), AuditAction::SessionEnded);
            tx.audit(event.on(id).from(Some(self.visit.address)));
        }
        Ok(departures)
    }
}
