//! Why a stream ends before its time.

/// Why a permission ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The policy does not allow it any more, or the token has not the scope that the route requires.
    #[error("the caller may not do this any more")]
    Denied,
    /// The token has expired.
    #[error("the access token has expired")]
    Expired,
    /// The token, or the key that signed it, was taken back.
    #[error("the access token was revoked")]
    Revoked,
    /// The sign-in is older than the route, or the rule that allowed it, accepts.
    #[error("this needs a more recent sign-in")]
    SignIn,
    /// Whether it lasts cannot be known: keys, policy or revocations are too old.
    #[error("whether this is still allowed cannot be decided")]
    Unavailable,
}

impl Ended {
    /// With what status a WebSocket is closed for it (RFC 6455 §7.4.1): 1008, or 1013 where it is this service that lacks something.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Denied | Self::Expired | Self::Revoked | Self::SignIn => 1008,
            Self::Unavailable => 1013,
        }
    }
}
