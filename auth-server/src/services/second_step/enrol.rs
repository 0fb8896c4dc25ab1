//! Adding a second step to the own account, and removing it.
//!
//! Every change needs a sign-in that is minutes old. What an app is to be given lies sealed in the form, for this session alone, until
//! a code shows that the app has it: nothing is kept of what nobody confirmed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::secret::{Digest32, Entropy, OpaqueToken, TokenKind};
use crate::domain::session::{Acr, AuthMethod, Session};
use crate::domain::user::User;
use crate::keys::seal::Sealer;
use crate::services::account::AccountService;
use crate::services::mailing::MailService;
use crate::services::second_step::recovery::{CODES, RecoveryCode};
use crate::services::second_step::totp::{self, TotpSecret};
use crate::services::second_step::{StepKeys, step_name};
use crate::services::visit::{LiveSession, Visit};
use crate::storage::single_use::Purpose;
use crate::storage::{Outcome, Store, StoreError, Tx, passkeys, second_steps, sessions, single_use, users};

/// How old a sign-in may be to change how somebody signs in (ASVS 7.5.1).
const FRESH: Duration = Duration::from_mins(5);
/// How long an app may be given what was offered.
const OFFERED: Duration = Duration::from_mins(15);
const OFFER: &str = "offered second step";
const TIME_LEN: usize = 8;
/// What somebody proves who adds it.
const CODE: [AuthMethod; 2] = [AuthMethod::OneTimeCode, AuthMethod::Mfa];

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is a second step already.
    #[error("the account has a second step")]
    Exists,
    /// There is none.
    #[error("the account has no second step")]
    Missing,
    /// The sign-in is too old, or was weaker than the account asks for.
    #[error("the sign-in is too old")]
    NotFresh,
    /// What was offered is too old, or was offered to somebody else.
    #[error("the offer does not count any more")]
    Offer,
    /// The session ended, or the code was used, meanwhile: nothing is kept.
    #[error("the session or the code changed meanwhile")]
    Overtaken,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("wrong code")]
    WrongCode,
}

impl Outcome for ChangeError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Overtaken | Self::Store(_))
    }
}

/// What an account has.
pub(crate) struct StepState {
    pub(crate) since: Timestamp,
    /// Recovery codes that nobody used.
    pub(crate) codes_left: u32,
}

/// What an app is given.
pub(crate) struct StepOffer {
    /// As people type it.
    pub(crate) secret: String,
    /// As apps read it.
    pub(crate) uri: String,
    /// What comes back with the code.
    pub(crate) sealed: String,
}

/// Adds, shows and removes the second step of an account.
#[derive(Clone)]
pub(crate) struct SecondStepService {
    store: Store,
    parts: Arc<StepParts>,
}

/// What the service needs besides the database.
pub(crate) struct StepParts {
    pub(crate) keys: StepKeys,
    pub(crate) sealer: Sealer,
    pub(crate) entropy: Entropy,
    pub(crate) account: AccountService,
    pub(crate) mail: MailService,
    /// What apps call this server.
    pub(crate) issuer: String,
}

/// Whether somebody signed in just now.
pub(crate) fn is_fresh(session: &Session, now: Timestamp) -> bool {
    now.since(session.auth_time) <= FRESH
}

impl SecondStepService {
    pub(crate) fn new(store: Store, parts: StepParts) -> Self {
        Self { store, parts: Arc::new(parts) }
    }

    /// The second step of whoever is signed in.
    pub(crate) async fn state(&self, live: &LiveSession) -> Result<Option<StepState>, StoreError> {
        let mut tx = self.store.read().await?;
        let Some(step) = second_steps::find(&mut tx, &live.user.id).await? else { return Ok(None) };
        let codes_left = second_steps::count_codes(&mut tx, &live.user.id).await?;
        Ok(Some(StepState { since: step.created_at, codes_left }))
    }

