//! Activations at a later time.

use std::str::FromStr;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ScheduleId};
use crate::domain::policy::PolicyText;
use crate::domain::secret::Digest32;

/// A policy that is to be put in force at a later time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicySchedule {
    /// Names the schedule.
    pub id: ScheduleId,
    /// The API it is for.
    pub api: ApiId,
    /// What is to be put in force: the draft as it was. Empty once the schedule has ended.
    pub text: PolicyText,
    /// The digest of the text.
    pub sha256: Digest32,
    /// Why: it is shown in the history.
    pub message: String,
    /// The revision in force when it was asked for. It has to be in force still.
    pub base_revision: Option<u64>,
    /// When it is to be put in force.
    pub activate_at: Timestamp,
    /// Who asked for it, and when.
    pub request: ScheduleRequest,
    /// Who approved it, if somebody did.
    pub approved_by: Option<String>,
    /// How it ended. `None` while it waits.
    pub end: Option<ScheduleEnd>,
}

/// Who asked for an activation at a later time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScheduleRequest {
    /// Who saved the draft last.
    pub written_by: String,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
}

/// The end of a schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScheduleEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: Ending,
    /// The revision that it became.
    pub revision: Option<u64>,
}

/// How a schedule ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It is in force.
    Activated,
    /// Another revision came into force in the meantime.
    BaseMoved,
    /// Somebody took it back.
    Cancelled,
    /// The rules decide cases otherwise than the cases say.
    FailingCases,
    /// Nobody could edit policies any more.
    Lockout,
    /// It takes a second person, and nobody approved it.
    NotApproved,
    /// Whoever asked for it may not activate policies any more.
    NotPermitted,
    /// The policy does not compile.
    Unusable,
}

const ENDINGS: [(Ending, &str); 8] = [
    (Ending::Activated, "activated"),
    (Ending::BaseMoved, "base-moved"),
    (Ending::Cancelled, "cancelled"),
    (Ending::FailingCases, "failing-cases"),
    (Ending::Lockout, "lockout"),
    (Ending::NotApproved, "not-approved"),
    (Ending::NotPermitted, "not-permitted"),
    (Ending::Unusable, "unusable"),
];

impl Ending {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        ENDINGS.get(self as usize).map_or("unknown", |(_, name)| name)
    }
}

/// The text names no ending.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown ending of a schedule")]
pub struct UnknownEnding;

impl FromStr for Ending {
    type Err = UnknownEnding;

    fn from_str(raw: &str) -> Result<Self, UnknownEnding> {
        ENDINGS.into_iter().find(|(_, name)| *name == raw).map(|(ending, _)| ending).ok_or(UnknownEnding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_stands_at_its_own_place_in_the_table() {
        for (position, (ending, name)) in ENDINGS.into_iter().enumerate() {
            assert_eq!(ending as usize, position);
            assert_eq!((ending.as_str(), name.parse()), (name, Ok(ending)));
        }
        assert_eq!("later".parse::<Ending>(), Err(UnknownEnding));
    }
}
