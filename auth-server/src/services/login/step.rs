//! The second step of a sign-in, for accounts that have one.
//!
//! Between the password and the code nobody is signed in. What waits lies in the database, for minutes, and goes on in the browser
//! alone that gave the password; it says where the sign-in leads, so that the code is asked for nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditAction;
use crate::domain::ids::{InteractionId, StepId, UserId};
use crate::domain::letter::Letter;
use crate::domain::secret::Digest32;
use crate::domain::user::Username;
use crate::services::login::first::{FirstFactor, FirstProof, is_first, state_after, state_of};
use crate::services::login::start::Arrival;
use crate::services::login::taken::{TakenCode, TakenStep};
use crate::services::login::{BrowserTraits, LoginError, LoginService, SignedIn, failure};
use crate::services::login_limits::{Throttled, Try};
use crate::services::mailing::Addressee;
use crate::services::second_step::recovery::RecoveryCode;
use crate::services::second_step::{delay_after, is_a_stranger};
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::single_use::Purpose;
use crate::storage::{second_steps, single_use};

/// How long a code is waited for.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);
/// How long somebody waits who tried at the same moment as somebody else.
const TURN: Duration = Duration::from_secs(1);

/// Where a sign-in leads.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Errand {
    /// The flow of an application.
    pub(crate) interaction: Option<InteractionId>,
    /// The name of a page of ours.
    pub(crate) next: Option<String>,
}

/// What came of a password.
pub(crate) enum Proven {
    /// It was right, and the account asks for a code.
    CodeNeeded(StepId),
    /// It was all that the account asks for.
    SignedIn(Box<SignedIn>),
}

/// What is given as the second step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CodeKind {
    /// A code of an authenticator app.
    App,
    /// A recovery code.
    Recovery,
}

/// Somebody gives a code.
pub(crate) struct StepAnswer<'a> {
    pub(crate) id: &'a StepId,
    pub(crate) code: &'a str,
    pub(crate) kind: CodeKind,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

/// What is kept of a sign-in that waits.
#[derive(Deserialize, Serialize)]
struct Pending {
    user: UserId,
    username: Username,
    /// The digest of the browser's token.
    browser: String,
    /// The digest of the hash that the password was checked by: another password takes the sign-in back. After a letter, that of the
    /// account as the letter knew it.
    password: String,
    errand: Errand,
    #[serde(default)]
    first: FirstFactor,
}

/// A sign-in that waits, and the account as it is now.
struct Waiting {
    pending: Pending,
    row: SignInRow,
    step: second_steps::SecondStep,
}

