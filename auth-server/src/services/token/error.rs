//! Why no token is issued, and what the client is told of it.

use std::time::Duration;

use crate::domain::details::fault::DetailsFault;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::ParametersError;
use crate::keys::ring::SignError;
use crate::services::client_auth::ClientAuthError;
use crate::services::client_auth::assertion::AssertionError;
use crate::services::details::DetailsError;
use crate::services::token::exchange_error::ExchangeError;
use crate::storage::{Outcome, StoreError, Unique};

/// Why no token is issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the assertion is not accepted: {0}")]
    Assertion(#[from] AssertionError),
    #[error("the assertion was used before")]
    AssertionReplayed,
    #[error("the client has to show a certificate, and showed none")]
    CertificateMissing,
    /// Found only here: what the client showed who it is by was used before.
    #[error(transparent)]
    Client(ClientAuthError),
    #[error("the code is unknown or expired")]
    CodeNotSpendable,
    #[error("the code was issued to another client")]
    CodeOfOtherClient,
    #[error("the code was spent before: what it bought is revoked")]
    CodeReplayed,
    /// RFC 9396 §8.
    #[error("nothing is granted in detail: {0}")]
    Details(#[from] DetailsFault),
    /// RFC 8693 §2.2.2.
    #[error("the tokens cannot be exchanged: {0}")]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Fault(StoreError),
    #[error("the client may not use this grant")]
    GrantNotAllowed,
    #[error("grant_type is missing")]
    GrantTypeMissing,
    #[error("grant_type is unknown")]
    GrantTypeUnknown,
    /// Found while a refresh token was to be traded; nothing is spent, so that trying again is no replay.
    #[error("the grant of the refresh token was revoked, or its user or session is gone")]
    GrantEnded,
    #[error("the grant was revoked, or its user or session is gone")]
    GrantOver,
    #[error("the code is bound to another key than the one that was proven")]
    KeyMismatch,
    #[error("a required parameter is missing: {0}")]
    Missing(&'static str),
    #[error("the client has to prove that it has a key or a certificate, and proved neither")]
    NothingHeld,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("code_verifier does not answer the challenge")]
    PkceMismatch,
    /// RFC 9700 §2.1.1: somebody took the challenge out of the request.
    #[error("code_verifier answers no challenge: the request had none")]
    PkceUnasked,
    #[error("the profile of the client does not permit the algorithm of the proof")]
    ProofAlgorithm,
    #[error("the client has to prove that it has a key, and did not")]
    ProofMissing,
    #[error("the proof of possession was used before")]
    ProofUsed,
    #[error("redirect_uri differs from the authorization request")]
    RedirectMismatch,
    #[error("the refresh token is unknown, expired, revoked, or of another client")]
    RefreshNotSpendable,
    #[error("the refresh token was spent before: its family is revoked")]
    RefreshReplayed,
    #[error("scope is malformed or exceeds what was granted")]
    Scope,
    #[error("signing failed")]
    Sign(#[from] SignError),
    #[error("the person who was asked denied it")]
    SignInDenied,
    #[error("nobody decided before the code or request expired")]
    SignInExpired,
    #[error("nobody decided yet, and the client asks too often")]
    SignInHurried,
    #[error("nobody decided yet")]
    SignInPending,
    #[error("the profile of the client does not permit what tokens for the API are signed with")]
    TargetAlgorithm,
    #[error("the API of the grant is gone")]
    TargetGone,
    #[error("resource is unknown, or not one that was granted")]
    TargetNotGranted,
    #[error("the grant is for several resources, and the request names none")]
    TargetOpen,
    #[error("more than one resource")]
    TargetSeveral,
    #[error("the client asks too often")]
    Throttled {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// What may be used once and is found used is a proof, or the assertion beside it, of which is asked next: everything else of that kind
/// has random bits of ours.
impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Unique::Once) => Self::ProofUsed,
            error => Self::Fault(error),
        }
    }
}

impl From<DetailsError> for TokenError {
    fn from(error: DetailsError) -> Self {
        match error {
            DetailsError::Fault(fault) => Self::Fault(fault),
            DetailsError::Parameters(error) => error.into(),
            DetailsError::Refused(fault) => Self::Details(fault),
        }
    }
}

