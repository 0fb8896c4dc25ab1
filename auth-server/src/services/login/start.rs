//! The end of a sign-in: a session, which begins or is renewed.
//!
//! Whoever proves themselves again in the browser where they are signed in keeps their session: it gets a later proof and another
//! token, and the applications that live by it go on. Somebody else's session ends.

use std::time::Duration;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::letter::{Letter, SignedInBy};
use crate::domain::secret::Digest32;
use crate::domain::session::{Acr, Session};
use crate::domain::user::PasswordHash;
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::login::taken::TakenStep;
use crate::services::login::{BrowserTraits, LoginError, LoginService, SignedIn};
use crate::services::mailing::MailService;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::credentials::{self, SignInRow};
use crate::storage::{StoreError, Tx, assignments, sessions, users};

/// Somebody proved who they are.
pub(super) struct Arrival<'a> {
    /// The account, as it was when the proof was checked.
    pub(super) row: SignInRow,
    /// A fresh hash of the same password, in place of a stale one.
    pub(super) renewed: Option<PasswordHash>,
    /// Whether the account signed in with this browser before.
    pub(super) is_known: bool,
    /// The second step, which an account that has one was asked for, a passkey, or the code of a letter.
    pub(super) taken: Option<TakenStep>,
    pub(super) browser: BrowserTraits<'a>,
    pub(super) visit: &'a Visit,
}

impl LoginService {
    pub(super) async fn start(&self, arrival: Arrival<'_>) -> Result<SignedIn, LoginError> {
        if arrival.row.leaving.is_some() {
            return self.hand_over(arrival).await;
        }
        let Arrival { row, renewed, is_known, taken, browser, visit } = arrival;
        let user = row.user.clone();
        let acr = taken.as_ref().map_or(Acr::OneFactor, TakenStep::acr);
        let mut signed_in = self.new_session(user.clone(), acr, browser, visit);
        if let Some(taken) = &taken {
            signed_in.live.session.methods = taken.methods();
        }
        if let (Some(TakenStep::Code { .. }), Some(sealed)) = (&taken, &row.second_step) {
            signed_in.device = self.parts.devices.remember_step(&signed_in.device, &user.username, sealed);
        }
        let entry = Entry {
            row,
            renewed,
            is_known,
            taken,
            session: signed_in.live.session.clone(),
            digest: signed_in.token.digest(),
            visit: visit.clone(),
            notices: self.parts.notices.clone(),
            mail: self.parts.mail.clone(),
        };
        let written = self.store.write(move |tx| Box::pin(async move { entry.write(tx).await })).await;
        match written {
            Ok((session, departures)) => {
                self.parts.notices.send(departures);
                signed_in.live.session = session;
                Ok(signed_in)
            }
            Err(LoginError::Overtaken) => self.note_failure(AuditAction::SignIn, Some(user), visit).await,
            Err(error) => Err(error),
        }
    }
}

/// What is written of a sign-in.
struct Entry {
    row: SignInRow,
    renewed: Option<PasswordHash>,
    is_known: bool,
    taken: Option<TakenStep>,
    session: Session,
    digest: Digest32,
    visit: Visit,
    notices: LogoutNotices,
    mail: MailService,
}

impl Entry {
    async fn write(self, tx: &mut Tx) -> Result<(Session, Departures), LoginError> {
        let (user, now, address) = (&self.row.user, self.visit.now, self.visit.address);
        let (own, other) = match &self.visit.session {
            Some(before) if before.user.id == user.id => (Some(&before.session), None),
            before => (None, before.as_ref()),
        };
        // First these, then the look at the account: see `users::hold`.
        match (other, own) {
            (Some(other), _) => users::hold_both(tx, &other.user.id, &user.id).await?,
            // Whoever changes the password or the second step holds the account, too, and then the rows that this one changes.
            (None, own) if own.is_some() || self.taken.is_some() => users::hold(tx, &user.id).await?,
            // Adding a session is enough.
            (None, _) => {}
        }
        if let Some(taken) = &self.taken
            && !taken.settle(tx, user, (&self.visit, &self.mail)).await?
        {
            return Err(LoginError::Overtaken);
        }
        let (session, is_renewed) = self.enter(tx, own).await?;
        let is_by_letter = self.taken.as_ref().is_some_and(TakenStep::is_by_letter);
        if !still_has(tx, &self.row, self.renewed.as_ref(), (is_by_letter, now)).await? {
            return Err(LoginError::Overtaken);
        }
        let departures = match other {
            Some(other) => self.end(tx, other).await?,
            None => Departures::default(),
        };
        if !self.is_known {
            let by = if is_by_letter { SignedInBy::Letter } else { SignedInBy::Other };
            self.mail.post(tx, Letter::SignInFromNewDevice { address, at: now, by }, user).await?;
        }
        let event = AuditEvent::new(Actor::User(user.id.clone()), AuditAction::SignIn)
            .on(&session.id)
            .from(Some(address));
        tx.audit(match (is_renewed, is_by_letter) {
            (true, true) => event.with(json!({ "by": "letter", "renewed": true })),
            (true, false) => event.with(json!({ "renewed": true })),
            (false, true) => event.with(json!({ "by": "letter" })),
            (false, false) => event,
        });
        Ok((session, departures))
    }

