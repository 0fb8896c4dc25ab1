//! Signing in with a passkey. Its owner unlocked it on the device, so it is all that an account asks for.
//!
//! Nobody says who they are before: the passkey does. What is asked is the same for everybody, and so is a refusal, whatever is wrong.

use serde::{Deserialize, Serialize};
use serde_json::json;
use webauthn_rs::prelude::DiscoverableAuthentication;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::ChallengeId;
use crate::services::login::start::Arrival;
use crate::services::login::step::same;
use crate::services::login::taken::TakenStep;
use crate::services::login::{BrowserTraits, Errand, LoginError, LoginService, SignedIn};
use crate::services::login_limits::Try;
use crate::services::passkeys::party::{BadAnswer, RelyingParty, Shown};
use crate::services::passkeys::{PATIENCE, Question, name_of};
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::passkeys::{self, Passkey};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{StoreError, users};

/// Somebody shows a passkey.
pub(crate) struct PasskeyAnswer<'a> {
    /// Names what was asked.
    pub(crate) challenge: &'a str,
    /// What the authenticator says.
    pub(crate) credential: &'a str,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

/// Why nobody was signed in by a passkey.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasskeyRefusal {
    #[error(transparent)]
    Login(#[from] LoginError),
    /// No authenticator answers so.
    #[error("no authenticator answers so")]
    Malformed,
    /// It was made for an account of this server, and none has it any more: whoever keeps it may forget it.
    #[error("unknown passkey")]
    Unknown,
}

impl From<StoreError> for PasskeyRefusal {
    fn from(error: StoreError) -> Self {
        Self::Login(LoginError::Store(error))
    }
}

/// What waits for an authenticator.
#[derive(Deserialize, Serialize)]
struct Asked {
    /// The digest of the browser's token.
    browser: String,
    errand: Errand,
    state: DiscoverableAuthentication,
}

/// A passkey that is known, and whose it is.
struct Owned {
    passkey: Passkey,
    row: SignInRow,
}

impl LoginService {
    /// Whether anybody can sign in with a passkey.
    pub(crate) const fn takes_passkeys(&self) -> bool {
        self.parts.passkeys.is_on()
    }

    /// The name for which browsers keep passkeys.
    pub(crate) fn passkey_domain(&self) -> &str {
        self.parts.passkeys.name()
    }

    /// Asks for a passkey, whoever it is. [`LoginError::StepGone`]: nobody can have one here.
    pub(crate) async fn ask_for_passkey(
        &self,
        errand: Errand,
        visit: &Visit,
    ) -> Result<Question, LoginError> {
        self.parts.limits.admit_question(visit.address).map_err(LoginError::Throttled)?;
        let (options, state) = self.parts.passkeys.invite().ok_or(LoginError::StepGone)?;
        let challenge = ChallengeId::generate(visit.now, &self.parts.entropy);
        let (name, until) = (name_of(&challenge), visit.now.plus(PATIENCE));
        let asked = Asked { browser: visit.browser.digest().hex(), errand, state };
        self.store
            .write(move |tx| {
                Box::pin(
                    async move { single_use::issue(tx, Purpose::PasskeySignIn, &name, &asked, until).await },
                )
            })
            .await?;
        Ok(Question { challenge, options })
    }

