//! Pages of whoever runs this server, of which its metadata tell.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::claim_text::address_of_a_page;

/// Pages of whoever runs this server, as its metadata name them (RFC 8414 §2). What has none is not named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Pages {
    /// What developers read who write applications for this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<PageAddress>,
    /// What applications may do with what they learn here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_policy_uri: Option<PageAddress>,
    /// The terms on which they use this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_tos_uri: Option<PageAddress>,
}

/// The https address of a page, as it is to be shown.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct PageAddress(String);

impl FromStr for PageAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        address_of_a_page(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PageAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PageAddress> for String {
    fn from(address: PageAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_page_is_an_https_address_and_says_which_key_is_wrong() {
        for bad in ["http://example.com/terms", "javascript:alert(1)", "https://a@example.com/", "/terms", ""]
        {
            for key in ["service_documentation", "op_policy_uri", "op_tos_uri"] {
                let refused = Config::from_toml(&format!("[server]\n{key} = \"{bad}\"")).unwrap_err();
                assert!(refused.to_string().contains(&format!("server.{key}")), "{refused}");
            }
        }
    }
}
