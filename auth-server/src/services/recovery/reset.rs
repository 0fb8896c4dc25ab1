//! What the link in a letter does: it sets another password, once.

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::{ChangedBy, Letter, LinkCode, NOTICE};
use crate::domain::secret::Digest32;
use crate::domain::user::{Password, PasswordHash, Username};
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::login::{BadNewPassword, LoginError};
use crate::services::mailing::MailService;
use crate::services::password_quality;
use crate::services::recovery::{RecoveryService, Target};
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{StoreError, Tx, passkeys, users};

/// What is done in the transaction.
struct Reset {
    link: Digest32,
    password: PasswordHash,
    visit: Visit,
    notices: LogoutNotices,
    mail: MailService,
}

impl RecoveryService {
    /// Whose password a code sets; `None` when it sets none, or no longer. Nothing is used up.
    pub(crate) async fn whose(&self, code: &str, visit: &Visit) -> Result<Option<Username>, StoreError> {
        let Some(link) = LinkCode::copied(code) else { return Ok(None) };
        let mut tx = self.store.read().await?;
        let target = single_use::find(&mut tx, Purpose::PasswordReset, &link.digest(), visit.now).await?;
        Ok(account(&mut tx, target.flatten()).await?.map(|row| row.user.username))
    }

    /// Sets another password. Every session and every grant of the account ends, and nobody is signed in.
    /// [`LoginError::Wrong`]: the code is unknown, used or too old, or the account changed since.
    pub(crate) async fn reset(&self, code: &str, new: &str, visit: &Visit) -> Result<(), LoginError> {
        self.admit(visit)?;
        // Before anything is hashed: a stranger cannot make us do that.
        let username = self.whose(code, visit).await?.ok_or(LoginError::Wrong)?;
        let link = LinkCode::copied(code).ok_or(LoginError::Wrong)?.digest();
        let new = Password::choose(new).map_err(BadNewPassword::from)?;
        password_quality::check(&new, username.as_str()).map_err(BadNewPassword::from)?;
        let reset = Reset {
            link,
            password: self.parts.hasher.take(&new, username.as_str()).await?,
            visit: visit.clone(),
            notices: self.parts.notices.clone(),
            mail: self.parts.mail.clone(),
        };
        let departures = self.store.write(move |tx| Box::pin(async move { reset.done(tx).await })).await?;
        self.parts.notices.send(departures);
        Ok(())
    }
}

impl Reset {
    async fn done(self, tx: &mut Tx) -> Result<Departures, LoginError> {
        let (now, address) = (self.visit.now, self.visit.address);
        let target = single_use::consume(tx, Purpose::PasswordReset, &self.link, now).await?;
        let Some(Some(target)) = target else { return Err(LoginError::Wrong) };
        let target: Target = target;
        // Whoever changes the password meanwhile is waited for, and then the link is good for nothing.
        users::hold(tx, &target.user).await?;
        let Some(SignInRow { user, .. }) = account(tx, Some(target)).await? else {
            return Err(LoginError::Wrong);
        };
        credentials::set_password(tx, &user.id, &self.password, now).await?;
        // Nobody else can read what goes there.
        let proven = match &user.email {
            Some(email) => users::prove_address(tx, &user.id, email, now).await?,
            None => false,
        };
        let departures = self.notices.end_all(tx, &user.id, now).await?;
        let event = AuditEvent::new(Actor::User(user.id.clone()), AuditAction::PasswordChanged);
        tx.audit(
            event.on(&user.id).from(Some(address)).with(json!({ "by": "letter", "address_proven": proven })),
        );
        let by = ChangedBy::Owner { address };
        self.mail.post(tx, Letter::PasswordChanged { by: by.clone(), at: now }, &user).await?;
        // Whoever found out the password may have added one, which signs in without it. Those that were there before stay.
        let keys = passkeys::remove_since(tx, &user.id, now.minus(NOTICE)).await?;
        if keys > 0 {
            let event = AuditEvent::new(Actor::User(user.id.clone()), AuditAction::PasskeyRemoved);
            tx.audit(
                event.on(&user.id).from(Some(address)).with(json!({ "by": "letter", "passkeys": keys })),
            );
            self.mail.post(tx, Letter::PasskeyRemoved { by, at: now }, &user).await?;
        }
        Ok(departures)
    }
}

/// The account that a link is for, as long as nothing about it changed.
async fn account(tx: &mut Tx, target: Option<Target>) -> Result<Option<SignInRow>, StoreError> {
    let Some(target) = target else { return Ok(None) };
    let Some(user) = users::find(tx, &target.user).await? else { return Ok(None) };
    let row = credentials::for_sign_in(tx, &user.username).await?;
    Ok(row.filter(|row| target.is_still(row)))
}
