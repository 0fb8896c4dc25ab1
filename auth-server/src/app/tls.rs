//! TLS without a proxy, and who vouches for certificates of clients.

use crate::config::{CertificateSource, Config, Tls as Settings};
use crate::http::tls::{Tls, TlsError};
use crate::keys::certificate::authorities::{Authorities, AuthoritiesError};
use crate::services::clients::authentication::Abilities;

/// The authorities that are configured.
pub(super) fn authorities(settings: &Settings) -> Result<Option<Authorities>, AuthoritiesError> {
    settings.client_ca.as_deref().map(Authorities::read).transpose()
}

/// What speaks TLS at each address, if the server does.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    pub(super) first: Option<Tls>,
    /// Where clients are asked for a certificate, if that is at an address of its own.
    pub(super) mtls: Option<Tls>,
}

impl Spoken {
    /// Reads the certificate again; gives whether there is another one.
    pub(super) fn refresh(&self) -> Result<bool, TlsError> {
        let mut is_another = false;
        for tls in self.first.iter().chain(&self.mtls) {
            is_another |= tls.refresh()?;
        }
        Ok(is_another)
    }

    /// Whether TLS is spoken at all.
    pub(super) const fn is_any(&self) -> bool {
        self.first.is_some()
    }
}

/// What speaks TLS, if the server does. With a second address, clients are asked for a certificate there and nowhere else.
pub(super) fn open(settings: &Settings, authorities: Option<&Authorities>) -> Result<Spoken, TlsError> {
    let Some((certificate, key)) = settings.files() else { return Ok(Spoken::default()) };
    let asks = settings.client_certificates == CertificateSource::Connection;
    let names = || authorities.map(|all| all.names().to_vec()).unwrap_or_default();
    let asks_apart = asks && settings.mtls.is_some();
    let first = Tls::open(certificate, key, (asks && !asks_apart).then(names))?;
    let mtls = asks_apart.then(|| Tls::open(certificate, key, Some(names()))).transpose()?;
    Ok(Spoken { first: Some(first), mtls })
}

/// What clients can prove here, and what they may do at all.
pub(super) fn abilities(config: &Config) -> Abilities {
    let (settings, protocol) = (&config.server.tls, &config.protocol);
    let sees_certificates = settings.client_certificates.sees_any();
    Abilities {
        sees_certificates,
        knows_authorities: sees_certificates && settings.client_ca.is_some(),
        device_grant: protocol.device_grant.into(),
        ciba_grant: protocol.ciba_grant.into(),
    }
}