    /// Offers something to give an app.
    pub(crate) async fn offer(&self, live: &LiveSession, now: Timestamp) -> Result<StepOffer, ChangeError> {
        if !is_fresh(&live.session, now) {
            return Err(ChangeError::NotFresh);
        }
        let mut tx = self.store.read().await?;
        if second_steps::find(&mut tx, &live.user.id).await?.is_some() {
            return Err(ChangeError::Exists);
        }
        require_passkey(&mut tx, live).await?;
        drop(tx);
        let secret = TotpSecret::generate(&self.parts.entropy);
        let message = [&now.as_micros().to_be_bytes(), secret.as_bytes()].concat();
        let sealed = self.parts.sealer.seal(OFFER, &owner(live), &message);
        Ok(self.offered(&secret, &live.user, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// The same offer once more.
    pub(crate) fn again(&self, sealed: &str, live: &LiveSession, now: Timestamp) -> Option<StepOffer> {
        let secret = self.opened(sealed, live, now)?;
        Some(self.offered(&secret, &live.user, sealed.to_owned()))
    }

    /// Adds what was offered once a code shows that an app has it. Every other session ends; this one has proven a second factor. Gives
    /// the recovery codes, which nobody can be shown again, and another token for the session: what is worth more now is nothing to whoever
    /// has the one of before (ASVS 7.2.4).
    pub(crate) async fn add(
        &self,
        (sealed, code): (&str, &str),
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<(Vec<RecoveryCode>, OpaqueToken), ChangeError> {
        let secret = self.fresh_offer(sealed, live, visit.now)?;
        let step = secret.step_of(code, visit.now).ok_or(ChangeError::WrongCode)?;
        let (codes, digests) = self.new_codes(&live.user);
        let kept = self.parts.keys.seal(&live.user.id, &secret);
        let token = OpaqueToken::generate(TokenKind::Session, &self.parts.entropy);
        let digest = token.digest();
        let (live, visit, parts) = (live.clone(), visit.clone(), self.parts.clone());
        let (own, asked) = (live.clone(), visit.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let (user, now) = (&live.user, visit.now);
                    users::hold(tx, &user.id).await?;
                    require_passkey(tx, &live).await?;
                    if !second_steps::insert(tx, &user.id, &kept, now).await? {
                        return Err(ChangeError::Exists);
                    }
                    let (name, end) = (step_name(&user.id, step), totp::end_of(step));
                    let is_new = single_use::remember(tx, Purpose::TotpStep, &name, end, now).await?;
                    if !is_new || !strengthen(tx, &live.session, CODE.to_vec(), &digest).await? {
                        return Err(ChangeError::Overtaken);
                    }
                    second_steps::replace_codes(tx, &user.id, &digests, now).await?;
                    tx.audit(event(&live, AuditAction::SecondStepAdded, &visit));
                    let letter = Letter::SecondStepAdded { address: visit.address, at: now };
                    parts.mail.post(tx, letter, user).await?;
                    Ok(parts.account.end_first_others(tx, &live, &visit).await?)
                })
            })
            .await?;
        self.parts.account.told(departures);
        self.parts.account.end_other_sessions(&own, &asked).await?;
        Ok((codes, token))
    }

    /// Removes it. Every other session ends.
    pub(crate) async fn remove(&self, live: &LiveSession, visit: &Visit) -> Result<(), ChangeError> {
        proven(live, visit.now)?;
        let (live, visit, parts) = (live.clone(), visit.clone(), self.parts.clone());
        let (own, asked) = (live.clone(), visit.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    users::hold(tx, &live.user.id).await?;
                    if !sessions::is_live(tx, &live.session.id).await? {
                        return Err(ChangeError::Overtaken);
                    }
                    if !second_steps::remove(tx, &live.user.id).await? {
                        return Err(ChangeError::Missing);
                    }
                    tx.audit(event(&live, AuditAction::SecondStepRemoved, &visit));
                    let by = ChangedBy::Owner { address: visit.address };
                    let letter = Letter::SecondStepRemoved { by, at: visit.now };
                    parts.mail.post(tx, letter, &live.user).await?;
                    Ok(parts.account.end_first_others(tx, &live, &visit).await?)
                })
            })
            .await?;
        self.parts.account.told(departures);
        self.parts.account.end_other_sessions(&own, &asked).await?;
        Ok(())
    }

    /// Makes other recovery codes. Those of before are worth nothing then.
    pub(crate) async fn renew_codes(
        &self,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<Vec<RecoveryCode>, ChangeError> {
        proven(live, visit.now)?;
        let (codes, digests) = self.new_codes(&live.user);
        let (live, visit, mail) = (live.clone(), visit.clone(), self.parts.mail.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    users::hold(tx, &live.user.id).await?;
                    if !sessions::is_live(tx, &live.session.id).await? {
                        return Err(ChangeError::Overtaken);
                    }
                    if second_steps::find(tx, &live.user.id).await?.is_none() {
                        return Err(ChangeError::Missing);
                    }
                    second_steps::replace_codes(tx, &live.user.id, &digests, visit.now).await?;
                    let event = event(&live, AuditAction::RecoveryCodesMade, &visit);
                    tx.audit(event.with(json!({ "codes": digests.len() })));
                    let letter = Letter::RecoveryCodesMade { address: visit.address, at: visit.now };
                    Ok(mail.post(tx, letter, &live.user).await?)
                })
            })
            .await?;
        Ok(codes)
    }

    fn fresh_offer(
        &self,
        sealed: &str,
        live: &LiveSession,
        now: Timestamp,
    ) -> Result<TotpSecret, ChangeError> {
        if !is_fresh(&live.session, now) {
            return Err(ChangeError::NotFresh);
        }
        self.opened(sealed, live, now).ok_or(ChangeError::Offer)
    }

    fn opened(&self, sealed: &str, live: &LiveSession, now: Timestamp) -> Option<TotpSecret> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let message = self.parts.sealer.open(OFFER, &owner(live), &sealed).ok()?;
        let (time, secret) = message.split_first_chunk::<TIME_LEN>()?;
        let offered_at = Timestamp::from_micros(i64::from_be_bytes(*time));
        TotpSecret::read(secret).filter(|_| now < offered_at.plus(OFFERED))
    }

    fn offered(&self, secret: &TotpSecret, user: &User, sealed: String) -> StepOffer {
        let uri = secret.uri(&self.parts.issuer, user.username.as_str());
        StepOffer { secret: secret.shown(), uri, sealed }
    }

    fn new_codes(&self, user: &User) -> (Vec<RecoveryCode>, Vec<Digest32>) {
        let codes: Vec<_> = (0..CODES).map(|_| RecoveryCode::generate(&self.parts.entropy)).collect();
        let digests = codes.iter().map(|code| self.parts.keys.digest(&user.id, code)).collect();
        (codes, digests)
    }
}

