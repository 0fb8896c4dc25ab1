//! A backend service behind the guard that speaks TLS itself, and asks its callers for a certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use portcullis_guard::{
    Algorithm, ClientCertificates, Dpop, Guard, Issuer, PeerCertificate, Policy, PolicyEndpoint, TokenPolicy,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::Certificate;
use crate::registered::Registered;
use crate::service::routes;

/// A service with the routes of [`GuardedService`](crate::service::GuardedService), for tokens that are bound to a key or to the
/// certificate of the handshake.
pub struct TlsService {
    /// Where it is reached.
    pub address: String,
    guard: Guard,
    serving: JoinHandle<()>,
}

/// Whose tokens the service takes, and where it hears of policy and revocations.
#[derive(Clone, Copy, Debug)]
pub struct Trusted<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// Its keys, as a key set.
    pub jwks: &'a str,
    /// Where it is reached.
    pub reached_at: &'a str,
    /// For whom the tokens are.
    pub audience: &'a str,
}

impl TlsService {
    /// Starts the service with a certificate of this authority, which also issues those of callers.
    ///
    /// # Panics
    ///
    /// When the guard cannot be built, or no port is free.
    pub async fn start(trusted: Trusted<'_>, client: &Registered, authority: &Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let address = format!("https://localhost:{port}");
        let secret = client.secret.clone().expect("the client of a guard has a secret");
        let policy = format!("{}/policies/snapshot", trusted.reached_at);
        // FAPI 2.0 §5.4.1 holds for services, too.
        let algorithms =
            TokenPolicy::rfc9068().algorithms([Algorithm::EdDsa, Algorithm::Es256, Algorithm::Ps256]);
        let guard = Guard::builder()
            .issuer(Issuer::static_jwks(trusted.issuer, trusted.jwks))
            .audience(trusted.audience)
            .policy(Policy::remote(PolicyEndpoint::new(policy, &client.id, secret)))
            .tokens(algorithms)
            .dpop(Dpop::new().origin(&address))
            .client_certificates(ClientCertificates::of_connection())
            .manual_refresh();
        let guard = guard.build().await.expect("the guard is built");
        let app = routes(&guard).layer(from_fn(tell_peer));
        let acceptor = TlsAcceptor::from(Arc::new(asking(authority)));
        let serving = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<Peer>();
            axum::serve(Tls { listener, acceptor }, app).await.expect("accepting goes on for ever");
        });
        Self { address, guard, serving }
    }

    /// Hears of policy and revocations now, as the guard does every second.
    pub async fn refresh(&self) {
        self.guard.refresh().await;
    }
}

impl Drop for TlsService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// # Panics
///
/// When the library does not take what it made.
fn asking(authority: &Certificate) -> ServerConfig {
    let own = authority.server("localhost");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).expect("the certificate is one");
    let provider = Arc::new(default_provider());
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .expect("there is an authority");
    let key = PrivateKeyDer::from_pem_slice(own.pem().as_bytes()).expect("the text holds a key");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the library has usual protocols")
        .with_client_cert_verifier(callers)
        .with_single_cert(vec![CertificateDer::from(own.der.clone())], key)
        .expect("certificate and key belong together")
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
struct Peer {
    address: SocketAddr,
    certificate: Option<Bytes>,
}

impl axum::extract::connect_info::Connected<IncomingStream<'_, Tls>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Tls>) -> Self {
        stream.remote_addr().clone()
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Addr = Peer;
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        loop {
            // Whoever does not finish the handshake, or shows a certificate of nobody, is not there.
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            let Ok(stream) = self.acceptor.accept(stream).await else { continue };
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|der| Bytes::copy_from_slice(der));
            return (stream, Peer { address, certificate });
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(|address| Peer { address, certificate: None })
    }
}

/// Tells the guard who is at the other end, and with which certificate.
async fn tell_peer(ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(ConnectInfo(peer.address));
    if let Some(der) = peer.certificate {
        request.extensions_mut().insert(PeerCertificate(der));
    }
    next.run(request).await
}
