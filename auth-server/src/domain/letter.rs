//! Letters: what people are told by mail.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;

/// How long it is worth telling of something that happened.
const NOTICE: Duration = Duration::from_hours(72);
/// How long a trial is worth sending.
const TRIAL: Duration = Duration::from_mins(10);

/// What a letter tells, with the facts that it needs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Letter {
    /// The password of the account was changed.
    PasswordChanged {
        /// By whom.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// Somebody signed in with a recovery code.
    RecoveryCodeUsed {
        /// From where.
        address: IpAddr,
        /// How many are left.
        left: u32,
        /// When.
        at: Timestamp,
    },
    /// The account asks for a second step from now on.
    SecondStepAdded {
        /// From where it was added.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// The account asks for no second step any more.
    SecondStepRemoved {
        /// By whom it was removed.
        by: ChangedBy,
        /// When.
        at: Timestamp,
    },
    /// Somebody signed in with a browser that was not known.
    SignInFromNewDevice {
        /// From where.
        address: IpAddr,
        /// When.
        at: Timestamp,
    },
    /// That letters arrive.
    Test {
        /// When it was asked for.
        at: Timestamp,
    },
}

/// Who changed something about an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "who")]
pub enum ChangedBy {
    /// Somebody who looks after the server. Who and from where is nothing for the letter.
    Administrator,
    /// Whoever was signed in with the account.
    Owner {
        /// From where.
        address: IpAddr,
    },
}

impl Letter {
    /// The name of the kind. Letters of a kind are counted together, and apart from those of others: whoever has many sent of a kind
    /// that anybody can ask for keeps no warning from arriving.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PasswordChanged { .. } => "password_changed",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::SecondStepAdded { .. } => "second_step_added",
            Self::SecondStepRemoved { .. } => "second_step_removed",
            Self::SignInFromNewDevice { .. } => "sign_in_from_new_device",
            Self::Test { .. } => "test",
        }
    }

    /// How long it is tried. A link in a letter would have to live as long, and no longer.
    pub const fn lifetime(&self) -> Duration {
        match self {
            Self::PasswordChanged { .. }
            | Self::RecoveryCodeUsed { .. }
            | Self::SecondStepAdded { .. }
            | Self::SecondStepRemoved { .. }
            | Self::SignInFromNewDevice { .. } => NOTICE,
            Self::Test { .. } => TRIAL,
        }
    }
}

/// How far a letter came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterState {
    /// It could not be sent for as long as it was worth sending.
    Expired,
    /// The mail server does not take it.
    Failed,
    /// The mail server took it.
    Sent,
    /// Too many letters of its kind went to the address: it is not sent.
    Void,
    /// It is tried, again and again.
    Waiting,
}

impl LetterState {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Void => "void",
            Self::Waiting => "waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_survives_the_way_to_the_database_and_back() {
        let at = Timestamp::from_secs(1_800_000_000);
        let owner = ChangedBy::Owner { address: "192.0.2.1".parse().unwrap() };
        for letter in [
            Letter::PasswordChanged { by: owner, at },
            Letter::PasswordChanged { by: ChangedBy::Administrator, at },
            Letter::RecoveryCodeUsed { address: "192.0.2.1".parse().unwrap(), left: 9, at },
            Letter::SecondStepAdded { address: "192.0.2.1".parse().unwrap(), at },
            Letter::SecondStepRemoved { by: ChangedBy::Administrator, at },
            Letter::SignInFromNewDevice { address: "2001:db8::1".parse().unwrap(), at },
            Letter::Test { at },
        ] {
            let kept = serde_json::to_value(&letter).unwrap();
            assert_eq!(kept["kind"], letter.name());
            assert_eq!(serde_json::from_value::<Letter>(kept).unwrap(), letter);
        }
        // What a later version writes is not guessed at.
        assert!(serde_json::from_value::<Letter>(serde_json::json!({ "kind": "later", "at": 1 })).is_err());
    }
}
