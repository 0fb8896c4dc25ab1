//! The certificate that a client showed (RFC 8705).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use crate::client_address::Proxies;
use crate::header::exactly_one;

/// The longest header that is read: a certificate, encoded.
const MAX_HEADER: usize = 32 * 1024;

/// The certificate of the peer, in DER: an extension that whoever accepts TLS connections adds to each of their requests.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Bytes);

impl PeerCertificate {
    /// Its thumbprint (RFC 8705 §3.1): the `x5t#S256` of a token that is bound to it.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.0))
    }
}

/// Where the certificates of clients are seen, so that tokens which are bound to one (`cnf` with `x5t#S256`) can be used.
///
/// A certificate proves something only if the handshake showed that the client has its key. Whoever accepts the connection
/// has to ask for it; who issued it does not matter here, since the token names it.
#[derive(Clone, Debug)]
pub struct ClientCertificates(Source);

#[derive(Clone, Debug)]
enum Source {
    Connection,
    Header(CertificateHeader),
}

/// How a proxy that ends TLS hands on the certificate of the client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CertificateHeader {
    /// `Client-Cert` of RFC 9440.
    ClientCert,
    /// A header with a percent-encoded PEM text, such as `$ssl_client_escaped_cert` of nginx in a header of your choice, or
    /// `X-Forwarded-Tls-Client-Cert` of Traefik, which leaves out the first and the last line.
    Pem(HeaderName),
}

impl ClientCertificates {
    /// The guard is where TLS ends: requests have a [`PeerCertificate`].
    pub const fn of_connection() -> Self {
        Self(Source::Connection)
    }

    /// A proxy ends TLS. Its header counts only from a peer that [`Proxies`] trust, so that nobody else can make up one; and
    /// the proxy has to remove it from what clients send.
    pub const fn of_header(header: CertificateHeader) -> Self {
        Self(Source::Header(header))
    }

    /// Whether a header is read, which only trusted proxies may send.
    pub(crate) const fn needs_proxies(&self) -> bool {
        matches!(self.0, Source::Header(_))
    }

    /// The header that is read, if it is one.
    pub(super) fn header(&self) -> Option<HeaderName> {
        match &self.0 {
            Source::Connection => None,
            Source::Header(header) => Some(header.name()),
        }
    }

    /// Whether the client showed the certificate of this thumbprint.
    pub(super) fn prove(&self, parts: &Parts, proxies: &Proxies, thumbprint: &str) -> bool {
        let Some(certificate) = self.certificate(parts, proxies).filter(|der| !der.is_empty()) else {
            return false;
        };
        let own = PeerCertificate(certificate).thumbprint();
        verify_slices_are_equal(own.as_bytes(), thumbprint.as_bytes()).is_ok()
    }

    /// The certificate that the client of a request showed, in DER: of the connection, or by the word of a proxy that is trusted.
    pub fn certificate(&self, parts: &Parts, proxies: &Proxies) -> Option<Bytes> {
        let header = match &self.0 {
            Source::Connection => {
                return parts.extensions.get::<PeerCertificate>().map(|peer| peer.0.clone());
            }
            Source::Header(header) if proxies.trust_peer_of(&parts.extensions) => header,
            Source::Header(_) => return None,
        };
        let value = exactly_one(&parts.headers, header.name()).filter(|value| value.len() <= MAX_HEADER)?;
        header.read(value).map(Bytes::from)
    }
}

impl CertificateHeader {
    fn name(&self) -> HeaderName {
        match self {
            Self::ClientCert => HeaderName::from_static("client-cert"),
            Self::Pem(name) => name.clone(),
        }
    }

    fn read(&self, value: &HeaderValue) -> Option<Vec<u8>> {
        let text = value.to_str().ok()?.trim();
        match self {
            // RFC 9440 §2.2: a byte sequence of RFC 8941.
            Self::ClientCert => STANDARD.decode(text.strip_prefix(':')?.strip_suffix(':')?).ok(),
            Self::Pem(_) => {
                // Traefik puts the chain behind it.
                let first = text.split(',').next().unwrap_or_default();
                let pem = percent_decode(first.as_bytes()).decode_utf8().ok()?;
                let body = pem.trim().trim_start_matches("-----BEGIN CERTIFICATE-----");
                let body = body.trim_end_matches("-----END CERTIFICATE-----");
                let letters: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
                STANDARD.decode(letters).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_gives_the_same_certificate() {
        let der = [0x30, 0x82, 0x01, 0xfb, 0xff, 0xfe];
        let base64 = STANDARD.encode(der);
        let header = HeaderName::from_static("x-cert");
        for (kind, value) in [
            (CertificateHeader::ClientCert, format!(":{base64}:")),
            (CertificateHeader::Pem(header.clone()), base64.replace('+', "%2B").replace('/', "%2F")),
            (
                CertificateHeader::Pem(header.clone()),
                format!(
                    "-----BEGIN%20CERTIFICATE-----%0A{}%0A-----END%20CERTIFICATE-----%0A",
                    base64.replace('+', "%2B")
                ),
            ),
        ] {
            let value = HeaderValue::try_from(value).unwrap();
            assert_eq!(kind.read(&value).as_deref(), Some(der.as_slice()), "{value:?}");
        }
        for (kind, value) in [
            (CertificateHeader::ClientCert, base64.as_str()),
            (CertificateHeader::ClientCert, ":!:"),
            (CertificateHeader::Pem(header.clone()), "%FF%FE"),
            (CertificateHeader::Pem(header), "certificate!"),
        ] {
            assert_eq!(kind.read(&HeaderValue::try_from(value).unwrap()), None, "{value}");
        }
    }
}
