//! The passkeys of whoever is signed in: adding them, naming them, and removing them.
//!
//! Every change needs a sign-in that is minutes old, and one as strong as the account can give: whoever found out a password alone adds
//! no passkey beside those that there are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webauthn_rs::prelude::PasskeyRegistration;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ChallengeId, PasskeyId, SessionId};
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::domain::session::{Acr, AuthMethod};
use crate::services::account::AccountService;
use crate::services::backchannel::Departures;
use crate::services::mailing::MailService;
use crate::services::passkeys::party::{BadAnswer, Made, RelyingParty, credential_id};
use crate::services::passkeys::{KeyName, PATIENCE, Question, name_of};
use crate::services::second_step::enrol::{is_fresh, strengthen};
use crate::services::visit::{LiveSession, Visit};
use crate::storage::passkeys::{self, Passkey};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Outcome, Store, StoreError, Tx, second_steps, sessions, users};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasskeyError {
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// It waits no longer for an answer, or never did in this session.
    #[error("nothing waits for the answer")]
    Gone,
    /// The account has as many as one can have.
    #[error("the account has as many passkeys as one can have")]
    Full,
    /// The account has no such passkey.
    #[error("the account has no such passkey")]
    Missing,
    /// The sign-in is too old, or was weaker than the account asks for.
    #[error("the sign-in is too old, or too weak")]
    NotFresh,
    /// Nobody can have one here.
    #[error("this server goes by an address, and browsers make passkeys for names alone")]
    Off,
    /// The session ended meanwhile: nothing is kept.
    #[error("the session changed meanwhile")]
    Overtaken,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody has that passkey.
    #[error("the passkey is known already")]
    Taken,
}

impl Outcome for PasskeyError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Overtaken | Self::Store(_))
    }
}

/// A passkey, as its owner sees it.
pub(crate) struct OwnPasskey {
    pub(crate) id: PasskeyId,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) is_backed_up: bool,
    /// What its authenticator calls it.
    pub(crate) known_as: Vec<u8>,
}

/// The passkeys of an account, as its owner sees them.
pub(crate) struct OwnPasskeys {
    /// The oldest first.
    pub(crate) found: Vec<OwnPasskey>,
    /// Whether this session may change them, or is too weak, however new it is.
    pub(crate) is_strong: bool,
}

/// What the service needs besides the database.
pub(crate) struct PasskeyParts {
    pub(crate) party: RelyingParty,
    pub(crate) account: AccountService,
    pub(crate) mail: MailService,
    pub(crate) entropy: Entropy,
}

/// Shows people their passkeys, and changes them for them.
#[derive(Clone)]
pub(crate) struct PasskeyService {
    store: Store,
    parts: Arc<PasskeyParts>,
}

/// What waits for a new passkey. It is for one session.
#[derive(Deserialize, Serialize)]
struct Expected {
    session: SessionId,
    state: PasskeyRegistration,
}

impl PasskeyService {
    pub(crate) fn new(store: Store, parts: PasskeyParts) -> Self {
        Self { store, parts: Arc::new(parts) }
    }

    /// What asks for passkeys here.
    pub(crate) fn party(&self) -> &RelyingParty {
        &self.parts.party
    }

    /// The passkeys of whoever is signed in.
    pub(crate) async fn list(&self, live: &LiveSession) -> Result<OwnPasskeys, StoreError> {
        let mut tx = self.store.read().await?;
        let found = passkeys::list(&mut tx, &live.user.id).await?;
        let found = found.into_iter().map(own).collect::<Result<_, _>>()?;
        let is_strong = is_strong(&mut tx, live).await?;
        Ok(OwnPasskeys { found, is_strong })
    }

