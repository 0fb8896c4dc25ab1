//! The `server.tls.mtls` table: a second address at which clients are asked for certificates.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::issuer::Issuer;

/// A second address of the same server, at which clients are asked for certificates, so that browsers at the first never are
/// ([RFC 8705 §5](https://www.rfc-editor.org/rfc/rfc8705#section-5)).
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Address and port to listen on, where certificates are seen in the handshake. Where a proxy hands them on, it listens.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// The public address, for example `https://mtls.id.example.com`: the metadata name it.
    pub url: MtlsUrl,
}

/// An https address without a path: of what lies behind it, the issuer says the path.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct MtlsUrl(Issuer);

impl MtlsUrl {
    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        self.0.origin()
    }

    /// What lies there of this issuer.
    pub(super) fn of(&self, issuer: &Issuer) -> Issuer {
        let text = format!("{}{}", self.0, issuer.path());
        // An origin of its own, and a path that an issuer has.
        Issuer::parse(&text).unwrap_or_else(|_| self.0.clone())
    }
}

impl TryFrom<String> for MtlsUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = Issuer::parse(&text).ok().filter(|url| url.is_https() && url.path().is_empty());
        found.map(Self).ok_or_else(|| {
            format!("`{text}` is no https address without a path in its plain form, such as https://mtls.id.example.com")
        })
    }
}

impl From<MtlsUrl> for String {
    fn from(url: MtlsUrl) -> Self {
        url.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const FILES: &str = "certificate = \"a\"\nkey = \"b\"\nclient_certificates = \"connection\"\n";

    fn outcome(server: &str, tls: &str, mtls: &str) -> Result<Vec<String>, String> {
        let toml = format!("[server]\n{server}\n[server.tls]\n{tls}\n[server.tls.mtls]\n{mtls}\n");
        let addresses = |config: Config| config.addresses().iter().map(ToString::to_string).collect();
        Config::from_toml(&toml).map(addresses).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_second_address_has_the_path_of_the_issuer() {
        let both = "listen = \"127.0.0.1:8444\"\nurl = \"https://mtls.example.org\"";
        for (issuer, second) in [
            ("https://id.example.org", "https://mtls.example.org"),
            ("https://id.example.org/auth", "https://mtls.example.org/auth"),
        ] {
            let addresses = outcome(&format!("issuer = \"{issuer}\""), FILES, both).unwrap();
            assert_eq!(addresses, [issuer, second]);
        }
        let behind = outcome(
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "client_certificates = \"header\"",
            "url = \"https://mtls.example.org\"",
        );
        assert_eq!(behind.unwrap().len(), 2);
        assert_eq!(Config::default().addresses().len(), 1);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_reason() {
        let url = "url = \"https://mtls.example.org\"";
        let both = format!("listen = \"127.0.0.1:8444\"\n{url}");
        let header = "client_certificates = \"header\"";
        for (server, tls, mtls, reason) in [
            ("", "", url, "sees no certificates"),
            ("", FILES, url, "`mtls.listen`"),
            ("max_connections = 1", FILES, &*both, "2 at least"),
            ("trusted_proxies = [\"10.0.0.0/8\"]", header, &*both, "`mtls.listen`"),
            ("", FILES, "listen = \"127.0.0.1:8444\"", "url"),
            ("listen = \"127.0.0.1:8444\"", FILES, &*both, "two addresses"),
            ("issuer = \"https://mtls.example.org/a\"", FILES, &*both, "two addresses"),
            ("", FILES, &*both.replace("https:", "http:"), "https address"),
            ("", FILES, &*both.replace(".org", ".org/auth"), "https address"),
            ("", FILES, &*both.replace(".org", ".org/"), "https address"),
            ("", FILES, &*format!("{both}\ncertificate = \"a\""), "certificate"),
        ] {
            let refused = outcome(server, tls, mtls).unwrap_err();
            assert!(refused.contains(reason), "{tls} {mtls}: {refused}");
        }
    }
}
