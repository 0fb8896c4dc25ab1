//! Errors as OAuth clients read them: JSON with a code and a fixed text ([RFC 6749 §5.2]).
//!
//! [RFC 6749 §5.2]: https://www.rfc-editor.org/rfc/rfc6749#section-5.2

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::ParametersError;
use crate::http::cors;
use crate::http::dpop::ProofError;
use crate::http::error::Cause;
use crate::http::oauth::no_store::NoStore;
use crate::services::authorize::pushed::PushError;
use crate::services::ciba::error::CibaError;
use crate::services::client_auth::ClientAuthError;
use crate::services::device::error::DeviceError;
use crate::services::introspect::IntrospectError;
use crate::services::revocations::RevokeError;
use crate::services::token::TokenError;

/// What a client is told. The cause goes to the log and no further.
#[derive(Debug)]
pub(crate) struct OAuthError {
    code: OAuthErrorCode,
    description: Cow<'static, str>,
    status: StatusCode,
    /// When to try again, where that is known.
    retry_after: Option<Duration>,
    cause: Cause,
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: Cow<'static, str>,
}

impl OAuthError {
    pub(crate) fn new(
        code: OAuthErrorCode,
        description: impl Into<Cow<'static, str>>,
        cause: &(dyn Error + 'static),
    ) -> Self {
        Self {
            code,
            description: description.into(),
            status: code.status(),
            retry_after: None,
            cause: Cause::of(cause).coded(code.as_str()),
        }
    }

    /// The same where no credential was sent that could have been refused: 400, and no challenge.
    pub(crate) fn without_challenge(self) -> Self {
        let is_challenge = self.status == StatusCode::UNAUTHORIZED;
        Self { status: if is_challenge { StatusCode::BAD_REQUEST } else { self.status }, ..self }
    }

    /// A request that cannot be read at all.
    pub(crate) fn unreadable(error: Unreadable) -> Self {
        let told = |code| Self::new(code, error.description(), &error);
        match error {
            Unreadable::Address => told(OAuthErrorCode::ServerError),
            Unreadable::ContentType
            | Unreadable::Credentials
            | Unreadable::Interrupted
            | Unreadable::Parameters(_)
            | Unreadable::Query
            | Unreadable::Token => told(OAuthErrorCode::InvalidRequest),
        }
    }
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("nobody noted where the request comes from")]
    Address,
    #[error("the body is not a form")]
    ContentType,
    #[error("several Authorization headers")]
    Credentials,
    #[error("the body broke off")]
    Interrupted,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("a secret in the query")]
    Query,
    #[error("the parameter token is missing")]
    Token,
}

impl Unreadable {
    const fn description(self) -> &'static str {
        match self {
            Self::Address => "the server cannot answer now",
            Self::ContentType => "the body must be application/x-www-form-urlencoded",
            Self::Credentials => "the Authorization header was sent more than once",
            Self::Interrupted => "the body broke off",
            Self::Parameters(_) => "a parameter is repeated or malformed",
            Self::Query => "codes, tokens and secrets belong into the body, never into the address",
            Self::Token => "the parameter token is missing",
        }
    }
}

impl From<ClientAuthError> for OAuthError {
    fn from(error: ClientAuthError) -> Self {
        let description = match &error {
            ClientAuthError::Credential(_) => {
                "the client credentials are missing, malformed, or sent in several ways"
            }
            ClientAuthError::Fault(_) => "the server cannot answer now",
            ClientAuthError::Document(error) if error.seems_to_pass() => {
                "the document of the client cannot be fetched now"
            }
            ClientAuthError::KeysUnavailable => "the keys of the client cannot be fetched now",
            ClientAuthError::Throttled => "too many failures: wait before the next attempt",
            ClientAuthError::Assertion(_)
            | ClientAuthError::Certificate(_)
            | ClientAuthError::Disabled
            | ClientAuthError::Document(_)
            | ClientAuthError::Replayed
            | ClientAuthError::Unknown
            | ClientAuthError::WrongMethod
            | ClientAuthError::WrongSecret => "the client is unknown or its credentials are not accepted",
        };
        let told = Self::new(error.code(), description, &error);
        match error {
            ClientAuthError::Throttled => Self { status: StatusCode::TOO_MANY_REQUESTS, ..told },
            _ => told,
        }
    }
}

impl From<ProofError> for OAuthError {
    fn from(error: ProofError) -> Self {
        let description = match &error {
            ProofError::Nonce => "the DPoP proof needs the nonce in the header DPoP-Nonce".to_owned(),
            ProofError::Refused(_) => error.to_string(),
        };
        Self::new(error.code(), description, &error)
    }
}

impl From<TokenError> for OAuthError {
    fn from(error: TokenError) -> Self {
        let told = Self::new(error.code(), error.description(), &error);
        match error {
            TokenError::Client(error) => error.into(),
            TokenError::Throttled { retry_after } => {
                Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(retry_after), ..told }
            }
            _ => told,
        }
    }
}

impl From<PushError> for OAuthError {
    fn from(error: PushError) -> Self {
        let told = Self::new(error.code(), error.description(), &error);
        match error {
            PushError::Client(error) => error.into(),
            PushError::Throttled { retry_after } => {
                Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(retry_after), ..told }
            }
            _ => told,
        }
    }
}

impl From<DeviceError> for OAuthError {
    fn from(error: DeviceError) -> Self {
        let told = Self::new(error.code(), error.description(), &error);
        match error {
            DeviceError::Throttled { retry_after } => {
                Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(retry_after), ..told }
            }
            _ => told,
        }
    }
}

impl From<CibaError> for OAuthError {
    fn from(error: CibaError) -> Self {
        let told = Self::new(error.code(), error.description(), &error);
        match error.retry_after() {
            Some(wait) => Self { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(wait), ..told },
            None => told,
        }
    }
}

impl From<IntrospectError> for OAuthError {
    fn from(error: IntrospectError) -> Self {
        let description = match error {
            IntrospectError::Fault(_) | IntrospectError::Sign(_) => "the server cannot answer now",
            IntrospectError::PublicClient => "only clients with credentials may introspect",
        };
        Self::new(error.code(), description, &error)
    }
}

impl From<RevokeError> for OAuthError {
    fn from(error: RevokeError) -> Self {
        Self::new(error.code(), "the server cannot answer now", &error)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = Body { error: self.code.as_str(), error_description: self.description };
        let mut response = NoStore((self.status, Json(body))).into_response();
        response.extensions_mut().insert(self.cause);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6749 §5.2, RFC 7617 §2.1.
            let challenge = HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        let usual = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Some(Duration::from_secs(1)),
            StatusCode::TOO_MANY_REQUESTS => Some(Duration::from_mins(1)),
            _ => None,
        };
        if let Some(wait) = self.retry_after.or(usual) {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        cors::open(response)
    }
}
