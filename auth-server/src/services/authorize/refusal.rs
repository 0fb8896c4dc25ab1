//! Why an authorization request is refused, and where the answer goes: to a page, or to the redirect URI.

use crate::domain::details::fault::DetailsFault;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::ParametersError;
use crate::domain::pkce::PkceError;
use crate::services::authorize::request_object::ObjectError;

/// Why a request is answered with a page: its answer has no address that can be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PageError {
    #[error("is missing")]
    ClientMissing,
    #[error("was sent more than once")]
    ClientRepeated,
    #[error("names no application that may sign people in here")]
    ClientUnknown,
    /// RFC 9101 §5.
    #[error("stands beside a request object, of which only one may come")]
    HandleBesideObject,
    #[error("was sent more than once")]
    HandleRepeated,
    #[error("stands for no request of this application, or was used, or has expired")]
    HandleUnknown,
    #[error("the request is not clean form data: {0}")]
    Malformed(ParametersError),
    #[error("is missing, and the application registered none or several, or asks for an ID token")]
    RedirectMissing,
    #[error("is not registered for this application, character for character")]
    RedirectNotRegistered,
    #[error("was sent more than once")]
    RedirectRepeated,
}

impl PageError {
    /// What the page calls it.
    pub(crate) const fn code(self) -> OAuthErrorCode {
        match self {
            Self::HandleUnknown => OAuthErrorCode::InvalidRequestUri,
            Self::ClientMissing
            | Self::ClientRepeated
            | Self::ClientUnknown
            | Self::HandleBesideObject
            | Self::HandleRepeated
            | Self::Malformed(_)
            | Self::RedirectMissing
            | Self::RedirectNotRegistered
            | Self::RedirectRepeated => OAuthErrorCode::InvalidRequest,
        }
    }

    /// The parameter to blame.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::ClientMissing | Self::ClientRepeated | Self::ClientUnknown => "client_id",
            Self::HandleBesideObject | Self::HandleRepeated | Self::HandleUnknown => "request_uri",
            Self::Malformed(_) => "request",
            Self::RedirectMissing | Self::RedirectNotRegistered | Self::RedirectRepeated => "redirect_uri",
        }
    }
}

/// Why a request is answered with an error at the redirect URI.
///
/// The texts go to the client as `error_description`: they are fixed, and of the characters that RFC 6749 §4.1.2.1 allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request was denied")]
    AccessDenied,
    #[error(
        "the sign-in has no acr that the request insists on, by an essential claim or, for an API, by acr_values"
    )]
    AcrUnmet,
    #[error("claims is not what OpenID Connect Core section 5.5 says, or is too large, or repeats a member")]
    Claims,
    #[error("consent is needed, and prompt=none forbids to ask")]
    ConsentNeeded,
    #[error("prompt=create is not supported: people do not make accounts here themselves")]
    Create,
    #[error(transparent)]
    Details(DetailsFault),
    #[error("the id_token_hint is not an ID token of this server")]
    HintNotOurs,
    #[error("dpop_jkt does not name the key of the DPoP proof")]
    KeyMismatch,
    #[error("dpop_jkt is not the thumbprint of a key: 43 characters of base64url")]
    KeyUnreadable,
    #[error("a sign-in is needed, and prompt=none forbids to ask")]
    LoginNeeded,
    #[error("max_age is not a number of seconds")]
    MaxAge,
    #[error(transparent)]
    Object(ObjectError),
    #[error("requests of this client have to be signed: a request object is missing")]
    ObjectMissing,
    #[error("requests of this client have to be pushed to the pushed_authorization_request_endpoint")]
    NotPushed,
    #[error("somebody else signed in than the id_token_hint or the claims parameter names")]
    OtherUser,
    #[error("code_challenge is missing: this client has to use PKCE with S256")]
    PkceMissing,
    #[error(
        "code_challenge or code_challenge_method is not acceptable: use S256 and 43 characters of base64url"
    )]
    PkceNotAcceptable,
    #[error("prompt holds an unknown value, or none together with another")]
    Prompt,
    #[error("registration is not supported")]
    Registration,
    #[error("a parameter was sent more than once")]
    Repeated,
    #[error("the client registered no keys that a request object could be signed with")]
    RequestObject,
    #[error("request_uri is not supported")]
    RequestUri,
    #[error("resource names something that the client was not given, or more than 8 things")]
    Resource,
    #[error("response_mode is none of query, form_post, and these signed")]
    ResponseMode,
    #[error("the client gets signed answers alone: response_mode is one of jwt, query.jwt and form_post.jwt")]
    ResponseModeUnsigned,
    #[error("response_type is missing")]
    ResponseTypeMissing,
    #[error("the only response_type is code")]
    ResponseTypeUnsupported,
    #[error("scope is missing, malformed, or holds nothing that the client may ask for")]
    Scope,
    #[error("state or nonce is too long")]
    TooLong,
    #[error("the client may not use the authorization code grant")]
    Unauthorized,
}

