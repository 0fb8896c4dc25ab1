//! What an admin says about how a client is held to the protocol.

use crate::domain::client_protocol::ProtocolSettings;
use crate::domain::signing::SigningAlg;
use crate::services::clients::openid::{OpenIdForm, Rest};
use crate::services::fields::FieldErrors;

/// What a client is held to beyond what every client is, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct ProtocolForm {
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    pub require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    pub require_signed_request_object: bool,
    /// What signed authorization responses are signed with (JARM). Without it: what ID tokens are.
    pub authorization_signed_response_alg: Option<String>,
    /// What it wants of OpenID Connect.
    pub openid: OpenIdForm,
}

impl ProtocolForm {
    pub(super) fn parse(&self, errors: &mut FieldErrors, rest: Rest<'_>) -> Option<ProtocolSettings> {
        let preset = rest.preset;
        if self.require_pushed_requests && !preset.signs_people_in() {
            let message = "a client without people sends no authorization requests";
            errors.refuse("/options/protocol/require_pushed_requests", "contradiction", message);
        }
        let response_alg = self.authorization_signed_response_alg.as_deref().map(str::parse::<SigningAlg>);
        let pointer = "/options/protocol/authorization_signed_response_alg";
        let openid = self.openid.parse(errors, rest);
        Some(ProtocolSettings {
            request_objects: self.require_signed_request_object.into(),
            pushed_requests: self.require_pushed_requests.into(),
            authorization_response_alg: errors.take(pointer, response_alg.transpose())?,
            openid: openid?,
        })
    }
}
