//! TLS without a proxy in front, and the certificates of clients
//! ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705), [BCP 195](https://www.rfc-editor.org/info/bcp195)).
//!
//! A client may show a certificate and needs none. The handshake proves that it has the key, and no more: who issued a certificate, or
//! who registered it, is looked at where a client proves by it who it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use portcullis_guard::PeerCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::http::extract::certificate::PeerChain;

/// What is spoken. Of TLS 1.2, what BCP 195 §4.2 recommends; all of them have forward secrecy.
const SUITES: [SupportedCipherSuite; 7] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];
/// Certificates of a client that are handed on, its own included.
const MAX_CHAIN: usize = 8;
/// The longest of them.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// Speaks TLS by a certificate that may be replaced while it does.
#[derive(Clone)]
pub(crate) struct Tls {
    files: Arc<Files>,
    current: Arc<ArcSwap<Current>>,
}

/// Where the certificate lies, and who is asked for one.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<AnyHolder>>,
}

/// What is spoken by now, and what it was made from.
struct Current {
    config: Arc<ServerConfig>,
    text: [Vec<u8>; 2],
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be used: {reason}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// They do not go together, or cannot be used.
    #[error("the certificate cannot be used with its key: {0}")]
    Pair(Error),
}

/// What a client showed in the handshake.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) certificate: PeerCertificate,
    pub(crate) chain: PeerChain,
}

impl Tls {
    /// Reads the certificate of this server and its key. With `authorities`, clients are asked for a certificate, and told by whom
    /// it had best be: by anybody, if there are none.
    pub(crate) fn open(
        certificate: &Path,
        key: &Path,
        authorities: Option<Vec<DistinguishedName>>,
    ) -> Result<Self, TlsError> {
        let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..default_provider() };
        let provider = Arc::new(provider);
        let verifier =
            authorities.map(|hints| Arc::new(AnyHolder { hints, provider: Arc::clone(&provider) }));
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let files = Files { certificate, key, provider, verifier };
        let current = files.read()?;
        Ok(Self { files: Arc::new(files), current: Arc::new(ArcSwap::from_pointee(current)) })
    }

    /// Reads the files again; gives whether there is another certificate or key now. One that cannot be used changes nothing.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let text = self.files.text()?;
        if text == self.current.load().text {
            return Ok(false);
        }
        self.current.store(Arc::new(self.files.of(text)?));
        Ok(true)
    }

    /// Speaks TLS with a peer.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.current.load().config)).accept(stream).await
    }
}

/// What the peer of a connection showed, if it did.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> Option<Shown> {
    let (_, connection) = stream.get_ref();
    let (own, chain) = connection.peer_certificates()?.split_first()?;
    let bytes = |der: &CertificateDer<'_>| Bytes::copy_from_slice(der);
    let chain = chain.iter().take(MAX_CHAIN).map(bytes).collect();
    Some(Shown { certificate: PeerCertificate(bytes(own)), chain: PeerChain(chain) })
}

impl Files {
    fn text(&self) -> Result<[Vec<u8>; 2], TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| unusable(path, &error));
        Ok([read(&self.certificate)?, read(&self.key)?])
    }

    fn read(&self) -> Result<Current, TlsError> {
        self.of(self.text()?)
    }

    fn of(&self, text: [Vec<u8>; 2]) -> Result<Current, TlsError> {
        let [certificate, key] = &text;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| unusable(&self.certificate, &error))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&self.key, &error))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match &self.verifier {
            Some(verifier) => {
                let verifier: Arc<dyn ClientCertVerifier> = verifier.clone();
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Current { config: Arc::new(config), text })
    }
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError::File { path: path.display().to_string(), reason: error.to_string() }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct AnyHolder {
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyHolder {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.len() > MAX_CERTIFICATE {
            return Err(Error::General("the certificate is too long".to_owned()));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
