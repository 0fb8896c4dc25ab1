//! What an admin says about how a client is held to the protocol.

use crate::domain::client::Preset;
use crate::domain::client_protocol::ProtocolSettings;
use crate::domain::signing::SigningAlg;
use crate::services::clients::grants::{
    AssertionIssuerForm, TokenExchangeForm, assertion_issuers, device_grant,
};
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
    /// Let it ask for sign-ins on devices without a browser (RFC 8628).
    pub device_grant: bool,
    /// Let it exchange tokens of users (RFC 8693).
    pub token_exchange: Option<TokenExchangeForm>,
    /// Whose assertions say who it is, so that it needs no secret (RFC 7523 §2.1).
    pub assertion_issuers: Vec<AssertionIssuerForm>,
}

impl ProtocolForm {
    /// Checks it for a client that may ask tokens for `apis`.
    pub(super) fn parse(
        &self,
        errors: &mut FieldErrors,
        preset: Preset,
        apis: &[String],
    ) -> Option<ProtocolSettings> {
        if self.require_pushed_requests && !preset.sends_browsers() {
            let message = "a client that sends no browsers sends no authorization requests";
            errors.refuse("/options/protocol/require_pushed_requests", "contradiction", message);
        }
        let response_alg = self.authorization_signed_response_alg.as_deref().map(str::parse::<SigningAlg>);
        let pointer = "/options/protocol/authorization_signed_response_alg";
        let device_grant = device_grant(self.device_grant, preset, errors);
        let issuers = assertion_issuers(&self.assertion_issuers, preset, errors);
        let token_exchange = self.token_exchange.as_ref().map(|form| form.parse(preset, apis, errors));
        Some(ProtocolSettings {
            request_objects: self.require_signed_request_object.into(),
            pushed_requests: self.require_pushed_requests.into(),
            authorization_response_alg: errors.take(pointer, response_alg.transpose())?,
            device_grant,
            token_exchange: match token_exchange {
                None => None,
                Some(parsed) => Some(parsed?),
            },
            assertion_issuers: issuers?,
        })
    }
}
