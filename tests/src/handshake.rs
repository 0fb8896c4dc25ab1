//! Handshakes of TLS, by ciphers that the test chooses.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedCipherSuite};

use crate::certificates::Certificate;

/// The certificate that the server shows, if it listens, and these ciphers are enough to talk.
///
/// # Panics
///
/// When the root is no certificate.
pub fn handshake(address: &str, root: &Certificate, suites: &[SupportedCipherSuite]) -> Option<Vec<u8>> {
    let provider = CryptoProvider { cipher_suites: suites.to_vec(), ..default_provider() };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der.clone())).expect("an authority has a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("a cipher is of one of the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut stream = TcpStream::connect(address.trim_start_matches("https://")).ok()?;
    connection.complete_io(&mut stream).ok()?;
    connection.peer_certificates()?.first().map(|der| der.to_vec())
}
