//! What a client says of sign-ins that it wants to start from behind
//! ([CIBA §4](https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#registration)).

use serde::Deserialize;
use serde_json::Value;

/// The members by which it would say so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the members are those of the specification")]
pub(crate) struct FromBehind {
    backchannel_token_delivery_mode: Option<Value>,
    backchannel_client_notification_endpoint: Option<Value>,
    backchannel_authentication_request_signing_alg: Option<Value>,
    backchannel_user_code_parameter: Option<Value>,
}

impl FromBehind {
    /// A member that asks for something.
    pub(super) fn asked(&self) -> Option<&'static str> {
        let Self {
            backchannel_token_delivery_mode: mode,
            backchannel_client_notification_endpoint: endpoint,
            backchannel_authentication_request_signing_alg: alg,
            backchannel_user_code_parameter: code,
        } = self;
        let members = [
            ("backchannel_token_delivery_mode", mode.is_some()),
            ("backchannel_client_notification_endpoint", endpoint.is_some()),
            ("backchannel_authentication_request_signing_alg", alg.is_some()),
            (
                "backchannel_user_code_parameter",
                code.as_ref().is_some_and(|code| *code != Value::Bool(false)),
            ),
        ];
        members.into_iter().find_map(|(member, asks)| asks.then_some(member))
    }
}
