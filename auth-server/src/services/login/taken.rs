//! A second step that was passed, or a passkey that was shown, until it is used up.

use serde::de::IgnoredAny;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::Letter;
use crate::domain::secret::Digest32;
use crate::domain::session::{Acr, AuthMethod};
use crate::domain::user::User;
use crate::services::mailing::MailService;
use crate::services::second_step::{step_name, totp};
use crate::services::visit::Visit;
use crate::storage::passkeys::{self, Passkey};
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Tx, second_steps, single_use};

/// What was right beside a password, or in its place, as far as that can be told before it is used up.
pub(super) enum TakenStep {
    /// A code, after the password.
    Code {
        /// Names the sign-in that waited.
        waited: Digest32,
        code: TakenCode,
    },
    /// A passkey, as it is from now on.
    Passkey {
        /// The signatures that it had made.
        before: u32,
        used: Box<Passkey>,
    },
}

/// Which code.
pub(super) enum TakenCode {
    /// That of an app for this step of time.
    App(u64),
    /// The recovery code with this digest.
    Recovery(Digest32),
}

impl TakenStep {
    /// What proves the person together with it.
    pub(super) fn methods(&self) -> Vec<AuthMethod> {
        match self {
            Self::Code { .. } => Acr::TwoFactors.methods(),
            Self::Passkey { .. } => AuthMethod::of_passkey(),
        }
    }

    /// Uses up what was given, and the sign-in that waited for it; gives whether nobody had before.
    pub(super) async fn settle(
        &self,
        tx: &mut Tx,
        user: &User,
        (visit, mail): (&Visit, &MailService),
    ) -> Result<bool, StoreError> {
        let now = visit.now;
        let (waited, code) = match self {
            Self::Code { waited, code } => (waited, code),
            Self::Passkey { before, used } => return passkeys::note_use(tx, used, *before).await,
        };
        if single_use::consume::<IgnoredAny>(tx, Purpose::SecondStep, waited, now).await?.is_none() {
            return Ok(false);
        }
        match code {
            TakenCode::App(step) => {
                second_steps::forget_tries(tx, &user.id, now).await?;
                let (name, end) = (step_name(&user.id, *step), totp::end_of(*step));
                single_use::remember(tx, Purpose::TotpStep, &name, end, now).await
            }
            TakenCode::Recovery(digest) => {
                if !second_steps::spend_code(tx, &user.id, digest, now).await? {
                    return Ok(false);
                }
                let left = second_steps::count_codes(tx, &user.id).await?;
                tx.audit(
                    AuditEvent::new(Actor::User(user.id.clone()), AuditAction::RecoveryCodeUsed)
                        .on(&user.id)
                        .from(Some(visit.address))
                        .with(json!({ "left": left })),
                );
                let letter = Letter::RecoveryCodeUsed { address: visit.address, left, at: now };
                mail.post(tx, letter, user).await?;
                Ok(true)
            }
        }
    }
}
