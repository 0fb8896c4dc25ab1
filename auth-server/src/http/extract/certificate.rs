//! The certificate of a client: of the connection, or by the word of a proxy that ended it
//! ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705), [RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use portcullis_guard::{CertificateHeader, ClientCertificates, PeerCertificate, Proxies};

use crate::config::{CertificateSource, Server};
use crate::domain::confirmation::Thumbprint;
use crate::http::extract::address::proxies;
use crate::services::possession::ShownCertificate;

/// What stands between a certificate and who is trusted, by the word of a proxy (RFC 9440 §2.3).
const CHAIN: &str = "client-cert-chain";
/// The longest chain that is read, and the longest header with one.
const MAX_CHAIN: usize = 8;
const MAX_HEADER: usize = 32 * 1024;

/// What the peer of a connection showed beside its certificate: an extension of each of its requests.
#[derive(Clone, Debug)]
pub(crate) struct PeerChain(pub(crate) Vec<Bytes>);

/// Where certificates of clients are seen, if anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    source: Option<(ClientCertificates, CertificateSource)>,
    proxies: Proxies,
}

impl Certificates {
    /// Where the configuration says.
    pub(crate) fn of(server: &Server) -> Self {
        let source = source(server.tls.client_certificates);
        Self { source: source.map(|seen| (seen, server.tls.client_certificates)), proxies: proxies(server) }
    }

    /// The certificate that the client of a request showed.
    pub(crate) fn shown(&self, parts: &Parts) -> Option<ShownCertificate> {
        let (seen, source) = self.source.as_ref()?;
        let der = seen.certificate(parts, &self.proxies).filter(|der| !der.is_empty())?;
        let peer = PeerCertificate(der);
        let thumbprint = Thumbprint::parse(&peer.thumbprint()).ok()?;
        let chain = match source {
            CertificateSource::Connection => {
                parts.extensions.get::<PeerChain>().map(|chain| chain.0.clone()).unwrap_or_default()
            }
            // The certificate was believed, so the proxy is.
            CertificateSource::Header | CertificateSource::None => chain_of(parts),
        };
        Some(ShownCertificate { thumbprint, der: peer.0, chain })
    }
}

/// The same for a guard.
pub(crate) fn source(source: CertificateSource) -> Option<ClientCertificates> {
    match source {
        CertificateSource::None => None,
        CertificateSource::Connection => Some(ClientCertificates::of_connection()),
        CertificateSource::Header => Some(ClientCertificates::of_header(CertificateHeader::ClientCert)),
    }
}

/// RFC 9440 §2.3: byte sequences in a list. A chain that cannot be read leads nowhere.
fn chain_of(parts: &Parts) -> Vec<Bytes> {
    let lines = parts.headers.get_all(CHAIN).iter().filter(|line| line.len() <= MAX_HEADER);
    let entries = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let read = |entry: &str| {
        let text = entry.trim().strip_prefix(':')?.strip_suffix(':')?;
        STANDARD.decode(text).ok().map(Bytes::from)
    };
    entries.take(MAX_CHAIN).map_while(read).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;

    use super::*;
    use crate::config::Config;

    const TRUSTING: &str =
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[server.tls]\nclient_certificates = \"header\"\n";

    fn shown(toml: &str, peer: &str, headers: &[(&str, &str)]) -> Option<ShownCertificate> {
        let server = Config::from_toml(toml).unwrap().server;
        let mut request = http::Request::builder().uri("/token");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        Certificates::of(&server).shown(&parts)
    }

    #[test]
    fn the_word_of_a_proxy_counts_and_nobody_elses() {
        let headers = [("client-cert", ":AQID:"), ("client-cert-chain", ":BAU=:, :Bg==:")];
        let found = shown(TRUSTING, "10.1.1.1", &headers).unwrap();
        assert_eq!(found.der.as_ref(), [1, 2, 3]);
        assert_eq!(found.chain, [Bytes::from_static(&[4, 5]), Bytes::from_static(&[6])]);
        assert!(shown(TRUSTING, "192.0.2.1", &headers).is_none(), "a stranger");
        assert!(shown("", "10.1.1.1", &headers).is_none(), "not configured");
        assert!(shown(TRUSTING, "10.1.1.1", &[]).is_none());
    }

    #[test]
    fn of_two_certificates_none_counts_and_neither_does_one_that_cannot_be_read() {
        let twice = [("client-cert", ":AQID:"), ("client-cert", ":AQID:")];
        assert!(shown(TRUSTING, "10.1.1.1", &twice).is_none());
        for odd in ["AQID", ":?:", "::", ""] {
            assert!(shown(TRUSTING, "10.1.1.1", &[("client-cert", odd)]).is_none(), "{odd}");
        }
        let broken = [("client-cert", ":AQID:"), ("client-cert-chain", ":BAU=:, ?, :Bg==:")];
        assert_eq!(shown(TRUSTING, "10.1.1.1", &broken).unwrap().chain.len(), 1);
    }

    #[test]
    fn a_header_counts_for_nothing_where_connections_are_looked_at() {
        let toml = "[server.tls]\ncertificate = \"a\"\nkey = \"b\"\nclient_certificates = \"connection\"\n";
        assert!(shown(toml, "127.0.0.1", &[("client-cert", ":AQID:")]).is_none());
    }
}
