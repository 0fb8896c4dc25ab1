//! Signing in by a letter: a code that goes to the address of an account, and counts in the browser alone that asked for it.
//!
//! Whoever asks learns nothing: an unknown name, an account that is switched off, one whose address nobody confirmed and one of
//! somebody who administers the server cost the same limits, the same statements and one audit event, and get the same answer. Only
//! the letter differs, and goes to nobody else.

use std::sync::Arc;

use aws_lc_rs::hmac;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::{LetterSignInId, UserId};
use crate::domain::letter::{Asked, Letter, LinkCode, SIGN_IN_CODE};
use crate::domain::secret::Digest32;
use crate::domain::typed_code::TypedCode;
use crate::domain::user::{Email, Username};
use crate::keys::seal::Sealer;
use crate::services::letter_limits::LetterLimits;
use crate::services::login::first::FirstProof;
use crate::services::login::start::Arrival;
use crate::services::login::taken::TakenStep;
use crate::services::login::{BrowserTraits, Errand, LoginError, LoginService, Proven};
use crate::services::login_limits::{Throttled, Try};
use crate::services::mailing::Addressee;
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::letter_sign_ins::{self, LetterSignIn, NewLetterSignIn, Tried};
use crate::storage::{StoreError, Tx, assignments, users};

/// Characters of a code, each of them five random bits.
const LENGTH: usize = 8;
/// How many codes may be tried for one letter: of 2^40 that there are.
const TRIES: u32 = 5;
/// What the key is for under which codes are kept.
const PURPOSE: &str = "codes of letters";

/// What is typed.
type LetterCode = TypedCode<LENGTH>;

/// What signs people in by letter.
#[derive(Clone)]
pub(crate) struct LetterWay {
    is_on: bool,
    limits: LetterLimits,
    key: Arc<hmac::Key>,
}

impl LetterWay {
    /// Whether it is on, what counts who asks, and what the key is made of under which codes are kept.
    pub(crate) fn new(is_on: bool, limits: LetterLimits, sealer: &Sealer) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &sealer.derive(PURPOSE));
        Self { is_on, limits, key: Arc::new(key) }
    }

    /// What is kept of a code: worthless without the key, and for another sign-in.
    fn digest(&self, name: &Digest32, code: &LetterCode) -> Digest32 {
        let message = [name.as_bytes().as_slice(), code.as_bytes()].concat();
        Digest32::of(hmac::sign(&self.key, &message).as_ref())
    }
}

/// Somebody wants a code by mail.
pub(crate) struct LetterWish<'a> {
    /// A user name or an address, as it was typed.
    pub(crate) who: &'a str,
    /// Where it leads.
    pub(crate) errand: Errand,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

/// Somebody types the code of a letter.
pub(crate) struct LetterAnswer<'a> {
    pub(crate) id: &'a LetterSignInId,
    pub(crate) code: &'a str,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

/// How a sign-in by letter stands, seen from a browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum LetterStand {
    /// It is over, or never was; where it led, if that is known.
    Ended(Errand),
    /// Another browser asked.
    Foreign,
    /// It waits for its code.
    Open,
}

impl LetterStand {
    fn of(found: Option<LetterSignIn>, visit: &Visit) -> Result<Self, StoreError> {
        let Some(found) = found else { return Ok(Self::Ended(Errand::default())) };
        if !found.browser.matches(&visit.browser.digest()) {
            return Ok(Self::Foreign);
        }
        if found.used_at.is_none() && found.tries < TRIES && visit.now < found.expires_at {
            return Ok(Self::Open);
        }
        errand_of(&found.errand).map(Self::Ended)
    }
}

impl LoginService {
    /// Whether people sign in by letter.
    pub(crate) const fn takes_letters(&self) -> bool {
        self.parts.letters.is_on
    }