/// Whoever removes the second step has to have passed it just now.
fn proven(live: &LiveSession, now: Timestamp) -> Result<(), ChangeError> {
    let is_proven = is_fresh(&live.session, now) && live.session.acr == Acr::TwoFactors;
    is_proven.then_some(()).ok_or(ChangeError::NotFresh)
}

/// Has a session say what was proven in it just now, beside what was before, under another token.
pub(crate) async fn strengthen(
    tx: &mut Tx,
    session: &Session,
    proven: Vec<AuthMethod>,
    digest: &Digest32,
) -> Result<bool, StoreError> {
    let mut methods = session.methods.clone();
    methods.retain(|method| !proven.contains(method));
    methods.extend(proven);
    let stronger = Session { acr: Acr::TwoFactors, methods, ..session.clone() };
    sessions::renew(tx, &stronger, digest, session.auth_time).await
}

/// Whoever has a passkey shows it before something stands beside it: a password that somebody found out must not become two factors.
/// Nor must a letter.
async fn require_passkey(tx: &mut Tx, live: &LiveSession) -> Result<(), ChangeError> {
    if live.session.is_by_letter_alone() {
        return Err(ChangeError::NotFresh);
    }
    if live.session.acr == Acr::OneFactor && passkeys::count(tx, &live.user.id).await? > 0 {
        return Err(ChangeError::NotFresh);
    }
    Ok(())
}

/// An offer is for one person in one session.
fn owner(live: &LiveSession) -> Vec<u8> {
    [live.user.id.as_str().as_bytes(), b"\0", live.session.id.as_str().as_bytes()].concat()
}

fn event(live: &LiveSession, action: AuditAction, visit: &Visit) -> AuditEvent {
    AuditEvent::new(Actor::User(live.user.id.clone()), action).on(&live.user.id).from(Some(visit.address))
}
