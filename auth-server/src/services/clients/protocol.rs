//! What an admin says about how a client is held to the protocol.

use crate::domain::backchannel::BackchannelLogout;
use crate::domain::client::{Client, Preset};
use crate::domain::client_authentication::ProofSettings;
use crate::domain::client_protocol::{AnswerAlgs, ProtocolSettings, SenderConstraint};
use crate::domain::client_url::ClientUrl;
use crate::domain::signing::SigningAlg;
use crate::services::clients::grants::{
    AssertionIssuerForm, TokenExchangeForm, assertion_issuers, device_grant,
};
use crate::services::clients::openid::{DEFAULT_MAX_AGE, OpenIdForm, Rest};
use crate::services::clients::signatures::SIGNED_REQUESTS;
use crate::services::fields::FieldErrors;

/// Where the address is that is told of sign-outs.
pub(super) const BACKCHANNEL_URI: &str = "/options/protocol/backchannel_logout_uri";
const BACKCHANNEL_SESSION: &str = "/options/protocol/backchannel_logout_session_required";

/// Where it is said what answers to authorization requests are signed with.
const RESPONSE_ALG: &str = "/options/protocol/authorization_signed_response_alg";

/// Where it is said what answers about tokens are signed with.
pub(super) const INTROSPECTION_ALG: &str = "/options/protocol/introspection_signed_response_alg";

/// What a client is held to beyond what every client is, as text from any edge.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the specifications")]
pub struct ProtocolForm {
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    pub require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    pub require_signed_request_object: bool,
    /// What answers to it are signed with, where it asks for signed ones.
    pub answers: AnswersForm,
    /// Where it is told that somebody signed out (OpenID Connect Back-Channel Logout).
    pub backchannel_logout_uri: Option<String>,
    /// Whether it needs the `sid` there.
    pub backchannel_logout_session_required: bool,
    /// Let it ask for sign-ins on devices without a browser (RFC 8628).
    pub device_grant: bool,
    /// Let it exchange tokens of users (RFC 8693).
    pub token_exchange: Option<TokenExchangeForm>,
    /// Whose assertions say who it is, so that it needs no secret (RFC 7523 §2.1).
    pub assertion_issuers: Vec<AssertionIssuerForm>,
    /// What its access tokens have to be bound to.
    pub sender_constraint: SenderConstraint,
    /// What it wants of OpenID Connect.
    pub openid: OpenIdForm,
}

/// What answers to a client are signed with, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct AnswersForm {
    /// Those to its authorization requests (JARM). Without it: RS256, or what ID tokens are where the profile forbids that.
    pub authorization_signed_response_alg: Option<String>,
    /// Those about tokens (RFC 9701). Without it: the same.
    pub introspection_signed_response_alg: Option<String>,
}

impl AnswersForm {
    fn parse(&self, errors: &mut FieldErrors) -> Option<AnswerAlgs> {
        let mut read = |pointer: &str, named: &Option<String>| {
            errors.take(pointer, named.as_deref().map(str::parse::<SigningAlg>).transpose())
        };
        let authorization_response_alg = read(RESPONSE_ALG, &self.authorization_signed_response_alg);
        let introspection_response_alg = read(INTROSPECTION_ALG, &self.introspection_signed_response_alg);
        Some(AnswerAlgs {
            authorization_response_alg: authorization_response_alg?,
            introspection_response_alg: introspection_response_alg?,
        })
    }
}

/// Whoever does not prove who it is asks about no tokens.
pub(super) fn check_introspection(errors: &mut FieldErrors, client: &Client) {
    if client.settings.protocol.answers.introspection_response_alg.is_some() && !client.is_confidential() {
        let message = "a client that does not prove who it is is told nothing about tokens";
        errors.refuse(INTROSPECTION_ALG, "contradiction", message);
    }
}

/// Refuses what is about authorization requests, of a client that sends none.
pub(super) fn check_requests(errors: &mut FieldErrors, client: &Client) {
    let protocol = &client.settings.protocol;
    if client.settings.preset.sends_browsers() {
        return;
    }
    for (pointer, is_said) in [
        (RESPONSE_ALG, protocol.answers.authorization_response_alg.is_some()),
        (SIGNED_REQUESTS, protocol.request_objects.are_required()),
    ] {
        if is_said {
            let message = "a client that sends no browsers sends no authorization requests";
            errors.refuse(pointer, "contradiction", message);
        }
    }
}

impl ProtocolForm {
    /// Checks it as a part of the whole client.
    pub(super) fn parse(&self, errors: &mut FieldErrors, rest: Rest<'_>) -> Option<ProtocolSettings> {
        let Rest { preset, apis, .. } = rest;
        if self.require_pushed_requests && !preset.sends_browsers() {
            let message = "a client that sends no browsers sends no authorization requests";
            errors.refuse("/options/protocol/require_pushed_requests", "contradiction", message);
        }
        let answers = self.answers.parse(errors);
        let device_grant = device_grant(self.device_grant, preset, errors);
        let issuers = assertion_issuers(&self.assertion_issuers, preset, errors);
        let token_exchange = self.token_exchange.as_ref().map(|form| form.parse(preset, apis, errors));
        let openid = self.openid.parse(errors, rest);
        if device_grant.is_allowed() && self.openid.default_max_age.is_some() && preset.sends_browsers() {
            let message = "people who type the code of a device are not asked to sign in again: leave `device_grant` out";
            errors.refuse(DEFAULT_MAX_AGE, "contradiction", message);
        }
        Some(ProtocolSettings {
            request_objects: self.require_signed_request_object.into(),
            pushed_requests: self.require_pushed_requests.into(),
            answers: answers?,
            backchannel_logout: self.backchannel_logout(errors, preset),
            device_grant,
            token_exchange: match token_exchange {
                None => None,
                Some(parsed) => Some(parsed?),
            },
            assertion_issuers: issuers?,
            // What proves who it is is said elsewhere.
            proof: ProofSettings::default(),
            sender_constraint: self.sender_constraint,
            openid: openid?,
        })
    }

    /// What is wrong about it is noted, and refuses the whole.
    fn backchannel_logout(&self, errors: &mut FieldErrors, preset: Preset) -> Option<BackchannelLogout> {
        let session_required = self.backchannel_logout_session_required;
        let Some(uri) = &self.backchannel_logout_uri else {
            if session_required {
                let message = "says what is sent to `backchannel_logout_uri`: give that as well";
                errors.refuse(BACKCHANNEL_SESSION, "contradiction", message);
            }
            return None;
        };
        if !preset.signs_people_in() {
            let message = "nobody signs in to a client without people, so nobody signs out";
            errors.refuse(BACKCHANNEL_URI, "contradiction", message);
        }
        let uri = errors.take(BACKCHANNEL_URI, ClientUrl::parse(uri))?;
        Some(BackchannelLogout { uri, session_required })
    }
}
