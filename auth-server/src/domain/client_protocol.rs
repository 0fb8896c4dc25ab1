//! What a client is held to in the protocol, beyond what every client is.

use serde::{Deserialize, Serialize};

use crate::domain::backchannel::BackchannelLogout;
use crate::domain::client_authentication::ProofSettings;
use crate::domain::client_openid::OpenIdSettings;
use crate::domain::ids::ApiId;
use crate::domain::signing::SigningAlg;

/// What a client is held to beyond what every client is. What it does not say is left as it is for all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ProtocolSettings {
    /// How its authorization requests come in ([RFC 9126 §6]).
    ///
    /// [RFC 9126 §6]: https://www.rfc-editor.org/rfc/rfc9126#section-6
    pub pushed_requests: PushedRequests,
    /// Whether its authorization requests have to be signed (RFC 9101 §10.5).
    pub request_objects: RequestObjects,
    /// What answers to it are signed with, where it asks for signed ones.
    #[serde(flatten)]
    pub answers: AnswerAlgs,
    /// Where it is told that somebody signed out, if it wants to be.
    pub backchannel_logout: Option<BackchannelLogout>,
    /// Whether it may ask for sign-ins on devices without a browser (RFC 8628).
    pub device_grant: DeviceGrant,
    /// What it may exchange tokens for (RFC 8693). Without it: nothing.
    pub token_exchange: Option<TokenExchange>,
    /// Whom it believes who it is, instead of a secret (RFC 7523 §2.1).
    pub assertion_issuers: Vec<AssertionIssuer>,
    /// What its access tokens have to be bound to.
    pub sender_constraint: SenderConstraint,
    /// What its proof of who it is has to be, beyond the method.
    #[serde(flatten)]
    pub proof: ProofSettings,
    /// What it wants of OpenID Connect.
    pub openid: OpenIdSettings,
}

/// What answers to a client are signed with, where it asks for signed ones.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct AnswerAlgs {
    /// Those to its authorization requests (JARM §3). Without it: RS256, as far as its profile permits that.
    pub authorization_response_alg: Option<SigningAlg>,
    /// Those about tokens (RFC 9701 §6). Without it: the same.
    pub introspection_response_alg: Option<SigningAlg>,
}

/// Somebody whose assertions say who a client is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AssertionIssuer {
    /// The `iss` of the assertions.
    pub issuer: String,
    /// The public keys that they are signed with, as a JWK set in JSON.
    pub jwks: String,
    /// The `sub` of those that mean this client.
    pub subjects: Vec<String>,
}

/// Whether a client may ask for sign-ins on devices without a browser.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceGrant {
    /// It may.
    Allowed,
    /// It may not.
    #[default]
    Refused,
}

impl DeviceGrant {
    /// Whether it may.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// What a client may exchange the tokens of users for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenExchange {
    /// The APIs that it may get tokens for.
    pub apis: Vec<ApiId>,
    /// Whether it may pass for the user.
    pub impersonation: Impersonation,
}

/// Whether a client that acts for a user may pass for the user (RFC 8693 §1.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impersonation {
    /// A token without an actor is one of the user.
    Allowed,
    /// Each token says who acts.
    #[default]
    Refused,
}

impl Impersonation {
    /// Whether it may.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// What the access tokens of a client have to be bound to. A proof that comes with a request binds them in any case.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SenderConstraint {
    /// To a key that the client proves by DPoP ([RFC 9449 §5.2](https://www.rfc-editor.org/rfc/rfc9449#section-5.2)).
    pub dpop_bound_access_tokens: bool,
    /// To the certificate that it shows ([RFC 8705 §3.4](https://www.rfc-editor.org/rfc/rfc8705#section-3.4)).
    pub tls_client_certificate_bound_access_tokens: bool,
}

/// Whether authorization requests have to be pushed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushedRequests {
    /// They may be.
    #[default]
    Accepted,
    /// Nothing else is accepted.
    Required,
}

impl PushedRequests {
    /// Whether nothing else is accepted.
    pub const fn are_required(self) -> bool {
        matches!(self, Self::Required)
    }
}

/// Whether authorization requests have to be signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestObjects {
    /// They may be.
    #[default]
    Accepted,
    /// Nothing else is accepted.
    Required,
}

impl RequestObjects {
    /// Whether nothing else is accepted.
    pub const fn are_required(self) -> bool {
        matches!(self, Self::Required)
    }
}

impl From<bool> for RequestObjects {
    fn from(required: bool) -> Self {
        if required { Self::Required } else { Self::Accepted }
    }
}

impl From<bool> for DeviceGrant {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

impl From<bool> for Impersonation {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

impl From<bool> for PushedRequests {
    fn from(required: bool) -> Self {
        if required { Self::Required } else { Self::Accepted }
    }
}
