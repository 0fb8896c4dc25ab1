//! A second step that was passed, or a passkey that was shown, until it is used up.

use serde::de::IgnoredAny;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::letter::Letter;
use crate::domain::secret::Digest32;
use crate::domain::session::{Acr, AuthMethod};
use crate::domain::user::User;
use crate::services::login::first::FirstFactor;
use crate::services::mailing::MailService;
use crate::services::second_step::{step_name, totp};
use crate::services::visit::Visit;
use crate::storage::passkeys::{self, Passkey};
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Tx, letter_sign_ins, second_steps, single_use};

/// What was right beside a password, or in its place, as far as that can be told before it is used up.
pub(super) enum TakenStep {
    /// A code, after the password.
    Code {
        /// Names the sign-in that waited.
        waited: Digest32,
        code: TakenCode,
        /// What it comes after.
        first: FirstFactor,
    },
    /// The code of the letter with this name, for an account without a second step.
    Letter(Digest32),
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
            Self::Code { first: FirstFactor::Password, .. } => Acr::TwoFactors.methods(),
            // RFC 8176 §2: each of the two is a code that counts once, and no more is said of them.
            Self::Code { first: FirstFactor::Letter, .. } | Self::Letter(_) => vec![AuthMethod::OneTimeCode],
            Self::Passkey { .. } => AuthMethod::of_passkey(),
        }
    }

    /// How strong it is. A letter and a code are one factor: mail shows no possession of anything (NIST SP 800-63B-4 §3.1.3.1), so the code
    /// of the app is the only one that counts.
    pub(super) const fn acr(&self) -> Acr {
        match self {
            Self::Code { first: FirstFactor::Password, .. } | Self::Passkey { .. } => Acr::TwoFactors,
            Self::Code { first: FirstFactor::Letter, .. } | Self::Letter(_) => Acr::OneFactor,
        }
    }

    /// Whether it began with a letter.
    pub(super) const fn is_by_letter(&self) -> bool {
        matches!(self, Self::Code { first: FirstFactor::Letter, .. } | Self::Letter(_))
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
            Self::Code { waited, code, .. } => (waited, code),
            Self::Letter(name) => return letter_sign_ins::use_up(tx, name, now).await,
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