    /// Asks for a new one.
    pub(crate) async fn offer(&self, live: &LiveSession, now: Timestamp) -> Result<Question, PasskeyError> {
        let mut tx = self.store.read().await?;
        require_proof(&mut tx, live, now).await?;
        let owned = passkeys::list(&mut tx, &live.user.id).await?;
        drop(tx);
        if owned.len() >= usize::try_from(passkeys::MOST).unwrap_or(usize::MAX) {
            return Err(PasskeyError::Full);
        }
        let offered = self.parts.party.offer(&live.user, &owned)?;
        let (options, state) = offered.ok_or(PasskeyError::Off)?;
        let challenge = ChallengeId::generate(now, &self.parts.entropy);
        let (name, user) = (name_of(&challenge), live.user.id.clone());
        let expected = Expected { session: live.session.id.clone(), state };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let named = (Purpose::PasskeyRegistration, &name);
                    single_use::issue_about(tx, named, &expected, &user, now.plus(PATIENCE)).await
                })
            })
            .await?;
        Ok(Question { challenge, options })
    }

    /// Adds a passkey by what its authenticator answered. Every other session ends, and this one, which proves two factors from then on,
    /// gets another token.
    pub(crate) async fn add(
        &self,
        answer: Answer<'_>,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<OpaqueToken, PasskeyError> {
        let expected = self.expected(answer.challenge, live, visit.now).await?;
        let made = self.parts.party.made(answer.credential, &expected.state)?;
        let passkey = self.kept(&made, answer.name, live, visit.now);
        let token = OpaqueToken::generate(TokenKind::Session, &self.parts.entropy);
        let (digest, known_as) = (token.digest(), made.digest);
        let (live, visit, parts) = (live.clone(), visit.clone(), self.parts.clone());
        let (own, asked) = (live.clone(), visit.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    users::hold(tx, &live.user.id).await?;
                    require_proof(tx, &live, visit.now).await?;
                    if passkeys::count(tx, &live.user.id).await? >= passkeys::MOST {
                        return Err(PasskeyError::Full);
                    }
                    if !passkeys::insert(tx, &passkey, &known_as).await? {
                        return Err(PasskeyError::Taken);
                    }
                    if !strengthen(tx, &live.session, AuthMethod::of_passkey(), &digest).await? {
                        return Err(PasskeyError::Overtaken);
                    }
                    tx.audit(event(&live, AuditAction::PasskeyAdded, &visit).with(named(&passkey.id)));
                    let letter = Letter::PasskeyAdded { address: visit.address, at: visit.now };
                    parts.mail.post(tx, letter, &live.user).await?;
                    Ok(parts.account.end_first_others(tx, &live, &visit).await?)
                })
            })
            .await?;
        self.end_others(departures, &own, &asked).await?;
        Ok(token)
    }

    /// Removes one. Every other session ends.
    pub(crate) async fn remove(
        &self,
        id: PasskeyId,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(), PasskeyError> {
        let (live, visit, parts) = (live.clone(), visit.clone(), self.parts.clone());
        let (own, asked) = (live.clone(), visit.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    hold(tx, &live, &visit).await?;
                    if !passkeys::remove(tx, &live.user.id, &id).await? {
                        return Err(PasskeyError::Missing);
                    }
                    tx.audit(event(&live, AuditAction::PasskeyRemoved, &visit).with(named(&id)));
                    let by = ChangedBy::Owner { address: visit.address };
                    parts.mail.post(tx, Letter::PasskeyRemoved { by, at: visit.now }, &live.user).await?;
                    Ok(parts.account.end_first_others(tx, &live, &visit).await?)
                })
            })
            .await?;
        self.end_others(departures, &own, &asked).await
    }

    /// Calls one otherwise.
    pub(crate) async fn rename(
        &self,
        id: PasskeyId,
        name: KeyName,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(), PasskeyError> {
        let (live, visit) = (live.clone(), visit.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    hold(tx, &live, &visit).await?;
                    if !passkeys::rename(tx, &live.user.id, &id, name.as_str()).await? {
                        return Err(PasskeyError::Missing);
                    }
                    tx.audit(event(&live, AuditAction::PasskeyRenamed, &visit).with(named(&id)));
                    Ok(())
                })
            })
            .await
    }

    /// Uses up what waits for an answer, whatever the answer is worth.
    async fn expected(
        &self,
        challenge: &str,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<Expected, PasskeyError> {
        let name = name_of(&ChallengeId::parse(challenge).map_err(|_| PasskeyError::Gone)?);
        let found: Option<Expected> = self
            .store
            .write(move |tx| {
                Box::pin(
                    async move { single_use::consume(tx, Purpose::PasskeyRegistration, &name, now).await },
                )
            })
            .await?;
        found.filter(|expected| expected.session == live.session.id).ok_or(PasskeyError::Gone)
    }

    fn kept(&self, made: &Made, name: String, live: &LiveSession, now: Timestamp) -> Passkey {
        Passkey {
            id: PasskeyId::generate(now, &self.parts.entropy),
            user: live.user.id.clone(),
            credential: made.credential.clone(),
            name,
            signatures: made.facts.signatures,
            created_at: now,
            last_used_at: None,
            backed_up_at: made.facts.is_backed_up.then_some(now),
        }
    }

    async fn end_others(
        &self,
        departures: Vec<Departures>,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(), PasskeyError> {
        self.parts.account.told(departures);
        Ok(self.parts.account.end_other_sessions(live, visit).await?)
    }
}

/// What an authenticator answered to an offer.
pub(crate) struct Answer<'a> {
    /// Names the offer.
    pub(crate) challenge: &'a str,
    pub(crate) credential: &'a str,
    /// What the passkey is called first.
    pub(crate) name: String,
}

fn own(passkey: Passkey) -> Result<OwnPasskey, StoreError> {
    Ok(OwnPasskey {
        known_as: credential_id(&passkey)?,
        id: passkey.id,
        name: passkey.name,
        created_at: passkey.created_at,
        last_used_at: passkey.last_used_at,
        is_backed_up: passkey.backed_up_at.is_some(),
    })
}

/// Holds the account of a session that still lives, and may change it.
async fn hold(tx: &mut Tx, live: &LiveSession, visit: &Visit) -> Result<(), PasskeyError> {
    users::hold(tx, &live.user.id).await?;
    if !sessions::is_live(tx, &live.session.id).await? {
        return Err(PasskeyError::Overtaken);
    }
    require_proof(tx, live, visit.now).await
}

async fn require_proof(tx: &mut Tx, live: &LiveSession, now: Timestamp) -> Result<(), PasskeyError> {
    is_proven(tx, live, now).await?.then_some(()).ok_or(PasskeyError::NotFresh)
}

/// Whether somebody signed in just now, by as much as the account asks of whoever changes it.
pub(crate) async fn is_proven(tx: &mut Tx, live: &LiveSession, now: Timestamp) -> Result<bool, StoreError> {
    Ok(is_fresh(&live.session, now) && is_strong(tx, live).await?)
}

/// Whether somebody proved as much as the account asks of whoever changes it: a letter alone is never enough.
async fn is_strong(tx: &mut Tx, live: &LiveSession) -> Result<bool, StoreError> {
    Ok(live.session.acr == Acr::TwoFactors
        || (!live.session.is_by_letter_alone()
            && passkeys::count(tx, &live.user.id).await? == 0
            && second_steps::find(tx, &live.user.id).await?.is_none()))
}

fn named(id: &PasskeyId) -> Value {
    json!({ "passkey": id.as_str() })
}

fn event(live: &LiveSession, action: AuditAction, visit: &Visit) -> AuditEvent {
    AuditEvent::new(Actor::User(live.user.id.clone()), action).on(&live.user.id).from(Some(visit.address))
}