impl RequestError {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 35] = [
        Self::AccessDenied,
        Self::AcrUnmet,
        Self::Claims,
        Self::ConsentNeeded,
        Self::Create,
        Self::Details(DetailsFault::Conformity),
        Self::Details(DetailsFault::Elsewhere),
        Self::Details(DetailsFault::Exceeding),
        Self::Details(DetailsFault::Malformed),
        Self::Details(DetailsFault::NotHere),
        Self::Details(DetailsFault::Type),
        Self::HintNotOurs,
        Self::KeyMismatch,
        Self::KeyUnreadable,
        Self::LoginNeeded,
        Self::MaxAge,
        Self::NotPushed,
        Self::Object(ObjectError::Signature),
        Self::ObjectMissing,
        Self::OtherUser,
        Self::PkceMissing,
        Self::PkceNotAcceptable,
        Self::Prompt,
        Self::Registration,
        Self::Repeated,
        Self::RequestObject,
        Self::RequestUri,
        Self::Resource,
        Self::ResponseMode,
        Self::ResponseModeUnsigned,
        Self::ResponseTypeMissing,
        Self::ResponseTypeUnsupported,
        Self::Scope,
        Self::TooLong,
        Self::Unauthorized,
    ];

    /// What the client is told.
    pub(crate) const fn code(self) -> OAuthErrorCode {
        match self {
            Self::AccessDenied => OAuthErrorCode::AccessDenied,
            Self::AcrUnmet => OAuthErrorCode::UnmetAuthenticationRequirements,
            Self::ConsentNeeded => OAuthErrorCode::ConsentRequired,
            Self::Details(_) => OAuthErrorCode::InvalidAuthorizationDetails,
            Self::LoginNeeded | Self::OtherUser => OAuthErrorCode::LoginRequired,
            Self::Object(_) => OAuthErrorCode::InvalidRequestObject,
            Self::Registration => OAuthErrorCode::RegistrationNotSupported,
            Self::RequestObject => OAuthErrorCode::RequestNotSupported,
            Self::RequestUri => OAuthErrorCode::RequestUriNotSupported,
            Self::Resource => OAuthErrorCode::InvalidTarget,
            Self::ResponseTypeUnsupported => OAuthErrorCode::UnsupportedResponseType,
            Self::Scope => OAuthErrorCode::InvalidScope,
            Self::Unauthorized => OAuthErrorCode::UnauthorizedClient,
            Self::Claims
            | Self::Create
            | Self::HintNotOurs
            | Self::KeyMismatch
            | Self::KeyUnreadable
            | Self::MaxAge
            | Self::NotPushed
            | Self::ObjectMissing
            | Self::PkceMissing
            | Self::PkceNotAcceptable
            | Self::Prompt
            | Self::Repeated
            | Self::ResponseMode
            | Self::ResponseModeUnsigned
            | Self::ResponseTypeMissing
            | Self::TooLong => OAuthErrorCode::InvalidRequest,
        }
    }
}

impl From<ParametersError> for RequestError {
    fn from(_: ParametersError) -> Self {
        // What is not clean form data never gets this far: only a repeated parameter is left.
        Self::Repeated
    }
}

impl From<PkceError> for RequestError {
    fn from(_: PkceError) -> Self {
        Self::PkceNotAcceptable
    }
}
