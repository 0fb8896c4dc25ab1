//! The `protocol` section: what every client is held to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every client is held to in the protocol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocol {
    /// Accept authorization requests only if the client pushed them before (RFC 9126). A client can be held to it alone.
    pub require_pushed_requests: bool,
}
