//! How a client proves who it is ([RFC 6749 §2.3], [RFC 7591 §2]: `token_endpoint_auth_method`), and what with.
//!
//! [RFC 6749 §2.3]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3
//! [RFC 7591 §2]: https://www.rfc-editor.org/rfc/rfc7591#section-2

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;

/// How a client proves who it is, and what with.
#[derive(Clone, Eq, PartialEq)]
pub struct ClientAuthentication {
    /// How.
    pub method: AuthMethod,
    /// Its secrets, the newest first: two while it changes from one to the other.
    pub secrets: Vec<ClientSecret>,
    /// Its public keys: what it signs assertions and request objects with, and the certificates that it signed itself.
    pub keys: Option<ClientKeys>,
}

/// The public keys of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientKeys {
    /// What it publishes at this address (`jwks_uri`).
    At(ClientUrl),
    /// What it registered: a JWK set in JSON.
    Registered(String),
}

/// As it is stored: an address, or the set.
impl fmt::Display for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(url) => url.fmt(f),
            Self::Registered(jwks) => f.write_str(jwks),
        }
    }
}

/// A generated secret, of which we keep the digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientSecret {
    /// The digest.
    pub digest: Digest32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How many digits of the digest name a secret.
const NAME_DIGITS: usize = 12;

impl ClientSecret {
    /// What names it to people: the first digits of its digest, which say nothing about it.
    pub fn name(&self) -> String {
        self.digest.hex().chars().take(NAME_DIGITS).collect()
    }
}

impl ClientAuthentication {
    /// A public client.
    pub const fn none() -> Self {
        Self { method: AuthMethod::None, secrets: Vec::new(), keys: None }
    }

    /// A client with a secret that it may send in either way.
    pub fn secret(secret: ClientSecret) -> Self {
        Self { method: AuthMethod::ClientSecret, secrets: vec![secret], keys: None }
    }
}

/// How many there are, and no digest.
impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .field("method", &self.method)
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

/// A way to prove who a client is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthMethod {
    /// A secret in the header or in the form: what was registered before one of the two could be.
    ClientSecret,
    /// A secret in the `Authorization` header.
    ClientSecretBasic,
    /// A secret in the form.
    ClientSecretPost,
    /// A public client: it cannot keep a secret.
    None,
    /// It signs assertions ([RFC 7523](https://www.rfc-editor.org/rfc/rfc7523)).
    PrivateKeyJwt,
    /// It shows a certificate that it registered (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
    /// It shows a certificate of an authority, with the name that it registered (RFC 8705 §2.1).
    TlsClientAuth,
}

/// The text names no method that this server knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnknownMethod {
    /// A digest of a secret is not kept in a form that could verify.
    #[error("client_secret_jwt is not supported: register keys and use private_key_jwt")]
    SecretJwt,
    /// Anything else.
    #[error(
        "expected one of client_secret_basic, client_secret_post, none, private_key_jwt, self_signed_tls_client_auth, \
         tls_client_auth"
    )]
    Unknown,
}

impl AuthMethod {
    /// Every method that has a registered name.
    pub const NAMED: [Self; 6] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::None,
        Self::PrivateKeyJwt,
        Self::SelfSignedTlsClientAuth,
        Self::TlsClientAuth,
    ];

    /// Its name: the registered one, and ours for either way of a secret.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "client_secret",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::TlsClientAuth => "tls_client_auth",
        }
    }

    /// Whether it needs a secret.
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::ClientSecret | Self::ClientSecretBasic | Self::ClientSecretPost)
    }

    /// Whether it needs the certificate of the connection.
    pub const fn needs_certificate(self) -> bool {
        matches!(self, Self::SelfSignedTlsClientAuth | Self::TlsClientAuth)
    }
}

impl FromStr for AuthMethod {
    type Err = UnknownMethod;

    fn from_str(raw: &str) -> Result<Self, UnknownMethod> {
        match raw {
            "client_secret_jwt" => Err(UnknownMethod::SecretJwt),
            raw => {
                Self::NAMED.into_iter().find(|method| method.as_str() == raw).ok_or(UnknownMethod::Unknown)
            }
        }
    }
}

/// What the proof of a client has to be, beyond the method.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ProofSettings {
    /// The name that its certificate has to have, if it proves by one of an authority who it is.
    pub certificate_name: Option<CertificateName>,
    /// What its assertions are signed by (`token_endpoint_auth_signing_alg`). Without it: whatever its keys sign by.
    pub assertion_alg: Option<SigningAlg>,
}

/// The name that the certificate of a client has to have ([RFC 8705 §2.1.2]): exactly one.
///
/// [RFC 8705 §2.1.2]: https://www.rfc-editor.org/rfc/rfc8705#section-2.1.2
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum CertificateName {
    /// The whole subject, as RFC 4514 writes it.
    #[serde(rename = "tls_client_auth_subject_dn")]
    Subject(String),
    /// A host among its other names.
    #[serde(rename = "tls_client_auth_san_dns")]
    Dns(String),
    /// A mailbox among them.
    #[serde(rename = "tls_client_auth_san_email")]
    Email(String),
    /// An address among them.
    #[serde(rename = "tls_client_auth_san_ip")]
    Ip(IpAddr),
    /// A URI among them.
    #[serde(rename = "tls_client_auth_san_uri")]
    Uri(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_text_and_back() {
        for method in AuthMethod::NAMED {
            assert_eq!(method.as_str().parse(), Ok(method));
        }
        assert_eq!("client_secret_jwt".parse::<AuthMethod>(), Err(UnknownMethod::SecretJwt));
        for unknown in ["client_secret", "", "NONE", "attest_jwt_client_auth"] {
            assert_eq!(unknown.parse::<AuthMethod>(), Err(UnknownMethod::Unknown), "{unknown}");
        }
    }

    #[test]
    fn the_secret_of_a_client_is_not_printed() {
        let secret = ClientSecret { digest: Digest32::of(b"x"), created_at: Timestamp::from_secs(1) };
        let shown = format!("{:?}", ClientAuthentication::secret(secret));
        assert_eq!(shown, "ClientAuthentication { method: ClientSecret, secrets: 1, .. }");
        assert_eq!(secret.name(), "2d711642b726");
    }
}
