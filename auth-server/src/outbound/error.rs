//! Why a request to a client came to nothing.

use std::error::Error;

use crate::outbound::rules::AddressRefused;

/// Why a request to a client came to nothing. The texts are for administrators.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("too many requests are under way")]
    Busy,
    #[error("it failed too often and is left alone for a while")]
    LeftAlone,
    #[error("no certificate authority can be trusted: {0}")]
    NoTrust(String),
    #[error(transparent)]
    Refused(#[from] AddressRefused),
    #[error("no answer in time")]
    Silent,
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer is too long")]
    TooLong,
    #[error("no answer: {0}")]
    Transport(String),
}

impl OutboundError {
    /// What anybody may know: what a server on the public internet said. Whether a name leads inside, or who listens where, is for
    /// administrators.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Status(_) | Self::TooLong => format!(": {self}"),
            Self::Busy
            | Self::LeftAlone
            | Self::NoTrust(_)
            | Self::Refused(_)
            | Self::Silent
            | Self::Transport(_) => String::new(),
        }
    }

    /// What an error of the library comes from.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let timed_out = error.is_timeout();
        let mut cause: &(dyn Error + 'static) = error;
        loop {
            if let Some(refused) = cause.downcast_ref::<AddressRefused>() {
                return Self::Refused(*refused);
            }
            match cause.source() {
                Some(inner) => cause = inner,
                None if timed_out => return Self::Silent,
                // What is around it only says that a request was sent.
                None => return Self::Transport(cause.to_string()),
            }
        }
    }
}
