//! Why a token was refused.

/// Why a token was refused. The cause is for the log; the caller learns no more than [`Self::told`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// `alg` is not one of ours, or not the one that the key is bound to.
    #[error("the algorithm is not the one of the key")]
    Algorithm,
    /// `aud` does not name this service.
    #[error("the token is meant for another service")]
    Audience,
    /// Characters that no token has (RFC 6750 §2.1).
    #[error("the token has characters that no token has")]
    Characters,
    /// A claim is missing, repeated or of the wrong type.
    #[error("the claims are not those of an access token")]
    Claims,
    /// The header has `crit`.
    #[error("the header has critical extensions")]
    Critical,
    /// The header brings a key or says where to get one.
    #[error("the header brings its own key")]
    EmbeddedKey,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// The header is not what RFC 7515 says.
    #[error("the header is malformed")]
    Header,
    /// The issuer was asked, and says no more than that.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// The payload is not JSON, or has no `iss`: there is nobody whose signature could be looked at.
    #[error("the token does not say who issued it")]
    Nameless,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYet,
    /// The token lives longer than is allowed here.
    #[error("the lifetime of the token is too long")]
    Lifetime,
    /// The token of a session speaks of somebody else than the one who signed in.
    #[error("the token is about somebody else than the session")]
    OtherSubject,
    /// The issuer took it back.
    #[error("the token was revoked")]
    Revoked,
    /// `cnf` binds the token to a key that the request does not prove.
    #[error("the token is bound to a key, and cannot be used as a bearer token")]
    SenderConstrained,
    /// Not three parts of base64url.
    #[error("the token is not a compact JWS")]
    Shape,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// More bytes than are looked at.
    #[error("the token is too long")]
    TooLong,
    /// `typ` is not `at+jwt`, or the issuer was asked and says that it is something else.
    #[error("the token is not an access token")]
    Type,
    /// The issuer was asked, and does not say for which service the token is.
    #[error("the issuer does not say for which service the token is")]
    Unaddressed,
    /// A token that is bound to nothing came with a proof.
    #[error("the token is not bound to a key, and came as one that is")]
    Unbound,
    /// The issuer was asked, and does not say that it is an access token: a refresh token may be active as well.
    #[error("the issuer does not say that the token is an access token")]
    Untyped,
    /// `iss` is not trusted here.
    #[error("the issuer is not trusted")]
    UnknownIssuer,
    /// The issuer has no such key.
    #[error("the issuer has no such key")]
    UnknownKey,
}

impl TokenFault {
    /// Whether anybody could have written the token: as far as it was looked at, no issuer vouches for it.
    pub(crate) const fn is_guess(self) -> bool {
        match self {
            Self::Algorithm
            | Self::Characters
            | Self::Critical
            | Self::EmbeddedKey
            | Self::Header
            | Self::Inactive
            | Self::Nameless
            | Self::Shape
            | Self::Signature
            | Self::TooLong
            | Self::Type
            | Self::UnknownIssuer
            | Self::UnknownKey => true,
            Self::Audience
            | Self::Claims
            | Self::Expired
            | Self::Lifetime
            | Self::NotYet
            | Self::OtherSubject
            | Self::Revoked
            | Self::SenderConstrained
            | Self::Unaddressed
            | Self::Unbound
            | Self::Untyped => false,
        }
    }

    /// What the caller is told: whether a new token would help, and nothing to probe the checks with.
    pub(crate) const fn told(self) -> &'static str {
        if matches!(self, Self::Expired) {
            "The access token has expired"
        } else {
            "The access token is invalid"
        }
    }
}
