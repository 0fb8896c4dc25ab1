//! TLS in front of a guard, and at the issuer that it fetches keys from.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::middleware::{Next, from_fn};
use axum::serve::{IncomingStream, Listener};
use portcullis_guard::{ClientCertificates, Issuer, PeerCertificate};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs as provider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::bound::app;
use crate::certificate::{Certificate, LONG, OVER};
use crate::service::{Dial, builder, fetch, guard_of, service};
use crate::signer::{Signer, b64, jwks};

fn trusting(authority: &Certificate) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.chain().remove(0)).unwrap();
    roots
}

pub(crate) fn server() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

/// Whoever comes by TLS.
struct Door {
    tcp: TcpListener,
    tls: TlsAcceptor,
    /// How many tried.
    knocks: Arc<AtomicUsize>,
}

impl Door {
    async fn open(config: ServerConfig) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { tcp, tls: TlsAcceptor::from(Arc::new(config)), knocks: Arc::default() }
    }
}

impl Listener for Door {
    type Addr = SocketAddr;
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((tcp, address)) = self.tcp.accept().await else { continue };
            self.knocks.fetch_add(1, Ordering::SeqCst);
            if let Ok(stream) = self.tls.accept(tcp).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// What the client showed in the handshake.
#[derive(Clone)]
struct Shown(Option<PeerCertificate>);

impl Connected<IncomingStream<'_, Door>> for Shown {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        let (_, session) = stream.io().get_ref();
        let first = session.peer_certificates().and_then(|chain| chain.first());
        Self(first.map(|der| PeerCertificate(bytes::Bytes::copy_from_slice(der))))
    }
}

async fn hand_on(mut request: Request, next: Next) -> axum::response::Response {
    let shown = request.extensions_mut().remove::<ConnectInfo<Shown>>();
    if let Some(certificate) = shown.and_then(|ConnectInfo(Shown(certificate))| certificate) {
        request.extensions_mut().insert(certificate);
    }
    next.run(request).await
}

/// A client that shows a certificate whose key it need not have.
#[derive(Debug)]
struct Showing(Arc<CertifiedKey>);

impl Showing {
    fn with_key_of(shown: &Certificate, owned: &Certificate) -> Self {
        let key = provider::sign::any_supported_type(&owned.key()).unwrap();
        Self(Arc::new(CertifiedKey::new(shown.chain(), key)))
    }
}

impl ResolvesClientCert for Showing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The status of `GET path` with a token, if the handshake leads to an answer.
async fn ask(to: SocketAddr, by: &ClientConfig, (path, token): (&str, &str)) -> Option<u16> {
    let tcp = TcpStream::connect(to).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(by.clone())).connect(name, tcp).await.ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // Servers may close without a word of TLS.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

// RFC 8705 §3, over handshakes
#[tokio::test]
async fn a_bound_token_is_good_over_the_connection_of_who_has_the_key_of_its_certificate() {
    let (ours, theirs) = (Certificate::authority("clients"), Certificate::authority("others"));
    let [client, other] = ["client", "other"].map(|name| ours.issue(name, LONG));
    let clients = WebPkiClientVerifier::builder_with_provider(
        Arc::new(trusting(&ours)),
        Arc::new(provider::default_provider()),
    );
    let own = ours.issue("localhost", LONG);
    let config = server().with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap());
    let door = Door::open(config.with_single_cert(own.chain(), own.key()).unwrap()).await;
    let to = door.local_addr().unwrap();
    let issuer = Signer::es256("a");
    let guard = guard_of(&issuer).client_certificates(ClientCertificates::of_connection());
    let app = app(guard).await.layer(from_fn(hand_on));
    tokio::spawn(async move { axum::serve(door, app.into_make_service_with_connect_info::<Shown>()).await });

    let bound = issuer.token(&json!({ "cnf": { "x5t#S256": b64(digest(&SHA256, &client.der)) } }));
    let plain = issuer.token(&json!({}));
    let configured = || {
        ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusting(&ours))
    };
    let by = |shown: &Certificate, owned: &Certificate| {
        configured().with_client_cert_resolver(Arc::new(Showing::with_key_of(shown, owned)))
    };
    let nobody = configured().with_no_client_auth();
    assert_eq!(ask(to, &by(&client, &client), ("/me", &bound)).await, Some(200));
    assert_eq!(ask(to, &by(&client, &client), ("/certificate", &bound)).await, Some(200));
    assert_eq!(
        ask(to, &by(&other, &other), ("/me", &bound)).await,
        Some(401),
        "a certificate of somebody else"
    );
    assert_eq!(ask(to, &nobody, ("/me", &bound)).await, Some(401), "none at all");
    assert_eq!(ask(to, &nobody, ("/me", &plain)).await, Some(200));
    assert_eq!(ask(to, &by(&client, &client), ("/certificate", &plain)).await, Some(401), "it is not bound");
    let (stranger, expired) = (theirs.issue("client", LONG), ours.issue("client", OVER));
    for (shown, owned, why) in [
        (&client, &other, "whoever saw the certificate has no key of it"),
        (&stranger, &stranger, "another authority"),
        (&expired, &expired, "it has expired"),
    ] {
        let of_shown = issuer.token(&json!({ "cnf": { "x5t#S256": b64(digest(&SHA256, &shown.der)) } }));
        assert_eq!(ask(to, &by(shown, owned), ("/me", &of_shown)).await, None, "{why}");
    }
    assert_eq!(ask(to, &by(&client, &client), ("/me", &bound)).await, Some(200), "the door is still open");
}

