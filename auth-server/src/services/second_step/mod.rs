//! The second step of a sign-in: a code of an authenticator app, and recovery codes for the day when it is lost.

pub(crate) mod enrol;
pub(crate) mod recovery;
pub(crate) mod totp;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::domain::ids::UserId;
use crate::domain::secret::Digest32;
use crate::keys::seal::Sealer;
use crate::services::second_step::recovery::RecoveryCode;
use crate::services::second_step::totp::TotpSecret;
use crate::storage::StoreError;

/// What secrets are sealed for.
const PURPOSE: &str = "second step";
/// What the key is for under which recovery codes are kept.
const RECOVERY: &str = "recovery codes";

/// Codes that may be tried before the delay begins.
const FREE_TRIES: u32 = 5;
/// The first delay. Each wrong code doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// The longest: nobody is locked out for good.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// What second steps are kept with.
#[derive(Clone)]
pub(crate) struct StepKeys {
    sealer: Sealer,
    recovery: Arc<hmac::Key>,
}

impl StepKeys {
    pub(crate) fn new(sealer: Sealer) -> Self {
        let recovery = hmac::Key::new(hmac::HMAC_SHA256, &sealer.derive(RECOVERY));
        Self { sealer, recovery: Arc::new(recovery) }
    }

    fn seal(&self, user: &UserId, secret: &TotpSecret) -> Vec<u8> {
        self.sealer.seal(PURPOSE, user.as_str().as_bytes(), secret.as_bytes())
    }

    /// What makes the codes of an account.
    pub(crate) fn open(&self, user: &UserId, sealed: &[u8]) -> Result<TotpSecret, StoreError> {
        let opened = self.sealer.open(PURPOSE, user.as_str().as_bytes(), sealed).ok();
        opened
            .and_then(|bytes| TotpSecret::read(&bytes))
            .ok_or_else(|| StoreError::Corrupt { what: "second_steps.sealed".to_owned() })
    }

    /// What is kept of a recovery code: worthless without the key, and with another account.
    pub(crate) fn digest(&self, user: &UserId, code: &RecoveryCode) -> Digest32 {
        let message = [user.as_str().as_bytes(), b"\0", code.as_bytes()].concat();
        Digest32::of(hmac::sign(&self.recovery, &message).as_ref())
    }
}

/// How long the next try has to wait after so many wrong ones.
pub(crate) fn delay_after(tries: u32) -> Duration {
    match tries.checked_sub(FREE_TRIES) {
        None => Duration::ZERO,
        Some(more) => FIRST_DELAY.saturating_mul(1 << more.min(10)).min(LONGEST_DELAY),
    }
}

/// Whether so many wrong codes in a row, of browsers that never signed in, are no slip of the fingers: somebody knows the password.
pub(crate) const fn is_a_stranger(tries: u32) -> bool {
    tries >= FREE_TRIES
}

/// What stands for a step of an account among all that counts once.
pub(crate) fn step_name(user: &UserId, step: u64) -> Digest32 {
    Digest32::of_parts(&[user.as_str().as_bytes(), &step.to_be_bytes()])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::secret::Entropy;
    use crate::keys::master::MasterKey;

    /// Keys for tests.
    pub(crate) fn keys() -> StepKeys {
        StepKeys::new(Sealer::from_master(&MasterKey::generate(&Entropy::seeded(1)), Entropy::seeded(1)))
    }

    #[test]
    fn five_codes_are_free_and_then_each_wrong_one_doubles_the_wait_up_to_a_quarter_of_an_hour() {
        let secs: Vec<u64> = (0..16).map(|tries| delay_after(tries).as_secs()).collect();
        assert_eq!(secs, [0, 0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
        assert_eq!(delay_after(u32::MAX), LONGEST_DELAY);
    }
}
