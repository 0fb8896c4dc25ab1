//! What a client is held to in the protocol, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::client_protocol::ProtocolSettings;
use crate::services::clients::protocol::ProtocolForm;

/// What a client is held to beyond what every client is.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtocolDocument {
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    require_signed_request_object: bool,
    /// `ES256`, `EdDSA` or `RS256`: what signed authorization responses are signed with (JARM). Without it: what ID tokens are.
    authorization_signed_response_alg: Option<String>,
}

impl From<ProtocolSettings> for ProtocolDocument {
    fn from(settings: ProtocolSettings) -> Self {
        let response_alg = settings.authorization_response_alg;
        Self {
            require_signed_request_object: settings.request_objects.are_required(),
            require_pushed_requests: settings.pushed_requests.are_required(),
            authorization_signed_response_alg: response_alg.map(|alg| alg.as_str().to_owned()),
        }
    }
}

impl From<ProtocolDocument> for ProtocolForm {
    fn from(document: ProtocolDocument) -> Self {
        Self {
            require_signed_request_object: document.require_signed_request_object,
            require_pushed_requests: document.require_pushed_requests,
            authorization_signed_response_alg: document.authorization_signed_response_alg,
        }
    }
}
