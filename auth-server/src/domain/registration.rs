//! Clients that registered themselves ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)) or describe themselves in a document.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::client::GrantType;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ClientId, InitialTokenId};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Digest32;

/// What is known of a client because it said so itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The client.
    pub client: ClientId,
    /// How it came here.
    pub source: RegistrationSource,
    /// What it says about itself beyond what the server acts on.
    pub about: About,
    /// What it was permitted; without it, what is configured.
    pub allowance: Option<Allowance>,
    /// The token that let it register.
    pub initial_token: Option<InitialTokenId>,
    /// When it first came.
    pub created_at: Timestamp,
}

/// How a client came here by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegistrationSource {
    /// It is named by its document.
    Document,
    /// It registered.
    Dynamic,
}

/// The text names no way for a client to come here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected document or dynamic")]
pub struct UnknownSource;

impl RegistrationSource {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Dynamic => "dynamic",
        }
    }
}

impl fmt::Display for RegistrationSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RegistrationSource {
    type Err = UnknownSource;

    fn from_str(raw: &str) -> Result<Self, UnknownSource> {
        [Self::Document, Self::Dynamic].into_iter().find(|source| source.as_str() == raw).ok_or(UnknownSource)
    }
}

/// What a client says about itself beyond what the server acts on. It is shown to people, and told back.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct About {
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// What it looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// What it does with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// On what terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// What lists the redirect URIs of its sector, if it names that by a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Which software it is, whoever runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

/// What a client looks like: a small PNG that was made here from what it publishes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Logo {
    /// Where the client publishes it.
    pub uri: String,
    /// The image.
    pub image: Vec<u8>,
}

impl Logo {
    /// What it is served as: another image has another name.
    pub fn name(&self) -> String {
        Digest32::of(&self.image).hex()
    }
}

/// The grants that a client can register for.
pub const REGISTRABLE: [GrantType; 3] =
    [GrantType::AuthorizationCode, GrantType::ClientCredentials, GrantType::RefreshToken];

/// Those of them that a client may have which nobody vouched for.
pub const OF_EVERYBODY: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];

/// What a client that registers itself may have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Allowance {
    /// The grants.
    pub grants: Vec<GrantType>,
    /// The scopes, as text.
    pub scopes: String,
    /// The hosts where answers may be sent; empty for every host.
    pub redirect_hosts: Vec<String>,
    /// The APIs that it may ask tokens for: it gets all of them.
    pub apis: Vec<ApiId>,
}

impl Allowance {
    /// The scopes.
    pub fn scopes(&self) -> ScopeSet {
        ScopeSet::parse(&self.scopes).unwrap_or_default()
    }

    /// Whether answers may be sent to a host.
    pub fn permits_host(&self, host: &str) -> bool {
        self.redirect_hosts.is_empty() || self.redirect_hosts.iter().any(|permitted| permitted == host)
    }
}

/// A token that lets a client register itself (RFC 7591 §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InitialToken {
    /// Names it.
    pub id: InitialTokenId,
    /// What people call it.
    pub name: String,
    /// What whoever registers by it may have.
    pub allowance: Allowance,
    /// How often it still counts.
    pub uses_left: u32,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// What a client shows to read and change its own registration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AccessDigests {
    /// The token that was given out last.
    pub current: Digest32,
    /// The one before, as long as the last one was never shown: its answer may have been lost.
    pub previous: Option<Digest32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_without_hosts_permits_every_host() {
        let allowance = |hosts: &[&str]| Allowance {
            grants: Vec::new(),
            scopes: "openid".to_owned(),
            redirect_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            apis: Vec::new(),
        };
        assert!(allowance(&[]).permits_host("app.example"));
        assert!(allowance(&["app.example"]).permits_host("app.example"));
        assert!(!allowance(&["app.example"]).permits_host("b.app.example"));
        assert!(allowance(&[]).scopes().contains("openid"));
    }

    #[test]
    fn sources_survive_the_way_to_text_and_back() {
        for source in [RegistrationSource::Document, RegistrationSource::Dynamic] {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        assert_eq!("admin".parse::<RegistrationSource>(), Err(UnknownSource));
    }
}