    /// Signs in with a passkey, and says where that leads. What was asked is used up, whatever comes of it.
    pub(crate) async fn answer_with_passkey(
        &self,
        answer: PasskeyAnswer<'_>,
    ) -> Result<(SignedIn, Errand), PasskeyRefusal> {
        let PasskeyAnswer { browser, visit, .. } = answer;
        self.parts.limits.admit_question(visit.address).map_err(LoginError::Throttled)?;
        let shown = match RelyingParty::read(answer.credential) {
            Err(BadAnswer::Malformed) => return Err(PasskeyRefusal::Malformed),
            shown => shown,
        };
        let Asked { errand, state, .. } = self.asked(answer.challenge, visit).await?;
        let owned = match &shown {
            Ok(shown) => self.owned(shown).await?,
            Err(_) => None,
        };
        let username = owned.as_ref().map(|owned| &owned.row.user.username);
        let device = browser.device.zip(username);
        let device = device.and_then(|(cookie, username)| self.parts.devices.recognise(cookie, username));
        let is_known = device.is_some();
        let tried =
            Try { address: visit.address, username: username.map_or("", |name| name.as_str()), device };
        self.parts.limits.admit_step(&tried).map_err(LoginError::Throttled)?;
        let checked = match (&shown, &owned) {
            (Ok(shown), Some(owned)) => self.parts.passkeys.check(shown, state, &owned.passkey),
            _ => Err(BadAnswer::Malformed),
        };
        let (used, is_backed_up) = match checked {
            Ok(used) if owned.as_ref().is_some_and(|owned| owned.row.is_open()) => used,
            Err(BadAnswer::Kept(error)) => return Err(error.into()),
            checked => {
                self.parts.limits.failed(&tried);
                let is_gone = owned.is_none() && shown.is_ok_and(|shown| self.parts.passkeys.is_of(&shown));
                self.note_refusal(owned, checked.err(), visit).await?;
                return Err(if is_gone { PasskeyRefusal::Unknown } else { LoginError::Wrong.into() });
            }
        };
        let Some(Owned { passkey, row }) = owned else { return Err(PasskeyRefusal::Unknown) };
        let now = Some(visit.now);
        let backed_up_at = if is_backed_up { now } else { used.backed_up_at };
        let used = Passkey { last_used_at: now, backed_up_at, ..used };
        let taken = Some(TakenStep::Passkey { before: passkey.signatures, used: Box::new(used) });
        let arrival = Arrival { row, renewed: None, is_known, taken, browser, visit };
        Ok((self.start(arrival).await?, errand))
    }

    /// What waits for the answer in this browser.
    async fn asked(&self, challenge: &str, visit: &Visit) -> Result<Asked, LoginError> {
        let name = name_of(&ChallengeId::parse(challenge).map_err(|_| LoginError::StepGone)?);
        let now = visit.now;
        let found: Option<Asked> = self
            .store
            .write(move |tx| {
                Box::pin(async move { single_use::consume(tx, Purpose::PasskeySignIn, &name, now).await })
            })
            .await?;
        let own = visit.browser.digest().hex();
        found.filter(|asked| same(&asked.browser, &own)).ok_or(LoginError::StepGone)
    }

    async fn owned(&self, shown: &Shown) -> Result<Option<Owned>, StoreError> {
        let mut tx = self.store.read().await?;
        let Some(passkey) = passkeys::find_by_digest(&mut tx, &shown.digest()).await? else {
            return Ok(None);
        };
        let Some(user) = users::find(&mut tx, &passkey.user).await? else { return Ok(None) };
        let row = credentials::for_sign_in(&mut tx, &user.username).await?;
        Ok(row.filter(|row| row.user.id == passkey.user).map(|row| Owned { passkey, row }))
    }

    /// Writes down that it failed, and why.
    async fn note_refusal(
        &self,
        owned: Option<Owned>,
        why: Option<BadAnswer>,
        visit: &Visit,
    ) -> Result<(), StoreError> {
        let event =
            AuditEvent::new(Actor::Anonymous, AuditAction::SignIn).from(Some(visit.address)).refused();
        let cause = match &why {
            None => "account",
            Some(BadAnswer::Copied) => "copied",
            Some(BadAnswer::Kept(_) | BadAnswer::Malformed | BadAnswer::Refused(_)) => "answer",
        };
        let event = match owned {
            Some(Owned { passkey, row }) => event.on(&row.user.id).with(
                json!({ "enabled": row.user.is_enabled(), "passkey": passkey.id.as_str(), "wrong": cause }),
            ),
            None => event.with(json!({ "user": "unknown", "passkey": "unknown" })),
        };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await
    }
}
