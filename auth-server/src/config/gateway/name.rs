//! The name of the issuer, as a gateway needs it.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::issuer::{Issuer, IssuerError};

/// The name of an issuer whose keys cannot be changed on their way: `https`, or on this machine.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct IssuerName(Issuer);

impl IssuerName {
    /// The name, as it stands in tokens.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for IssuerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Issuer::parse(text).map(Self).map_err(|error| match (error, text.strip_prefix("http://")) {
            (IssuerError::PlainHttp, Some(rest)) => format!(
                "the issuer must use https: over plain http everybody on the way could change the keys by which tokens are checked \
                 (http is accepted for localhost, 127.0.0.1 and [::1]). Write here what the server has as its server.issuer, and \
                 tokens as `iss`, such as `https://{rest}`"
            ),
            _ => error.to_string(),
        })
    }
}

impl TryFrom<String> for IssuerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<IssuerName> for String {
    fn from(name: IssuerName) -> Self {
        name.0.to_string()
    }
}
