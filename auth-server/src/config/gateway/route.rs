//! One line of the table of routes.

use std::fmt;
use std::str::FromStr;

use portcullis_guard::Requirement;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A path, and what requests for it need.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Template of the path, for example `/orders/{id}` or `/files/{*rest}`.
    pub path: String,
    /// The methods; `GET` is `HEAD` too. Without it: every method.
    #[serde(default)]
    pub methods: Option<Vec<MethodName>>,
    /// What a request needs, for example `scope(orders) and rbac(orders, read)`, `authenticated`, `public`.
    pub require: RequirementText,
}

/// A requirement as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct RequirementText(Requirement);

impl RequirementText {
    /// The requirement.
    pub(crate) const fn requirement(&self) -> &Requirement {
        &self.0
    }
}

impl TryFrom<String> for RequirementText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: portcullis_guard::RequirementError| error.to_string())
    }
}

impl From<RequirementText> for String {
    fn from(text: RequirementText) -> Self {
        text.0.to_string()
    }
}

/// A method of HTTP, which are written in capitals.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct MethodName(String);

impl MethodName {
    /// As requests have it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MethodName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') && !text.is_empty() {
            return Ok(Self(text.to_owned()));
        }
        let capitals = text.to_ascii_uppercase();
        Err(format!("`{text}` is no method: write {}", if capitals == text { "GET" } else { &capitals }))
    }
}

impl TryFrom<String> for MethodName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MethodName> for String {
    fn from(name: MethodName) -> Self {
        name.0
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
