//! Passkeys: keys that a device or an account elsewhere holds, and that sign somebody in without a password
//! ([Web Authentication](https://www.w3.org/TR/webauthn-3/)).

mod keys;
pub(crate) mod makers;
pub(crate) mod own;
pub(crate) mod party;

pub(crate) use self::keys::KeyName;

use std::time::Duration;

use crate::domain::ids::ChallengeId;
use crate::domain::secret::Digest32;

/// How long an authenticator may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// What somebody is asked who has a passkey, or is to have one.
pub(crate) struct Question {
    /// Names what waits for the answer.
    pub(crate) challenge: ChallengeId,
    /// What the browser is told, as [Web Authentication §5.1] has it in JSON.
    ///
    /// [Web Authentication §5.1]: https://www.w3.org/TR/webauthn-3/#sctn-parseCreationOptionsFromJSON
    pub(crate) options: serde_json::Value,
}

/// What stands for a challenge among all that counts once.
pub(crate) fn name_of(challenge: &ChallengeId) -> Digest32 {
    Digest32::of(challenge.as_str().as_bytes())
}
