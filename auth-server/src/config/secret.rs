//! A secret that came from the configuration.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

/// What stands in place of a secret wherever the configuration is shown.
pub(crate) const MASK: &str = "********";

/// The JSON Schema `format` that marks a key as secret; everything that treats secrets apart asks for it.
pub(crate) const SECRET_FORMAT: &str = "password";

/// A secret given in the configuration: wiped when dropped, and shown to nobody.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(Zeroizing<String>);

impl From<String> for SecretText {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl SecretText {
    /// Wraps a secret that was read from somewhere else than the configuration.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// The secret itself, for the one place that uses it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl JsonSchema for SecretText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": SECRET_FORMAT })
    }
}
