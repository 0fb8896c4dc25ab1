//! Addresses of mail: how it is made sure that somebody reads what goes there, and what becomes of one when another takes its place.
//!
//! An address counts once a link was used that went to it. The one before it is told, and can be put back.

mod links;

use serde_json::json;

use self::links::Proof;
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::{Asked, Letter, LinkCode};
use crate::domain::mailbox::Mailbox;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::domain::session::Acr;
use crate::domain::user::{Email, InvalidEmail, PasswordHash, User};
use crate::services::backchannel::LogoutNotices;
use crate::services::letter_limits::LetterLimits;
use crate::services::login::{LoginError, LoginService, PasswordProof};
use crate::services::login_limits::Throttled;
use crate::services::mailing::{Addressee, MailService};
use crate::services::visit::Visit;
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, StoreError, passkeys};

/// Has people confirm addresses, and changes them.
#[derive(Clone)]
pub(crate) struct AddressService {
    store: Store,
    parts: AddressParts,
}

/// What the service needs besides the database.
#[derive(Clone)]
pub(crate) struct AddressParts {
    pub(crate) login: LoginService,
    pub(crate) limits: LetterLimits,
    pub(crate) entropy: Entropy,
    pub(crate) notices: LogoutNotices,
    pub(crate) mail: MailService,
}

/// Why no letter goes to an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(transparent)]
    Invalid(#[from] InvalidEmail),
    /// The password is wrong, or there were too many tries.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The account has a passkey, and the password alone was proven.
    #[error("the sign-in is weaker than the account can give")]
    Weak,
    /// It is the address of the account already.
    #[error("the account has that address")]
    Same,
}

impl AddressService {
    pub(crate) const fn new(store: Store, parts: AddressParts) -> Self {
        Self { store, parts }
    }

    /// Whether anybody can be written to. Where nobody can, an administrator says what address an account has.
    pub(crate) const fn is_on(&self) -> bool {
        self.parts.mail.sends()
    }

    /// Writes to the address of whoever is signed in, so that they confirm it. Nobody is written to about one that is confirmed.
    pub(crate) async fn ask(&self, user: &User, user_agent: &str, visit: &Visit) -> Result<(), LoginError> {
        match &user.email {
            Some(email) if user.email_verified_at.is_none() => {
                let proof = Proof {
                    user: user.id.clone(),
                    before: user.email.clone(),
                    to: email.clone(),
                    password: None,
                };
                self.write_to(proof, user, Asked::by(user_agent, visit.address, visit.now)).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Writes to another address, which takes the place of the one that the account has once it is confirmed.
    pub(crate) async fn change(&self, new: &str, proof: &PasswordProof<'_>) -> Result<(), AddressError> {
        let new = Email::parse(new.trim())?;
        if proof.user.email.as_ref() == Some(&new) {
            return Err(AddressError::Same);
        }
        let row = self.parts.login.prove(proof, AuditAction::AddressProofRequested).await?;
        // Whoever can put an address back sets another password and takes what was added lately off: no password leads there alone.
        let live = proof.visit.session.as_ref();
        let is_weak = live.is_none_or(|live| live.session.acr == Acr::OneFactor);
        if is_weak && self.has_passkeys(&row.user).await? {
            return Err(AddressError::Weak);
        }
        let asked = Asked::by(proof.browser.user_agent, proof.visit.address, proof.visit.now);
        let (id, before) = (row.user.id.clone(), row.user.email.clone());
        let state = PasswordHash::state_of(row.password.as_ref());
        let proof = Proof { user: id, before, to: new, password: Some(state.hex()) };
        Ok(self.write_to(proof, &row.user, asked).await?)
    }

    async fn has_passkeys(&self, user: &User) -> Result<bool, LoginError> {
        Ok(passkeys::count(&mut self.store.read().await?, &user.id).await? > 0)
    }

    async fn write_to(&self, proof: Proof, user: &User, asked: Asked) -> Result<(), LoginError> {
        let admitted = self.parts.limits.admit(asked.address);
        admitted.map_err(|retry_after| LoginError::Throttled(Throttled { retry_after }))?;
        let link = OpaqueToken::generate(TokenKind::LetterLink, &self.parts.entropy);
        let (digest, address) = (link.digest(), asked.address);
        let username = user.username.as_str().to_owned();
        let letter = Letter::VerifyAddress { code: LinkCode::of(&link), username, asked };
        // Nobody said yet that it is theirs: what the account calls itself is no greeting for a stranger.
        let to = Addressee { mailbox: Mailbox::new("", proof.to.clone()), user: Some(user.id.clone()) };
        let event = AuditEvent::new(Actor::User(user.id.clone()), AuditAction::AddressProofRequested);
        let event = event.on(&user.id).from(Some(address)).with(json!({ "changes": proof.changes() }));
        let mail = self.parts.mail.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let expires_at = tx.now().plus(letter.lifetime());
                    let named = (Purpose::AddressProof, &digest);
                    single_use::issue_about(tx, named, &proof, &proof.user, expires_at).await?;
                    mail.post_to(tx, letter, Some(to)).await?;
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await?;
        Ok(())
    }
}