    /// Writes to the owner of an account, if there is one who may sign in by letter. What waits for the code is named whoever there is.
    pub(crate) async fn ask_for_letter(&self, wish: LetterWish<'_>) -> Result<LetterSignInId, LoginError> {
        let LetterWish { who, errand, browser, visit } = wish;
        let letters = &self.parts.letters;
        letters
            .limits
            .admit(visit.address)
            .map_err(|retry_after| LoginError::Throttled(Throttled { retry_after }))?;
        let found = meant(&mut self.store.read().await?, who.trim()).await?;
        let entropy = &self.parts.entropy;
        let (id, code) = (LetterSignInId::generate(visit.now, entropy), LetterCode::generate(entropy));
        let name = name_of(&id);
        let username = found.as_ref().map(|row| &row.user.username);
        let device = browser.device.zip(username);
        let letter = Letter::SignInCode {
            code: LinkCode::short(&code.shown()),
            waiting: id.clone(),
            username: username.map_or("", Username::as_str).to_owned(),
            asked: Asked::by(browser.user_agent, visit.address, visit.now),
            is_known: device
                .is_some_and(|(cookie, name)| self.parts.devices.recognise(cookie, name).is_some()),
        };
        let waiting = NewLetterSignIn {
            browser: visit.browser.digest(),
            user: found.as_ref().map(|row| row.user.id.clone()),
            code: letters.digest(&name, &code),
            state: found.as_ref().map_or_else(|| Digest32::from_bytes(entropy.bytes()), SignInRow::state),
            errand: serde_json::to_string(&errand).map_err(|error| unexpected(&error))?,
            created_at: visit.now,
            expires_at: visit.now.plus(SIGN_IN_CODE),
            digest: name,
        };
        self.post_code((found.as_ref(), who), letter, waiting, visit).await?;
        Ok(id)
    }

    /// What is written of a wish for a code. One that is not sent is none that could be guessed.
    async fn post_code(
        &self,
        (found, typed): (Option<&SignInRow>, &str),
        letter: Letter,
        waiting: NewLetterSignIn,
        visit: &Visit,
    ) -> Result<(), StoreError> {
        let event =
            AuditEvent::new(Actor::Anonymous, AuditAction::SignInCodeRequested).from(Some(visit.address));
        let event = match found {
            Some(row) => event.on(&row.user.id),
            None => event.refused().with(json!({ "user": "unknown" })),
        };
        let (mail, to) = (self.parts.mail.clone(), found.and_then(|row| Addressee::of(&row.user)));
        let (typed, nothing) = (typed.to_owned(), Digest32::from_bytes(self.parts.entropy.bytes()));
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let is_sent = mail.post_asked(tx, letter, to, &typed).await?;
                    let waiting = if is_sent {
                        waiting
                    } else {
                        NewLetterSignIn { user: None, code: nothing, ..waiting }
                    };
                    letter_sign_ins::insert(tx, &waiting).await?;
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await
    }

    /// How a sign-in by letter stands. Nothing is used up.
    pub(crate) async fn letter_stand(
        &self,
        id: &LetterSignInId,
        visit: &Visit,
    ) -> Result<LetterStand, StoreError> {
        let found = letter_sign_ins::find(&mut self.store.read().await?, &name_of(id)).await?;
        LetterStand::of(found, visit)
    }

    /// Signs in by the code of a letter, or begins to where the account has a second step; and says where it leads.
    /// [`LoginError::Wrong`]: it is not the code, or the account changed since; whether another may be tried says [`Self::letter_stand`].
    pub(crate) async fn answer_letter(
        &self,
        answer: LetterAnswer<'_>,
    ) -> Result<(Proven, Errand), LoginError> {
        let LetterAnswer { id, code, browser, visit } = answer;
        // What is no code at all is a slip of the fingers, and tells nobody anything.
        let code = LetterCode::parse(code).ok_or(LoginError::Wrong)?;
        let tried = Try { address: visit.address, username: "", device: None };
        self.parts.limits.admit_step(&tried).map_err(LoginError::Throttled)?;
        let name = name_of(id);
        let Some(Tried { user: Some(user), state, errand, .. }) = self.tried(&name, &code, visit).await?
        else {
            self.parts.limits.failed(&tried);
            return Err(LoginError::Wrong);
        };
        let Some(row) = self.still(&user, &state).await? else {
            return self.note_failure(AuditAction::SignIn, None, visit).await;
        };
        let errand = errand_of(&errand)?;
        if row.second_step.is_some() {
            let step = self.wait(row, FirstProof::Letter(name), visit, &errand).await?;
            return Ok((Proven::CodeNeeded(step), errand));
        }
        let username = &row.user.username;
        let device = browser.device.and_then(|cookie| self.parts.devices.recognise(cookie, username));
        let (is_known, taken) = (device.is_some(), Some(TakenStep::Letter(name)));
        let arrival = Arrival { row, renewed: None, is_known, taken, browser, visit };
        Ok((Proven::SignedIn(Box::new(self.start(arrival).await?)), errand))
    }

