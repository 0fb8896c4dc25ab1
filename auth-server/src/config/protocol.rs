//! The `protocol` section: what every client is held to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every client is held to in the protocol.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Protocol {
    /// Accept authorization requests only if the client pushed them before (RFC 9126). A client can be held to it alone.
    pub require_pushed_requests: bool,
    /// Let devices without a browser ask for sign-ins (RFC 8628), for the clients that may.
    pub device_grant: bool,
    /// Let clients start sign-ins from behind (CIBA), those that may: the person approves on a page of this server.
    pub ciba_grant: bool,
    /// Accept proofs of possession (`DPoP`, RFC 9449) only with a nonce of this server, so that none can be made in advance. A client
    /// that sends its first proof without one is told which to use.
    pub require_dpop_nonces: bool,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            require_pushed_requests: false,
            device_grant: true,
            ciba_grant: true,
            require_dpop_nonces: true,
        }
    }
}