    /// Renews the session of the same person, or begins one; gives whether it was renewed. Of two who renew at once one does, and the
    /// other gets a session of its own: neither makes the cookie of the other worthless.
    async fn enter(&self, tx: &mut Tx, own: Option<&Session>) -> Result<(Session, bool), StoreError> {
        if let Some(before) = own {
            let renewed = renewed(before, &self.session);
            if sessions::renew(tx, &renewed, &self.digest, before.auth_time).await? {
                return Ok((renewed, true));
            }
        }
        sessions::insert(tx, &self.session, &self.digest).await?;
        Ok((self.session.clone(), false))
    }

    /// The identifier of somebody else dies with their session (ASVS 7.2.4): nobody who knew it is signed in.
    async fn end(&self, tx: &mut Tx, other: &LiveSession) -> Result<Departures, StoreError> {
        let departures = self.notices.end(tx, &other.session.id, self.visit.now).await?;
        if departures.is_some() {
            let event = AuditEvent::new(Actor::User(other.user.id.clone()), AuditAction::SessionEnded);
            tx.audit(event.on(&other.session.id).from(Some(self.visit.address)));
        }
        Ok(departures.unwrap_or_default())
    }
}

/// The session of before with the proof of now, which is later than the one of before on whichever clock: that is how others tell
/// that there was one.
fn renewed(before: &Session, proven: &Session) -> Session {
    Session {
        id: before.id.clone(),
        created_at: before.created_at,
        origin: before.origin.clone(),
        auth_time: proven.auth_time.max(before.auth_time.plus(Duration::from_micros(1))),
        ..proven.clone()
    }
}

/// Whether what was checked is still what is stored: somebody may have changed the password or the second step, or disabled the
/// account, during the check; and where it was a letter, the address. A fresh hash of the same password takes the place of a stale one.
pub(super) async fn still_has(
    tx: &mut Tx,
    checked: &SignInRow,
    renewed: Option<&PasswordHash>,
    (is_by_letter, now): (bool, Timestamp),
) -> Result<bool, StoreError> {
    let mut stored = checked.password.as_ref();
    if let (Some(renewed), Some(old)) = (renewed, stored) {
        if !credentials::replace_password(tx, &checked.user.id, old, renewed, now).await? {
            return Ok(false);
        }
        stored = Some(renewed);
    }
    if is_by_letter && assignments::administers(tx, Some(&checked.user.id)).await? {
        return Ok(false);
    }
    let row = credentials::for_sign_in(tx, &checked.user.username).await?;
    Ok(row.is_some_and(|row| {
        let is_same_reader = row.user.email == checked.user.email && row.user.email_verified_at.is_some();
        row.is_open()
            && row.leaving == checked.leaving
            && row.password.as_ref() == stored
            && row.second_step == checked.second_step
            && (is_same_reader || !is_by_letter)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{SessionId, UserId};
    use crate::domain::secret::Entropy;
    use crate::domain::session::{AuthMethod, SessionOrigin};

    #[test]
    fn a_proof_is_later_than_the_one_before_even_where_the_clock_stands_or_goes_back() {
        let entropy = Entropy::seeded(1);
        let at = |secs| Session {
            id: SessionId::generate(Timestamp::from_secs(1), &entropy),
            user: UserId::generate(Timestamp::from_secs(1), &entropy),
            auth_time: Timestamp::from_secs(secs),
            created_at: Timestamp::from_secs(secs),
            last_seen_at: Timestamp::from_secs(secs),
            expires_at: Timestamp::from_secs(secs + 100),
            ended_at: None,
            methods: vec![AuthMethod::Password],
            acr: Acr::OneFactor,
            origin: SessionOrigin::new(None, ""),
        };
        let before = at(50);
        for (now, later) in [(60, true), (50, false), (40, false)] {
            let renewed = renewed(&before, &at(now));
            assert!(renewed.auth_time > before.auth_time, "{now}");
            assert_eq!(renewed.auth_time == Timestamp::from_secs(now), later, "{now}");
            assert_eq!((renewed.id, renewed.created_at), (before.id.clone(), before.created_at));
            assert_eq!(renewed.expires_at, Timestamp::from_secs(now + 100));
        }
    }
}
