//! The `outbound` section: whom the server may call at the wish of clients.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

/// Whom the server may call at the addresses that clients register: for sign-outs and for keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Hosts, addresses and networks that may be called although they are not on the public internet, for example
    /// `["rp.internal", "10.20.0.0/16"]`. Plain http works for addresses of this machine that are named here.
    pub allow: Vec<AllowedTarget>,
    /// File with certificate authorities (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// A host name, or a network in CIDR form; a single address counts as a network of one.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub enum AllowedTarget {
    /// This name exactly, whatever its addresses are.
    Host(String),
    /// Every address in it, whatever its name is.
    Network(IpNet),
}

impl FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) if !name.contains('*') => Ok(Self::Host(name)),
            Ok(Host::Domain(_)) => Err(format!("`{text}` is a pattern: name each host, or a network")),
            Ok(_) | Err(_) => Err(format!(
                "`{text}` is neither a host name nor an address nor a network such as 10.0.0.0/8"
            )),
        }
    }
}

impl TryFrom<String> for AllowedTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AllowedTarget> for String {
    fn from(target: AllowedTarget) -> Self {
        target.to_string()
    }
}

impl fmt::Display for AllowedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_an_address_or_a_network() {
        for (text, shown) in [
            ("RP.Internal", "rp.internal"),
            ("localhost", "localhost"),
            (" 10.1.2.3/8 ", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(text.parse::<AllowedTarget>().map(|target| target.to_string()), Ok(shown.to_owned()));
        }
        for bad in ["", "*", "*.internal", "https://rp.internal", "rp.internal:443", "10.0.0.0/33", "a b"] {
            assert!(bad.parse::<AllowedTarget>().is_err(), "{bad}");
        }
    }
}