impl TokenError {
    /// Whether trying the same again soon may succeed.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, Self::Fault(error) if error.is_temporary())
    }

    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Assertion(_)
            | Self::AssertionReplayed
            | Self::CodeNotSpendable
            | Self::CodeOfOtherClient
            | Self::CodeReplayed
            | Self::GrantEnded
            | Self::GrantOver
            | Self::KeyMismatch
            | Self::PkceMismatch
            | Self::PkceUnasked
            | Self::RedirectMismatch
            | Self::RefreshNotSpendable
            | Self::RefreshReplayed => OAuthErrorCode::InvalidGrant,
            Self::Client(error) => error.code(),
            Self::Details(_) => OAuthErrorCode::InvalidAuthorizationDetails,
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Throttled { .. } => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) | Self::Sign(_) => OAuthErrorCode::ServerError,
            Self::GrantNotAllowed => OAuthErrorCode::UnauthorizedClient,
            Self::CertificateMissing
            | Self::Exchange(_)
            | Self::GrantTypeMissing
            | Self::Missing(_)
            | Self::NothingHeld
            | Self::Parameters(_) => OAuthErrorCode::InvalidRequest,
            Self::ProofAlgorithm | Self::ProofMissing | Self::ProofUsed => OAuthErrorCode::InvalidDpopProof,
            Self::GrantTypeUnknown => OAuthErrorCode::UnsupportedGrantType,
            Self::Scope => OAuthErrorCode::InvalidScope,
            Self::SignInDenied => OAuthErrorCode::AccessDenied,
            Self::SignInExpired => OAuthErrorCode::ExpiredToken,
            Self::SignInHurried => OAuthErrorCode::SlowDown,
            Self::SignInPending => OAuthErrorCode::AuthorizationPending,
            Self::TargetAlgorithm
            | Self::TargetGone
            | Self::TargetNotGranted
            | Self::TargetOpen
            | Self::TargetSeveral => OAuthErrorCode::InvalidTarget,
        }
    }

    /// What the client is told in words: enough to find its own mistake, nothing about codes and tokens of others.
    pub(crate) const fn description(&self) -> &'static str {
        match self {
            Self::CodeNotSpendable
            | Self::CodeOfOtherClient
            | Self::CodeReplayed
            | Self::KeyMismatch
            | Self::PkceMismatch
            | Self::PkceUnasked
            | Self::RedirectMismatch => {
                "the code is unknown, expired, spent, or does not fit client, redirect_uri, code_verifier or key"
            }
            Self::Assertion(_) | Self::AssertionReplayed => {
                "the assertion is not one of a trusted issuer for this client and this server, is not valid now, or was used"
            }
            Self::CertificateMissing => "the client has to show its certificate in the TLS handshake",
            Self::Client(_) => "the client is unknown or its credentials are not accepted",
            Self::NothingHeld => {
                "the client has to send a DPoP proof, or to show its certificate in the TLS handshake"
            }
            Self::ProofAlgorithm => {
                "the DPoP proof is signed by an algorithm that the profile of the client does not permit"
            }
            Self::ProofMissing => "the client has to send a DPoP proof",
            Self::ProofUsed => "the DPoP proof was used before: make a new one for each request",
            Self::GrantEnded | Self::GrantOver | Self::RefreshNotSpendable | Self::RefreshReplayed => {
                "the refresh token or code is not valid any more"
            }
            Self::Fault(_) | Self::Sign(_) => "the server cannot answer now",
            Self::Throttled { .. } => "the client asks too often: wait before the next request",
            Self::Details(fault) => fault.text(),
            Self::Exchange(error) => error.description(),
            Self::GrantNotAllowed => "the client may not use this grant_type",
            Self::GrantTypeMissing => "grant_type is missing",
            Self::GrantTypeUnknown => "grant_type is not supported",
            Self::Missing(_) => "a required parameter is missing or malformed",
            Self::Parameters(_) => "a parameter is repeated or malformed",
            Self::Scope => "scope is malformed or exceeds what was granted",
            Self::SignInDenied => "the person who was asked denied it",
            Self::SignInExpired => "the code or auth_req_id has expired: ask for a new one",
            Self::SignInHurried => "nobody decided yet: ask less often, 5 seconds more from now on",
            Self::SignInPending => "nobody decided yet",
            Self::TargetAlgorithm => {
                "tokens for the resource are signed by an algorithm that the profile of the client does not permit"
            }
            Self::TargetOpen => "several resources were granted: name the one that the token is for",
            Self::TargetGone | Self::TargetNotGranted | Self::TargetSeveral => {
                "exactly one resource can be asked for, and only one that was granted"
            }
        }
    }
}

impl Outcome for TokenError {
    /// A refusal commits: a replayed family stays revoked. What does not fit the code or the grant is rolled back: the code
    /// stays good for its client, whoever intercepted it, and a client that asked for too much keeps its refresh token.
    fn is_fault(&self) -> bool {
        match self {
            Self::Client(_)
            | Self::CodeOfOtherClient
            | Self::Details(_)
            | Self::Fault(_)
            | Self::GrantEnded
            | Self::KeyMismatch
            | Self::PkceMismatch
            | Self::PkceUnasked
            | Self::ProofUsed
            | Self::RedirectMismatch
            | Self::Scope
            | Self::Sign(_)
            | Self::TargetGone
            | Self::TargetNotGranted
            | Self::TargetOpen => true,
            Self::Assertion(_)
            | Self::AssertionReplayed
            | Self::CertificateMissing
            | Self::CodeNotSpendable
            | Self::CodeReplayed
            | Self::Exchange(_)
            | Self::GrantNotAllowed
            | Self::GrantOver
            | Self::GrantTypeMissing
            | Self::GrantTypeUnknown
            | Self::Missing(_)
            | Self::NothingHeld
            | Self::Parameters(_)
            | Self::ProofAlgorithm
            | Self::ProofMissing
            | Self::RefreshNotSpendable
            | Self::RefreshReplayed
            | Self::SignInDenied
            | Self::SignInExpired
            | Self::SignInHurried
            | Self::SignInPending
            | Self::TargetAlgorithm
            | Self::TargetSeveral
            | Self::Throttled { .. } => false,
        }
    }
}