    /// Counts a try, and gives what was waiting if it was the code; what was not is written down, whoever there is, by one event.
    async fn tried(
        &self,
        name: &Digest32,
        code: &LetterCode,
        visit: &Visit,
    ) -> Result<Option<Tried>, StoreError> {
        let (name, given) = (*name, self.parts.letters.digest(name, code));
        let (browser, address, now) = (visit.browser.digest(), visit.address, visit.now);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let tried = letter_sign_ins::count_try(tx, (&name, &browser), TRIES, now).await?;
                    let Some(tried) = tried else { return Ok(None) };
                    if tried.code.matches(&given) {
                        return Ok(Some(tried));
                    }
                    let event =
                        AuditEvent::new(Actor::Anonymous, AuditAction::SignIn).from(Some(address)).refused();
                    tx.audit(match &tried.user {
                        Some(user) => event.on(user).with(json!({ "by": "letter" })),
                        None => event.with(json!({ "by": "letter", "user": "unknown" })),
                    });
                    Ok::<_, StoreError>(None)
                })
            })
            .await
    }

    /// The account that a letter went to, as long as nothing about it changed.
    async fn still(&self, user: &UserId, state: &Digest32) -> Result<Option<SignInRow>, StoreError> {
        let mut tx = self.store.read().await?;
        let Some(user) = users::find(&mut tx, user).await? else { return Ok(None) };
        let row = credentials::for_sign_in(&mut tx, &user.username).await?;
        let row = row.filter(|row| row.user.id == user.id && row.state().matches(state));
        let administers = assignments::administers(&mut tx, Some(&user.id)).await?;
        Ok(row.filter(|row| may_use_letters(row, administers)))
    }
}

/// The account that somebody means who may sign in by letter. What is looked for depends on what was typed alone. Of two, one by its
/// address and one that is called so, whoever confirmed the address is meant.
async fn meant(tx: &mut Tx, typed: &str) -> Result<Option<SignInRow>, StoreError> {
    let mut found = Vec::with_capacity(2);
    if let Ok(address) = Email::parse(typed) {
        found.push(credentials::by_address(tx, &address).await?);
    }
    if let Ok(name) = Username::parse(typed) {
        found.push(credentials::for_sign_in(tx, &name).await?);
    }
    let mut meant = None;
    for row in found {
        let administers = assignments::administers(tx, row.as_ref().map(|row| &row.user.id)).await?;
        meant = meant.or(row.filter(|row| may_use_letters(row, administers)));
    }
    Ok(meant)
}

/// A letter proves who reads what goes to an address: so it has to be theirs. Whoever administers the server proves more. Whoever wants
/// the account deleted comes to where it can be kept, as by any other sign-in.
fn may_use_letters(row: &SignInRow, administers: bool) -> bool {
    row.is_open() && row.user.email.is_some() && row.user.email_verified_at.is_some() && !administers
}

fn name_of(id: &LetterSignInId) -> Digest32 {
    Digest32::of(id.as_str().as_bytes())
}

fn errand_of(text: &str) -> Result<Errand, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { what: "letter_sign_ins.errand".to_owned() })
}

fn unexpected(error: &serde_json::Error) -> StoreError {
    StoreError::Unexpected { reason: error.to_string() }
}
