//! Who vouches for certificates of clients (RFC 8705 §2.1).

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::domain::clock::Timestamp;

/// The authorities whose certificates are taken.
#[derive(Clone)]
pub(crate) struct Authorities(Arc<dyn ClientCertVerifier>);

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("server.tls.client_ca {path} cannot be used: {reason}")]
pub struct AuthoritiesError {
    path: String,
    reason: String,
}

impl Authorities {
    /// Reads a PEM file.
    pub(crate) fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let unusable = |reason: String| AuthoritiesError { path: path.display().to_string(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        verifier.map(Self).map_err(|error| unusable(error.to_string()))
    }

    /// Whether one of them issued a certificate for a client, directly or through those in the chain, and it holds now.
    pub(crate) fn vouch_for(&self, der: &[u8], chain: &[impl AsRef<[u8]>], now: Timestamp) -> bool {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        let seconds = u64::try_from(now.as_secs()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.0.verify_client_cert(&CertificateDer::from(der), &chain, now).is_ok()
    }

    /// Their names, for clients with several certificates to choose by.
    pub(crate) fn names(&self) -> &[rustls::DistinguishedName] {
        self.0.root_hint_subjects()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(..)")
    }
}
