//! A way to a server that speaks TLS, for parties that know nothing of its authority: what a proxy beside them would do.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::certificates::Certificate;

/// An address of this machine behind which a server is reached by plain HTTP.
pub struct Tunnel {
    /// The address.
    pub address: String,
    serving: JoinHandle<()>,
}

impl Tunnel {
    /// Leads to the server at this address, whose certificate is one of this authority.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn to(server: &str, authority: &Certificate) -> Self {
        let target = server.trim_start_matches("https://").to_owned();
        let connector = TlsConnector::from(Arc::new(trusting(authority)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target.clone(), connector.clone()));
            }
        });
        Self { address: format!("http://127.0.0.1:{port}"), serving }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Whoever is on the other end sees a connection that just ends, if something is wrong.
async fn carry(mut near: TcpStream, target: String, connector: TlsConnector) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let Ok(name) = ServerName::try_from("localhost") else { return };
    let Ok(mut far) = connector.connect(name, far).await else { return };
    _ = copy_bidirectional(&mut near, &mut far).await;
}

/// # Panics
///
/// When the certificate of the authority is none.
fn trusting(authority: &Certificate) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).expect("the certificate is one");
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the library has usual protocols")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
