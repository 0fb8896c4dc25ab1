//! Why a client does not come in by itself.

use std::time::Duration;

use crate::domain::oauth_error::OAuthErrorCode;
use crate::outbound::OutboundError;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::registration::metadata::MetadataError;
use crate::services::registration::sector::SectorError;
use crate::storage::{Outcome, StoreError};

/// Why a client is not registered, or not shown or changed its registration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    #[error(transparent)]
    Administration(AdminError),
    #[error("an administrator switched the client off, or gave it a role that only an owner may take back")]
    Forbidden,
    #[error("what the client may have changed meanwhile")]
    Meanwhile,
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("clients do not register themselves here")]
    Off,
    #[error("too many registrations of one network")]
    Throttled { retry_after: Duration },
    #[error("the token is unknown, used up, expired, or of another client")]
    Token,
    #[error("there is no token")]
    TokenMissing,
}

impl RegistrationError {
    /// What the client is told.
    pub(crate) fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Administration(AdminError::Busy { .. }) | Self::Meanwhile | Self::Throttled { .. } => {
                OAuthErrorCode::TemporarilyUnavailable
            }
            Self::Administration(_) => OAuthErrorCode::ServerError,
            Self::Forbidden => OAuthErrorCode::AccessDenied,
            Self::Metadata(MetadataError::Metadata(_)) => OAuthErrorCode::InvalidClientMetadata,
            Self::Metadata(MetadataError::RedirectUri(_)) => OAuthErrorCode::InvalidRedirectUri,
            Self::Off => OAuthErrorCode::InvalidRequest,
            Self::Token | Self::TokenMissing => OAuthErrorCode::InvalidToken,
        }
    }
}

impl From<AdminError> for RegistrationError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(errors) => Self::Metadata(errors.into()),
            AdminError::OwnersOnly => Self::Forbidden,
            other => Self::Administration(other),
        }
    }
}

impl From<FieldErrors> for RegistrationError {
    fn from(errors: FieldErrors) -> Self {
        Self::Metadata(errors.into())
    }
}

impl From<SectorError> for RegistrationError {
    fn from(error: SectorError) -> Self {
        match error {
            SectorError::Metadata(error) => Self::Metadata(error),
            outbound @ SectorError::Outbound(_) => {
                Self::Metadata(MetadataError::Metadata(outbound.to_string()))
            }
        }
    }
}

impl From<SectorError> for DocumentError {
    fn from(error: SectorError) -> Self {
        match error {
            SectorError::Metadata(error) => Self::Metadata(error),
            SectorError::Outbound(error) => Self::Outbound(error),
        }
    }
}

impl From<StoreError> for RegistrationError {
    fn from(error: StoreError) -> Self {
        AdminError::from(error).into()
    }
}

impl Outcome for RegistrationError {
    /// A registration is made whole or not at all: no refusal leaves anything behind.
    fn is_fault(&self) -> bool {
        true
    }
}

/// Why a client that is named by its document is not known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the server cannot answer now")]
    Fault(StoreError),
    #[error("is an address at a host whose documents are not accepted here")]
    Host,
    #[error("leads to a document that describes no application that can be accepted: {0}")]
    Metadata(#[from] MetadataError),
    #[error("leads to a document that is not said to be JSON")]
    NotJson,
    #[error("names no application that may sign people in here")]
    Off,
    #[error("leads to a document that describes another application")]
    Other,
    #[error("leads to a document that cannot be fetched{}", .0.told())]
    Outbound(OutboundError),
    #[error("too many documents were fetched for one network")]
    Throttled { retry_after: Duration },
}

impl DocumentError {
    /// The whole reason, for the log.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Outbound(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Whether somebody who is nobody yet is told that it may be otherwise in a moment. Of what the fetch met, no more than the page
    /// tells: whether a name leads inside is not to be found out.
    pub(crate) const fn seems_to_pass(&self) -> bool {
        matches!(self, Self::Outbound(OutboundError::Refused(_))) || self.passes()
    }

    /// Whether it may be otherwise in a moment, and says nothing about the document.
    pub(crate) const fn passes(&self) -> bool {
        match self {
            Self::Fault(_) | Self::Throttled { .. } => true,
            Self::Outbound(error) => match error {
                OutboundError::Status(status) => *status >= 500 || *status == 429,
                OutboundError::Busy
                | OutboundError::LeftAlone
                | OutboundError::NoTrust(_)
                | OutboundError::Silent
                | OutboundError::Transport(_) => true,
                OutboundError::Refused(_) | OutboundError::TooLong => false,
            },
            Self::Host | Self::Metadata(_) | Self::NotJson | Self::Off | Self::Other => false,
        }
    }
}

impl From<RegistrationError> for DocumentError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Metadata(error) => Self::Metadata(error),
            RegistrationError::Administration(AdminError::Store(error)) => Self::Fault(error),
            // It was given what nobody may have who says of himself what he is.
            RegistrationError::Forbidden => Self::Off,
            RegistrationError::Administration(_)
            | RegistrationError::Meanwhile
            | RegistrationError::Off
            | RegistrationError::Throttled { .. }
            | RegistrationError::Token
            | RegistrationError::TokenMissing => Self::Fault(StoreError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_outranks_itself_is_not_one_that_waits_for_the_server() {
        let error = DocumentError::from(RegistrationError::from(AdminError::OwnersOnly));
        assert_eq!(error, DocumentError::Off);
        assert!(!error.passes(), "what was known of it counts no longer");
        let busy = DocumentError::from(RegistrationError::Meanwhile);
        assert!(busy.passes());
        assert_eq!(RegistrationError::Meanwhile.code(), OAuthErrorCode::TemporarilyUnavailable);
    }
}
