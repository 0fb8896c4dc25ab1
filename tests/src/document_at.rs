//! The place where a client publishes the document that describes it, and what goes with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A place on this machine, by https, that says the same at every path unless it is told otherwise, and counts who asks.
pub struct DocumentAt {
    /// The name of the client: where its document is.
    pub client_id: String,
    desk: Desk,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    says: Arc<Mutex<Option<String>>>,
    says_at: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
    spoken_to: Arc<AtomicUsize>,
    open: Arc<watch::Sender<bool>>,
}

impl DocumentAt {
    /// Opens a place that says nothing yet.
    ///
    /// # Panics
    ///
    /// When no port is free, or the certificate cannot be read.
    pub async fn start() -> Self {
        let certificate = CertificateDer::from_pem_file(testdata("test-server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(testdata("test-server.key")).expect("its key");
        Self::showing((vec![certificate], key)).await
    }

    /// The same with a certificate of the test's choice.
    ///
    /// # Panics
    ///
    /// When no port is free, or the key is of another certificate.
    pub async fn showing(own: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let open = Arc::new(watch::Sender::new(true));
        let (says, says_at) = (Arc::default(), Arc::default());
        let desk = Desk { says, says_at, asked: Arc::default(), spoken_to: Arc::default(), open };
        let (acceptor, at) = (acceptor(own), desk.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, at.clone()));
            }
        });
        Self { client_id: format!("https://127.0.0.1:{port}/client.json"), desk, serving }
    }

    /// A document that describes a client well enough, of this place.
    pub fn good(&self) -> Value {
        serde_json::json!({
            "client_id": self.client_id,
            "client_name": "Editor",
            "redirect_uris": [self.beside("/callback")],
            "grant_types": ["authorization_code", "refresh_token"],
        })
    }

    /// Another address of the same origin.
    pub fn beside(&self, path: &str) -> String {
        self.client_id.replace("/client.json", path)
    }

    /// Publishes a document.
    pub fn publish(&self, document: &Value) {
        self.say("200 OK", "content-type: application/json\r\n", &document.to_string());
    }

    /// Publishes a document that may be kept as long as this says.
    pub fn publish_for(&self, document: &Value, cache_control: &str) {
        let headers = format!("content-type: application/json\r\ncache-control: {cache_control}\r\n");
        self.say("200 OK", &headers, &document.to_string());
    }

    /// Says something else.
    ///
    /// # Panics
    ///
    /// Never: nobody who holds the lock panics.
    pub fn say(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        *self.desk.says.lock().expect("nobody who holds the lock panics") = Some(text);
    }

    /// Says something else at one path alone.
    ///
    /// # Panics
    ///
    /// Never: nobody who holds the lock panics.
    pub fn say_at(&self, path: &str, status: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        let answer = [head.as_bytes(), body].concat();
        let mut said = self.desk.says_at.lock().expect("nobody who holds the lock panics");
        said.insert(path.to_owned(), answer);
    }

    /// Hangs up on whoever asks.
    ///
    /// # Panics
    ///
    /// Never: nobody who holds the lock panics.
    pub fn hang_up(&self) {
        *self.desk.says.lock().expect("nobody who holds the lock panics") = None;
    }

    /// Answers nobody until it is told to go on.
    pub fn hold(&self) {
        self.desk.open.send_replace(false);
    }

    /// Answers again, also whoever waits.
    pub fn go_on(&self) {
        self.desk.open.send_replace(true);
    }

    /// Waits until somebody asked so often.
    pub async fn is_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }

    /// How often somebody asked.
    pub fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::SeqCst)
    }

    /// How often somebody took the certificate, and said what is wanted.
    pub fn spoken_to(&self) -> usize {
        self.desk.spoken_to.load(Ordering::SeqCst)
    }

    /// The authority that vouches for the place.
    pub fn authority() -> PathBuf {
        testdata("test-authority.pem")
    }
}

impl Drop for DocumentAt {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A picture, 16 pixels wide.
///
/// # Panics
///
/// When it is not there.
pub fn picture() -> Vec<u8> {
    let file = server_source().join("services/registration/testdata/red.jpg");
    std::fs::read(file).expect("the picture is there")
}

fn testdata(name: &str) -> PathBuf {
    server_source().join("outbound/testdata").join(name)
}

fn server_source() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    PathBuf::from(package).join("../auth-server/src")
}

fn acceptor((chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    TlsAcceptor::from(Arc::new(config.expect("the key belongs to the certificate")))
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, desk: Desk) {
    desk.asked.fetch_add(1, Ordering::SeqCst);
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let (mut request, mut part) = (Vec::new(), [0; 2048]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await {
            Ok(length) if length > 0 => request.extend_from_slice(part.get(..length).unwrap_or_default()),
            _ => return,
        }
    }
    desk.spoken_to.fetch_add(1, Ordering::SeqCst);
    // Where the test is over there is nobody to answer.
    _ = desk.open.subscribe().wait_for(|open| *open).await;
    let line = String::from_utf8_lossy(&request);
    let path = line.split(' ').nth(1).unwrap_or_default();
    let here = desk.says_at.lock().expect("nobody who holds the lock panics").get(path).cloned();
    let says = desk.says.lock().expect("nobody who holds the lock panics").clone();
    if let Some(answer) = here.or(says.map(String::into_bytes)) {
        _ = stream.write_all(&answer).await;
    }
    _ = stream.shutdown().await;
}