impl LoginService {
    /// Keeps a sign-in whose first factor was right until its code comes.
    pub(super) async fn wait(
        &self,
        row: SignInRow,
        proof: FirstProof,
        visit: &Visit,
        errand: &Errand,
    ) -> Result<StepId, LoginError> {
        let (user, now) = (row.user.clone(), visit.now);
        let id = StepId::generate(now, &self.parts.entropy);
        let name = name_of(&id);
        let pending = Pending {
            user: user.id.clone(),
            username: user.username.clone(),
            browser: visit.browser.digest().hex(),
            password: state_after(&row, proof.factor(), proof.renewed()).hex(),
            errand: errand.clone(),
            first: proof.factor(),
        };
        let kept = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if !is_first(tx, &row, proof, now).await? {
                        return Err(LoginError::Overtaken);
                    }
                    let until = now.plus(PATIENCE);
                    Ok(single_use::issue(tx, Purpose::SecondStep, &name, &pending, until).await?)
                })
            })
            .await;
        match kept {
            Ok(()) => Ok(id),
            Err(LoginError::Overtaken) => self.note_failure(AuditAction::SignIn, Some(user), visit).await,
            Err(error) => Err(error),
        }
    }

    /// Where a sign-in leads that waits in this browser.
    pub(crate) async fn errand(&self, id: &StepId, visit: &Visit) -> Result<Errand, LoginError> {
        Ok(self.waiting(id, visit).await?.pending.errand)
    }

    /// Signs in with the second step of a sign-in, and says where it leads.
    pub(crate) async fn answer(&self, answer: StepAnswer<'_>) -> Result<(SignedIn, Errand), LoginError> {
        let StepAnswer { id, browser, visit, .. } = answer;
        let waiting = self.waiting(id, visit).await?;
        let username = &waiting.pending.username;
        let (devices, sealed) = (&self.parts.devices, &waiting.step.sealed);
        // Who knows the password has been here before; that earns no tries at the second step.
        let device = browser.device.and_then(|cookie| devices.recognise_step(cookie, username, sealed));
        let is_known = browser.device.is_some_and(|cookie| devices.recognise(cookie, username).is_some());
        let tried = Try { address: visit.address, username: username.as_str(), device };
        self.parts.limits.admit_step(&tried).map_err(LoginError::Throttled)?;
        let code = match answer.kind {
            CodeKind::App => self.app_code(&waiting, &answer, tried.device.is_some()).await?,
            CodeKind::Recovery => RecoveryCode::parse(answer.code)
                .map(|code| TakenCode::Recovery(self.parts.steps.digest(&waiting.row.user.id, &code))),
        };
        let Some(code) = code else {
            self.parts.limits.failed(&tried);
            let counted = tried.device.is_none() && answer.kind == CodeKind::App;
            return self.note_wrong_code(&waiting, counted, visit).await;
        };
        let Waiting { pending, row, .. } = waiting;
        let taken = Some(TakenStep::Code { waited: name_of(id), code, first: pending.first });
        let signed_in = self.start(Arrival { row, renewed: None, is_known, taken, browser, visit }).await?;
        Ok((signed_in, pending.errand))
    }

    /// Writes down that a code was wrong. Who gave several after the password is somebody who knows it, and its owner is told; after a letter
    /// nobody gave it. To them it makes no difference: a letter that is sent, one too many and one for nobody are the same statements.
    async fn note_wrong_code<T>(
        &self,
        waiting: &Waiting,
        counted: bool,
        visit: &Visit,
    ) -> Result<T, LoginError> {
        let user = &waiting.row.user;
        let tries = waiting.step.tries.saturating_add(1);
        let knows_password = waiting.pending.first == FirstFactor::Password;
        let to = Addressee::of(user).filter(|_| knows_password && counted && is_a_stranger(tries));
        let letter = Letter::PasswordKnown { address: visit.address, at: visit.now };
        let (event, mail) = (failure(AuditAction::SignIn, Some(user), visit), self.parts.mail.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.audit(event);
                    mail.post_to(tx, letter, to).await.map(drop)
                })
            })
            .await?;
        Err(LoginError::Wrong)
    }

    /// The sign-in that waits under this name, if it waits in this browser, and the account has not changed since.
    async fn waiting(&self, id: &StepId, visit: &Visit) -> Result<Waiting, LoginError> {
        let mut tx = self.store.read().await?;
        let found =
            single_use::find::<Pending>(&mut tx, Purpose::SecondStep, &name_of(id), visit.now).await?;
        let own = visit.browser.digest().hex();
        let pending = found.filter(|pending| same(&pending.browser, &own)).ok_or(LoginError::StepGone)?;
        let row = credentials::for_sign_in(&mut tx, &pending.username).await?;
        let is_same = |row: &SignInRow| {
            row.user.id == pending.user
                && row.is_open()
                && same(&state_of(row, pending.first).hex(), &pending.password)
        };
        let row = row.filter(is_same).ok_or(LoginError::StepGone)?;
        let step = second_steps::find(&mut tx, &pending.user).await?.ok_or(LoginError::StepGone)?;
        Ok(Waiting { pending, row, step })
    }

    /// Compares a code with those that count now. Tries of browsers that never signed in to the account are counted where every replica
    /// sees it, and wait the longer the more of them there were; a browser that did has tries of its own, so nobody else keeps it out.
    async fn app_code(
        &self,
        waiting: &Waiting,
        answer: &StepAnswer<'_>,
        is_known: bool,
    ) -> Result<Option<TakenCode>, LoginError> {
        let (user, step, now) = (waiting.pending.user.clone(), &waiting.step, answer.visit.now);
        if !is_known {
            let throttled = |retry_after| LoginError::Throttled(Throttled { retry_after });
            if now < step.next_try_at {
                return Err(throttled(step.next_try_at.since(now)));
            }
            let tries = step.tries;
            let next = now.plus(delay_after(tries.saturating_add(1)));
            let id = user.clone();
            let may_try = self
                .store
                .write(move |tx| {
                    Box::pin(async move { second_steps::count_try(tx, &id, tries, next, now).await })
                })
                .await?;
            if !may_try {
                return Err(throttled(TURN));
            }
        }
        let secret = self.parts.steps.open(&user, &step.sealed)?;
        Ok(secret.step_of(answer.code, now).map(TakenCode::App))
    }
}

pub(super) fn name_of(id: &StepId) -> Digest32 {
    Digest32::of(id.as_str().as_bytes())
}

/// Compares two digests in constant time.
pub(super) fn same(one: &str, other: &str) -> bool {
    Digest32::of(one.as_bytes()).matches(&Digest32::of(other.as_bytes()))
}
