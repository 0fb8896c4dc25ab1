//! Changing the password of the account that is signed in.

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::session::{Acr, Session};
use crate::domain::user::{Password, PasswordHash, User};
use crate::services::login::{
    BadNewPassword, BrowserTraits, LoginError, LoginService, PasswordProof, SignedIn,
};
use crate::services::password_quality;
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::{StoreError, Tx, sessions, users};

/// Somebody who is signed in changes the password.
pub(crate) struct PasswordChange<'a> {
    pub(crate) current: &'a str,
    pub(crate) new: &'a str,
    pub(crate) user: &'a User,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

impl LoginService {
    /// Changes the password. Every session and every grant of the user ends; this browser gets a new session. [`LoginError::Overtaken`]:
    /// the session of whoever changes it ended meanwhile.
    pub(crate) async fn change_password(&self, change: PasswordChange<'_>) -> Result<SignedIn, LoginError> {
        let new = Password::choose(change.new).map_err(BadNewPassword::from)?;
        password_quality::check(&new, change.user.username.as_str()).map_err(BadNewPassword::from)?;
        let PasswordChange { current, user, browser, visit, .. } = change;
        let proof = PasswordProof { current, user, browser, visit };
        let SignInRow { password, user, .. } = self.prove(&proof, AuditAction::PasswordChanged).await?;
        let old = password.ok_or(LoginError::Wrong)?;
        if change.new == change.current {
            return Err(BadNewPassword::Same.into());
        }
        let hash = self.parts.hasher.take(&new, user.username.as_str()).await?;
        self.replace(user, old, hash, &change).await
    }

    async fn replace(
        &self,
        user: User,
        old: PasswordHash,
        new: PasswordHash,
        change: &PasswordChange<'_>,
    ) -> Result<SignedIn, LoginError> {
        let mut signed_in = self.new_session(user.clone(), Acr::OneFactor, change.browser, change.visit);
        // Only the password is proven now: whoever proved more did so when they signed in, and is said to have done it then.
        let before = change.visit.session.as_ref().map(|live| live.session.clone());
        if let Some(before) = before.as_ref().filter(|before| before.acr == Acr::TwoFactors) {
            let session = &mut signed_in.live.session;
            (session.acr, session.auth_time) = (before.acr, before.auth_time);
            session.methods.clone_from(&before.methods);
        }
        let (session, digest) = (signed_in.live.session.clone(), signed_in.token.digest());
        let (now, address) = (change.visit.now, change.visit.address);
        let (notices, mail) = (self.parts.notices.clone(), self.parts.mail.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    users::hold(tx, &user.id).await?;
                    // A password takes its time to be checked and hashed: whoever was signed out meanwhile changes nothing any more.
                    if !still_signed_in(tx, before.as_ref()).await? {
                        return Err(LoginError::Overtaken);
                    }
                    if !credentials::replace_password(tx, &user.id, &old, &new, now).await? {
                        return Err(LoginError::Wrong);
                    }
                    let departures = notices.end_all(tx, &user.id, now).await?;
                    sessions::insert(tx, &session, &digest).await?;
                    tx.audit(
                        AuditEvent::new(Actor::User(user.id.clone()), AuditAction::PasswordChanged)
                            .on(&user.id)
                            .from(Some(address)),
                    );
                    let by = ChangedBy::Owner { address };
                    mail.post(tx, Letter::PasswordChanged { by, at: now }, &user).await?;
                    Ok(departures)
                })
            })
            .await?;
        self.parts.notices.send(departures);
        Ok(signed_in)
    }
}

async fn still_signed_in(tx: &mut Tx, session: Option<&Session>) -> Result<bool, StoreError> {
    match session {
        Some(session) => sessions::is_live(tx, &session.id).await,
        None => Ok(false),
    }
}
