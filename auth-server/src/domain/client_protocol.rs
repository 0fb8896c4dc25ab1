//! What a client is held to in the protocol, beyond what every client is.

use serde::{Deserialize, Serialize};

use crate::domain::client_openid::OpenIdSettings;
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
    /// What answers to its authorization requests are signed with, where it asks for signed ones. Without it: what its ID tokens are.
    pub authorization_response_alg: Option<SigningAlg>,
    /// What it wants of OpenID Connect.
    pub openid: OpenIdSettings,
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

impl From<bool> for PushedRequests {
    fn from(required: bool) -> Self {
        if required { Self::Required } else { Self::Accepted }
    }
}
