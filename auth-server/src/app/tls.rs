//! TLS without a proxy, and who vouches for certificates of clients.

use crate::config::{CertificateSource, Tls as Settings};
use crate::http::tls::{Tls, TlsError};
use crate::keys::certificate::authorities::{Authorities, AuthoritiesError};
use crate::services::clients::authentication::Abilities;

/// The authorities that are configured.
pub(super) fn authorities(settings: &Settings) -> Result<Option<Authorities>, AuthoritiesError> {
    settings.client_ca.as_deref().map(Authorities::read).transpose()
}

/// What speaks TLS, if the server does.
pub(super) fn open(settings: &Settings, authorities: Option<&Authorities>) -> Result<Option<Tls>, TlsError> {
    let Some((certificate, key)) = settings.files() else { return Ok(None) };
    let asks = settings.client_certificates == CertificateSource::Connection;
    let names = || authorities.map(|all| all.names().to_vec()).unwrap_or_default();
    Tls::open(certificate, key, asks.then(names)).map(Some)
}

/// What clients can prove here.
pub(super) const fn abilities(settings: &Settings) -> Abilities {
    let sees_certificates = settings.client_certificates.sees_any();
    Abilities { sees_certificates, knows_authorities: sees_certificates && settings.client_ca.is_some() }
}
