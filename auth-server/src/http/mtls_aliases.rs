//! Where the endpoints are at which clients are asked for certificates
//! ([RFC 8705 §5](https://www.rfc-editor.org/rfc/rfc8705#section-5)).

use serde::Serialize;

use crate::config::{Config, Dynamic};
use crate::domain::issuer::Issuer;

/// The endpoints at the second address: those that a client talks to itself, as far as they exist.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the members are those of the specifications")]
pub(crate) struct MtlsAliases {
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    pushed_authorization_request_endpoint: String,
    userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backchannel_authentication_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
}

impl MtlsAliases {
    pub(crate) fn of(second: &Issuer, config: &Config) -> Self {
        let at = |path| second.endpoint(path);
        let (protocol, dynamic) = (&config.protocol, config.reach.registration.dynamic);
        Self {
            token_endpoint: at("/token"),
            revocation_endpoint: at("/revoke"),
            introspection_endpoint: at("/introspect"),
            pushed_authorization_request_endpoint: at("/par"),
            userinfo_endpoint: at("/userinfo"),
            device_authorization_endpoint: protocol.device_grant.then(|| at("/device_authorization")),
            backchannel_authentication_endpoint: protocol.ciba_grant.then(|| at("/bc-authorize")),
            registration_endpoint: (dynamic != Dynamic::Off).then(|| at("/register")),
        }
    }
}
