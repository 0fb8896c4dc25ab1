//! Why an admin use case did not do what it was asked.

use std::fmt;
use std::time::Duration;

use portcullis_policy::Outcome;

use crate::services::fields::FieldErrors;
use crate::services::password::HashError;
use crate::storage::{Outcome as StoreOutcome, StoreError, Unique};

/// How long a database that is busy usually is.
const SOON: Duration = Duration::from_secs(1);

/// How many failing cases are named in one sentence.
const MAX_NAMED: usize = 20;

/// Why an admin use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The hash pool or the database has too much to do; come back later.
    #[error("the server is busy")]
    Busy {
        /// How long from now it is worth trying again.
        retry_after: Duration,
    },
    /// The rules decide cases otherwise than the cases say.
    #[error("{}", failing(.0))]
    Cases(Box<Outcome>),
    /// The thread that compiles policies was lost.
    #[error("the policy could not be compiled")]
    Compiler,
    /// What was asked contradicts what exists.
    #[error("{0}")]
    Conflict(&'static str),
    /// A password could not be hashed.
    #[error("the random source or the password hash failed: {0}")]
    Hash(String),
    /// Fields that cannot be accepted.
    #[error("some fields cannot be accepted: {0}")]
    Invalid(#[from] FieldErrors),
    /// Nobody who could undo it would be left.
    #[error("the last owner has to stay")]
    LastOwner,
    /// The policy of the admin API would let nobody edit it any more.
    #[error("nobody could edit policies any more")]
    Lockout,
    /// It does not exist, or not there.
    #[error("there is no such {0}")]
    NotFound(Thing),
    /// What is to come into force is in force.
    #[error("nothing would change: rules, cases and model are those in force")]
    NothingChanged,
    /// It concerns the admin API itself, so a delegated administrator could make himself an owner by it.
    #[error("only an owner of this server may do this")]
    OwnersOnly,
    /// The policy does not compile.
    #[error("the policy cannot be used: {0}")]
    Policy(portcullis_policy::Report),
    /// It takes a second person: not who wrote it or asked for it, and neither a client nor a command.
    #[error(
        "another person has to approve it: neither who wrote it nor who asked for it, and no client or command"
    )]
    SelfApproval,
    /// It was changed since the caller looked at it.
    #[error("it was changed in the meantime")]
    Stale,
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
    /// Somebody else took a name or an audience at the same moment.
    #[error("{0}")]
    Taken(FieldErrors),
}

impl StoreOutcome for AdminError {
    fn is_fault(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Compiler | Self::Hash(_) | Self::Store(_) | Self::Taken(_) => true,
            Self::Cases(_)
            | Self::Conflict(_)
            | Self::Invalid(_)
            | Self::LastOwner
            | Self::Lockout
            | Self::NotFound(_)
            | Self::NothingChanged
            | Self::OwnersOnly
            | Self::Policy(_)
            | Self::SelfApproval
            | Self::Stale => false,
        }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        let pointer = match error {
            StoreError::Conflict(Unique::Audience) => "/audience",
            StoreError::Conflict(Unique::RoleName) => "/name",
            StoreError::Conflict(Unique::Username) => "/username",
            error if error.is_temporary() => return Self::Busy { retry_after: SOON },
            error => return Self::Store(error),
        };
        Self::Taken(FieldErrors::of(pointer, "taken", "somebody else has it"))
    }
}

impl From<HashError> for AdminError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy { retry_after } => Self::Busy { retry_after },
            error => Self::Hash(error.to_string()),
        }
    }
}

/// Says which cases fail, by their lines.
fn failing(outcome: &Outcome) -> String {
    let named = outcome.failed.iter().take(MAX_NAMED);
    let lines: Vec<String> = named.map(|failed| failed.case.line.to_string()).collect();
    let more = if outcome.failed_total > lines.len() { ", .." } else { "" };
    let all = outcome.passed + outcome.failed_total;
    let cases = if all == 1 { "case" } else { "cases" };
    let (verb, place) = match outcome.failed_total {
        1 => ("is decided otherwise than it says", "line"),
        _ => ("are decided otherwise than they say", "lines"),
    };
    format!("{} of {all} {cases} {verb}, in {place} {}{more}", outcome.failed_total, lines.join(", "))
}

/// The kinds of things that admins work on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the text form beside each variant says what it is")]
pub enum Thing {
    Api,
    Assignment,
    Client,
    Consent,
    Deletion,
    Draft,
    InitialToken,
    Inventory,
    Invitation,
    Organisation,
    Passkey,
    Policy,
    Revision,
    Role,
    Schedule,
    Secret,
    Shadow,
    User,
}

impl fmt::Display for Thing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Api => "API",
            Self::Assignment => "assignment",
            Self::Client => "client",
            Self::Consent => "consent",
            Self::Deletion => "deletion that its owner asked for",
            Self::Draft => "draft",
            Self::InitialToken => "initial access token",
            Self::Inventory => "route inventory",
            Self::Invitation => "invitation",
            Self::Organisation => "organisation",
            Self::Passkey => "passkey",
            Self::Policy => "policy",
            Self::Revision => "revision",
            Self::Role => "role",
            Self::Schedule => "scheduled activation",
            Self::Secret => "secret",
            Self::Shadow => "trial of rules",
            Self::User => "user",
        })
    }
}
