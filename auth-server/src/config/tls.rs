//! The `server.tls` table: TLS without a proxy, and the certificates of clients.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::mtls::Mtls;

/// TLS without a proxy, and the certificates of clients.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate of this server, and behind it those that lead to who issued it. With it, the server speaks
    /// TLS and nothing else. The file is read again when it changes.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    pub key: Option<PathBuf>,
    /// Where certificates of clients are seen.
    pub client_certificates: CertificateSource,
    /// PEM file with the authorities whose certificates `tls_client_auth` takes (RFC 8705). Without it: that method is refused.
    pub client_ca: Option<PathBuf>,
    /// A second address at which clients are asked for certificates, so that nobody is at the first. Without it: they are asked at the
    /// first.
    pub mtls: Option<Mtls>,
}

impl Tls {
    /// The files of the certificate and of its key, if the server speaks TLS itself.
    pub(crate) const fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => None,
        }
    }
}

/// Where certificates of clients are seen.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// In the handshake: clients are asked for one, and need none.
    Connection,
    /// In the header `Client-Cert` (RFC 9440), from a trusted proxy alone.
    Header,
    /// Nowhere.
    #[default]
    None,
}

impl CertificateSource {
    /// Whether any are seen.
    pub(crate) const fn sees_any(self) -> bool {
        !matches!(self, Self::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn outcome(server: &str, tls: &str) -> Result<Tls, String> {
        let toml = format!("[server]\n{server}\n[server.tls]\n{tls}\n");
        Config::from_toml(&toml).map(|config| config.server.tls).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_goes_together_is_taken() {
        let files = "certificate = \"a\"\nkey = \"b\"\n";
        assert!(!outcome("", "").unwrap().client_certificates.sees_any());
        assert!(outcome("", files).unwrap().files().is_some());
        let asks = format!("{files}client_certificates = \"connection\"\nclient_ca = \"c\"");
        assert_eq!(outcome("", &asks).unwrap().client_certificates, CertificateSource::Connection);
        let header = outcome("trusted_proxies = [\"10.0.0.0/8\"]", "client_certificates = \"header\"");
        assert_eq!(header.unwrap().client_certificates, CertificateSource::Header);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_reason() {
        for (tls, reason) in [
            ("certificate = \"a\"", "needs both"),
            ("key = \"b\"", "needs both"),
            ("client_certificates = \"connection\"", "speaks TLS itself"),
            ("client_certificates = \"header\"", "server.trusted_proxies"),
            ("client_ca = \"c\"", "set `client_certificates`"),
            ("client_certificates = \"maybe\"", "server.tls"),
            ("certificat = \"a\"", "certificat"),
        ] {
            let refused = outcome("", tls).unwrap_err();
            assert!(refused.contains(reason), "{tls}: {refused}");
        }
    }

    #[test]
    fn without_an_issuer_the_name_follows_what_is_spoken() {
        let issuer = |text: &str| Config::from_toml(text).unwrap().issuer().to_string();
        let spoken = "[server]\nlisten = \"127.0.0.1:443\"\n[server.tls]\ncertificate = \"a\"\nkey = \"b\"\n";
        assert_eq!(issuer(spoken), "https://localhost");
        assert_eq!(issuer(&spoken.replace("443", "80")), "https://localhost:80");
        assert_eq!(issuer("[server]\nlisten = \"127.0.0.1:443\"\n"), "http://localhost:443");
    }
}
