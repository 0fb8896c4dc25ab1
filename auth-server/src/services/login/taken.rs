//! A second step that was passed, until it is used up.

use serde::de::IgnoredAny;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::Letter;
use crate::domain::secret::Digest32;
use crate::domain::user::User;
use crate::services::mailing::MailService;
use crate::services::second_step::{step_name, totp};
use crate::services::visit::Visit;
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Tx, second_steps, single_use};

/// A code that was right, as far as that can be told before it is used up.
pub(super) struct TakenStep {
    /// Names the sign-in that waited.
    pub(super) waited: Digest32,
    pub(super) code: TakenCode,
}

/// Which code.
pub(super) enum TakenCode {
    /// That of an app for this step of time.
    App(u64),
    /// The recovery code with this digest.
    Recovery(Digest32),
}

impl TakenStep {
    /// Uses up what was given, and the sign-in that waited for it; gives whether nobody had before.
    pub(super) async fn settle(
        &self,
        tx: &mut Tx,
        user: &User,
        (visit, mail): (&Visit, &MailService),
    ) -> Result<bool, StoreError> {
        let now = visit.now;
        if single_use::consume::<IgnoredAny>(tx, Purpose::SecondStep, &self.waited, now).await?.is_none() {
            return Ok(false);
        }
        match &self.code {
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
