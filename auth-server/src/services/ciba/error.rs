//! Why a client may not start a sign-in from behind, and what became of a decision.

use std::time::Duration;

use crate::domain::details::fault::DetailsFault;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::ParametersError;
use crate::services::authorize::request_object::ObjectError;
use crate::services::resource::ResourceError;
use crate::storage::{Outcome, StoreError};

/// Why a client may not start a sign-in ([CIBA §13]).
///
/// [CIBA §13]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#auth_error_response
#[derive(Debug, thiserror::Error)]
pub(crate) enum CibaError {
    #[error("binding_message is too long or not plain: at most 64 visible characters of ASCII")]
    BindingMessage,
    /// RFC 9396 §5.
    #[error(transparent)]
    Details(#[from] DetailsFault),
    #[error("requested_expiry is no positive number of seconds")]
    Expiry,
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("too many requests wait for this person")]
    Flooded { retry_after: Duration },
    #[error("exactly one of login_hint and id_token_hint has to say who is meant")]
    Hint,
    #[error("login_hint_token is not supported: send login_hint or id_token_hint")]
    HintToken,
    #[error("id_token_hint is no ID token that this server issued to this client")]
    IdTokenHint,
    #[error("max_age is not a number of seconds")]
    MaxAge,
    #[error("a parameter stands beside the request object: it has to be in it")]
    Mixed,
    #[error("the client may not start sign-ins here")]
    NotAllowed,
    #[error(
        "client_notification_token is missing, or no bearer token of 128 random bits and 1024 characters at most"
    )]
    NotificationToken,
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("this server has CIBA switched off")]
    Off,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("request_uri is not supported")]
    RequestUri,
    #[error("resource is unknown or repeated, or the client may not ask for it")]
    Resource,
    #[error("scope is malformed, or lacks openid, or the client may not ask for that")]
    Scope,
    #[error("scope is missing")]
    ScopeMissing,
    #[error(
        "the client registered no backchannel_authentication_request_signing_alg, so it signs no requests"
    )]
    SigningUnknown,
    #[error("the client asks too often")]
    Throttled { retry_after: Duration },
    /// Nobody has that name, or the account is switched off, or is none that this client serves: which of it is not told.
    #[error("nobody is known here by that hint")]
    UnknownUser,
    #[error("requests of this client have to be signed: a request object is missing")]
    Unsigned,
    #[error("user_code is not supported")]
    UserCode,
}

impl CibaError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) => OAuthErrorCode::ServerError,
            Self::Details(_) => OAuthErrorCode::InvalidAuthorizationDetails,
            Self::BindingMessage => OAuthErrorCode::InvalidBindingMessage,
            Self::Flooded { .. } | Self::Throttled { .. } => OAuthErrorCode::TemporarilyUnavailable,
            Self::NotAllowed => OAuthErrorCode::UnauthorizedClient,
            Self::Off => OAuthErrorCode::UnsupportedGrantType,
            Self::Resource => OAuthErrorCode::InvalidTarget,
            Self::Scope => OAuthErrorCode::InvalidScope,
            Self::UnknownUser => OAuthErrorCode::UnknownUserId,
            Self::Expiry
            | Self::Hint
            | Self::HintToken
            | Self::IdTokenHint
            | Self::MaxAge
            | Self::Mixed
            | Self::NotificationToken
            | Self::Object(_)
            | Self::Parameters(_)
            | Self::RequestUri
            | Self::ScopeMissing
            | Self::SigningUnknown
            | Self::Unsigned
            | Self::UserCode => OAuthErrorCode::InvalidRequest,
        }
    }

    /// In words that say nothing of what was sent.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::Fault(_) => "the server cannot answer now".to_owned(),
            told => told.to_string(),
        }
    }

    /// When to try again, where it is a matter of time.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        if let Self::Flooded { retry_after } | Self::Throttled { retry_after } = self {
            Some(*retry_after)
        } else {
            None
        }
    }
}

impl Outcome for CibaError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

impl From<ResourceError> for CibaError {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Fault(error) => Self::Fault(error),
            ResourceError::Refused => Self::Resource,
        }
    }
}

/// The result of a step of a person.
pub(crate) type Step<T> = Result<T, StoreError>;

/// What became of a decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decided {
    /// The client is told.
    Done,
    /// There is no such request of this person any more: decided, expired, or never there.
    Gone,
    /// The request asks for a fresh sign-in before it may be allowed.
    SignIn,
}