/// An issuer at `https://localhost`, which counts who tries to speak with it, and what it is asked.
async fn issuer_with(
    certificate: &Certificate,
    signer: &Signer,
) -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let config = server().with_no_client_auth();
    let config = config.with_single_cert(certificate.chain(), certificate.key()).unwrap();
    let door = Door::open(config).await;
    let url = format!("https://localhost:{}", door.local_addr().unwrap().port());
    let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string();
    let (keys, requests, knocks) = (jwks([signer]), Arc::new(AtomicUsize::new(0)), Arc::clone(&door.knocks));
    let asked = Arc::clone(&requests);
    let app = Router::new().fallback(move |request: Request| {
        asked.fetch_add(1, Ordering::SeqCst);
        let answer = if request.uri().path() == "/keys" { keys.clone() } else { metadata.clone() };
        async { answer }
    });
    tokio::spawn(async move { axum::serve(door, app).await });
    (url, knocks, requests)
}

/// Which authorities the system trusts is a matter of the whole process, and so is how much memory it takes: a test about that goes on in
/// one of its own, where it is given the file that names them.
pub(crate) fn in_a_process_of_its_own(test: &str) -> Option<PathBuf> {
    const CHOSEN: &str = "PORTCULLIS_TEST_AUTHORITY";
    if let Some(file) = std::env::var_os(CHOSEN) {
        return Some(file.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--nocapture"]).env_remove("SSL_CERT_DIR");
    let output = process.env("SSL_CERT_FILE", &file).env(CHOSEN, &file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    None
}

/// Certificates of `localhost` of which one is good, and what is wrong with the others; its authority is written to a file.
pub(crate) fn good_and_bad(file: &Path) -> [(Certificate, bool, &'static str); 5] {
    let (authority, stranger) = (Certificate::authority("ours"), Certificate::authority("ours"));
    std::fs::write(file, authority.pem()).unwrap();
    [
        (authority.issue("localhost", LONG), true, "all is well"),
        (authority.issue("localhost", OVER), false, "it has expired"),
        (authority.issue("id.test", LONG), false, "it is that of another host"),
        (Certificate::self_signed("localhost"), false, "it is signed by itself"),
        (stranger.issue("localhost", LONG), false, "nobody knows the authority, whatever its name"),
    ]
}

// HT-20
#[tokio::test]
async fn keys_are_fetched_from_nobody_whose_certificate_is_not_good() {
    let itself = "tls::keys_are_fetched_from_nobody_whose_certificate_is_not_good";
    let Some(file) = in_a_process_of_its_own(itself) else { return };
    for (certificate, is_good, why) in good_and_bad(&file) {
        let signer = Signer::es256("a");
        let (url, knocks, requests) = issuer_with(&certificate, &signer).await;
        let guard = builder(&Dial::new()).issuer(Issuer::oidc(&url)).build().await.unwrap();
        assert_eq!(guard.is_ready(), is_good, "{why}");
        assert!(knocks.load(Ordering::SeqCst) > 0, "{why}");
        assert_eq!(requests.load(Ordering::SeqCst), if is_good { 2 } else { 0 }, "{why}");
        let token = signer.token(&json!({ "iss": url }));
        let status = fetch(&service(&guard), "/me", &token).await.status;
        assert_eq!(status.as_u16(), if is_good { 200 } else { 503 }, "{why}");
        // Nothing is tried in another way, however often it is asked.
        guard.refresh().await;
        assert_eq!(
            (guard.is_ready(), requests.load(Ordering::SeqCst)),
            (is_good, if is_good { 3 } else { 0 }),
            "{why}"
        );
    }
}
