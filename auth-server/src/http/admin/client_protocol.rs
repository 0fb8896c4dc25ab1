//! What a client is held to in the protocol, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::client_protocol::ProtocolSettings;
use crate::services::clients::protocol::ProtocolForm;

/// What a client is held to beyond what every client is.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the specifications")]
pub(crate) struct ProtocolDocument {
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    require_signed_request_object: bool,
    /// `ES256`, `EdDSA` or `RS256`: what signed authorization responses are signed with (JARM). Without it: what ID tokens are.
    authorization_signed_response_alg: Option<String>,
    /// Where logout tokens are sent when a session ends in which it got an ID token (OpenID Connect Back-Channel Logout).
    #[schema(example = "https://shop.example.com/auth/backchannel")]
    backchannel_logout_uri: Option<String>,
    /// Whether it needs the `sid` in them. They have it in any case.
    backchannel_logout_session_required: bool,
    /// Give it only access tokens that are bound to a key that it proves (RFC 9449 §5.2). A proof binds them in any case.
    dpop_bound_access_tokens: bool,
    /// Give it only access tokens that are bound to the certificate that it shows (RFC 8705 §3.4).
    tls_client_certificate_bound_access_tokens: bool,
}

impl From<ProtocolSettings> for ProtocolDocument {
    fn from(settings: ProtocolSettings) -> Self {
        let response_alg = settings.authorization_response_alg;
        let backchannel = settings.backchannel_logout;
        let constraint = settings.sender_constraint;
        Self {
            backchannel_logout_session_required: backchannel
                .as_ref()
                .is_some_and(|told| told.session_required),
            backchannel_logout_uri: backchannel.map(|told| told.uri.into()),
            require_signed_request_object: settings.request_objects.are_required(),
            require_pushed_requests: settings.pushed_requests.are_required(),
            authorization_signed_response_alg: response_alg.map(|alg| alg.as_str().to_owned()),
            dpop_bound_access_tokens: constraint.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens: constraint.tls_client_certificate_bound_access_tokens,
        }
    }
}

impl From<ProtocolDocument> for ProtocolForm {
    fn from(document: ProtocolDocument) -> Self {
        Self {
            backchannel_logout_session_required: document.backchannel_logout_session_required,
            backchannel_logout_uri: document.backchannel_logout_uri,
            require_signed_request_object: document.require_signed_request_object,
            require_pushed_requests: document.require_pushed_requests,
            authorization_signed_response_alg: document.authorization_signed_response_alg,
            dpop_bound_access_tokens: document.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens: document.tls_client_certificate_bound_access_tokens,
        }
    }
}
