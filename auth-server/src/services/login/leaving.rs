//! A sign-in to an account that its owner wants deleted: nobody is signed in, and whoever proved to be the owner may keep it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{StepId, UserId};
use crate::domain::letter::{ChangedBy, Letter, SignedInBy};
use crate::domain::user::Username;
use crate::services::deletion;
use crate::services::login::first::{FirstFactor, state_after, state_of};
use crate::services::login::start::{Arrival, still_has};
use crate::services::login::step::{PATIENCE, name_of, same};
use crate::services::login::taken::TakenStep;
use crate::services::login::{LoginError, LoginService, SignedIn};
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Turn, Tx, users};

/// What is kept of a proof. It counts in the browser that gave it, as long as the password stays what it was; after a letter, the address
/// as well.
#[derive(Clone, Deserialize, Serialize)]
struct Proof {
    user: UserId,
    username: Username,
    browser: String,
    state: String,
    first: FirstFactor,
    /// Of which wish: another one takes another proof.
    due_at: Option<Timestamp>,
}

/// An account that its owner wants deleted.
pub(crate) struct Leaver {
    pub(crate) username: Username,
    /// When it is.
    pub(crate) due_at: Timestamp,
}

impl LoginService {
    /// Takes a proof that would sign somebody in, and signs nobody in: the error names it.
    pub(super) async fn hand_over(&self, arrival: Arrival<'_>) -> Result<SignedIn, LoginError> {
        let Arrival { row, renewed, taken, visit, is_known, .. } = arrival;
        let is_by_letter = taken.as_ref().is_some_and(TakenStep::is_by_letter);
        let first = if is_by_letter { FirstFactor::Letter } else { FirstFactor::Password };
        let id = StepId::generate(visit.now, &self.parts.entropy);
        let user = row.user.clone();
        let proof = Proof {
            user: user.id.clone(),
            username: user.username.clone(),
            browser: visit.browser.digest().hex(),
            state: state_after(&row, first, renewed.as_ref()).hex(),
            first,
            due_at: row.leaving,
        };
        let (name, mail, asked) = (name_of(&id), self.parts.mail.clone(), visit.clone());
        let written = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let now = asked.now;
                    users::hold(tx, &row.user.id).await?;
                    if let Some(taken) = &taken
                        && !taken.settle(tx, &row.user, (&asked, &mail)).await?
                    {
                        return Err(LoginError::Overtaken);
                    }
                    if !still_has(tx, &row, renewed.as_ref(), (is_by_letter, now)).await? {
                        return Err(LoginError::Overtaken);
                    }
                    if !is_known {
                        let by = if is_by_letter { SignedInBy::Letter } else { SignedInBy::Other };
                        let letter = Letter::SignInFromNewDevice { address: asked.address, at: now, by };
                        mail.post(tx, letter, &row.user).await?;
                    }
                    single_use::issue(tx, Purpose::AccountKept, &name, &proof, now.plus(PATIENCE)).await?;
                    let event = AuditEvent::new(Actor::User(proof.user.clone()), AuditAction::SignIn);
                    let event = event.on(&proof.user).from(Some(asked.address)).refused();
                    tx.audit(event.with(if is_by_letter {
                        json!({ "by": "letter", "leaving": true })
                    } else {
                        json!({ "leaving": true })
                    }));
                    Ok(())
                })
            })
            .await;
        match written {
            Ok(()) => Err(LoginError::Leaving(id)),
            Err(LoginError::Overtaken) => self.note_failure(AuditAction::SignIn, Some(user), visit).await,
            Err(error) => Err(error),
        }
    }

    /// Whose account may be kept by this proof, in this browser.
    pub(crate) async fn leaver(&self, id: &StepId, visit: &Visit) -> Result<Leaver, LoginError> {
        let mut tx = self.store.read().await?;
        let found = single_use::find(&mut tx, Purpose::AccountKept, &name_of(id), visit.now).await?;
        leaver(&mut tx, found, visit).await.map(|(_, leaver)| leaver)
    }

    /// Keeps the account. Nobody is signed in by it, and what ended stays ended.
    pub(crate) async fn keep(&self, id: &StepId, visit: &Visit) -> Result<(), LoginError> {
        // Whoever has it in another browser does not use it up.
        self.leaver(id, visit).await?;
        let (name, mail, visit) = (name_of(id), self.parts.mail.clone(), visit.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let found: Option<Proof> =
                        single_use::consume(tx, Purpose::AccountKept, &name, visit.now).await?;
                    // Somebody may be setting another password.
                    if let Some(proof) = &found {
                        users::hold(tx, &proof.user).await?;
                    }
                    let (row, _) = leaver(tx, found, &visit).await?;
                    let actor = Actor::User(row.user.id.clone());
                    let event = AuditEvent::new(actor, AuditAction::UserDeletionWithdrawn);
                    let event = event.on(&row.user.id).from(Some(visit.address));
                    let kept = deletion::keep(tx, row.user, event).await?.ok_or(LoginError::StepGone)?;
                    let by = ChangedBy::Owner { address: visit.address };
                    Ok(deletion::tell_kept(tx, &mail, by, &kept).await?)
                })
            })
            .await
    }
}

/// The account that a proof is about, if it is of this browser, and the account has not changed since.
async fn leaver(tx: &mut Tx, found: Option<Proof>, visit: &Visit) -> Result<(SignInRow, Leaver), LoginError> {
    let own = visit.browser.digest().hex();
    let proof = found.filter(|proof| same(&proof.browser, &own)).ok_or(LoginError::StepGone)?;
    let row = credentials::for_sign_in(tx, &proof.username).await?;
    let is_same =
        |row: &SignInRow| row.user.id == proof.user && same(&state_of(row, proof.first).hex(), &proof.state);
    let row = row.filter(is_same).ok_or(LoginError::StepGone)?;
    let due_at = row.leaving.filter(|due| proof.due_at == Some(*due)).ok_or(LoginError::StepGone)?;
    let leaver = Leaver { username: row.user.username.clone(), due_at };
    Ok((row, leaver))
}
