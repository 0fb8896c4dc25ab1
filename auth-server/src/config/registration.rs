//! The `registration` section: which clients may come by themselves.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::claims::SIGN_IN_SCOPES;

/// Which clients may come by themselves, and what they may have.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whether a client may be named by the address of a document that describes it (Client ID Metadata Document): `off`,
    /// `allow-listed` (those at the hosts of `document_hosts`) or `any`.
    pub client_id_metadata_documents: Documents,
    /// The hosts whose documents describe clients, for `allow-listed`: each by its whole name.
    pub document_hosts: Vec<String>,
    /// Whether clients may register themselves (RFC 7591): `off`, `token` (those that show a token that an administrator made) or
    /// `open` (everybody).
    pub dynamic: Dynamic,
    /// The scopes that a client may have which nobody vouched for: described by a document, or registered without a token.
    pub scopes: String,
    /// The APIs that such a client may ask tokens for, by their audiences.
    pub apis: Vec<String>,
    /// After how many days a client is taken away that nobody uses.
    #[schemars(range(min = 1, max = 3_650))]
    pub unused_days: u32,
    /// Registrations, and documents fetched, for one address (IPv6: one /64 network).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_address_per_minute: u32,
}

impl Registration {
    /// After which time a client is taken away that nobody uses.
    pub(crate) fn unused(&self) -> Duration {
        Duration::from_hours(24) * self.unused_days
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            client_id_metadata_documents: Documents::Off,
            document_hosts: Vec::new(),
            dynamic: Dynamic::Off,
            scopes: SIGN_IN_SCOPES.to_owned(),
            apis: Vec::new(),
            unused_days: 30,
            per_address_per_minute: 10,
        }
    }
}

/// Whether documents may describe clients.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Documents {
    /// Those at hosts that are named.
    AllowListed,
    /// All of them.
    Any,
    /// None.
    Off,
}

/// Whether clients may register themselves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dynamic {
    /// None.
    Off,
    /// Everybody.
    Open,
    /// Those that show a token.
    Token,
}
