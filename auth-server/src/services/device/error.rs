//! Why a device gets no code, and why a person's code leads nowhere.

use std::time::Duration;

use crate::domain::details::fault::DetailsFault;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::ParametersError;
use crate::services::authorize::interaction::InteractionError;
use crate::services::resource::ResourceError;
use crate::storage::{Outcome, StoreError};

/// Why a device gets no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error(transparent)]
    Details(#[from] DetailsFault),
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("the client may not use the device grant")]
    NotAllowed,
    #[error("this server has the device grant switched off")]
    Off,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("resource is unknown or repeated, or the client may not ask for it")]
    Resource,
    #[error("scope is missing or malformed, or the client may ask for none of it")]
    Scope,
    #[error("the client asks too often")]
    Throttled { retry_after: Duration },
}

impl From<ResourceError> for DeviceError {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Fault(error) => Self::Fault(error),
            ResourceError::Refused => Self::Resource,
        }
    }
}

impl DeviceError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Details(_) => OAuthErrorCode::InvalidAuthorizationDetails,
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) => OAuthErrorCode::ServerError,
            Self::NotAllowed => OAuthErrorCode::UnauthorizedClient,
            Self::Off => OAuthErrorCode::UnsupportedGrantType,
            Self::Parameters(_) => OAuthErrorCode::InvalidRequest,
            Self::Resource => OAuthErrorCode::InvalidTarget,
            Self::Scope => OAuthErrorCode::InvalidScope,
            Self::Throttled { .. } => OAuthErrorCode::TemporarilyUnavailable,
        }
    }

    /// In words that say nothing of what was sent.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Fault(_) => "the server cannot answer now".to_owned(),
            told => told.to_string(),
        }
    }
}

/// Why a code that somebody typed leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("this server has the device grant switched off")]
    Off,
    #[error("too many codes were tried")]
    Throttled { retry_after: Duration },
    /// There is none, it expired, or somebody decided: which of it is nobody's business who guesses.
    #[error("no device waits with this code")]
    Unknown,
}

impl Outcome for EntryError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

/// What became of a decision.
#[derive(Debug)]
pub(crate) enum Decided {
    /// The device is told.
    Done,
    /// Somebody else signed in since the page was shown, or nobody is signed in any more: ask again.
    AskAgain,
}

/// The result of a step of a person.
pub(crate) type Step<T> = Result<T, InteractionError>;
