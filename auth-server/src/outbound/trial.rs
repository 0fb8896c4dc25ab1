//! Servers to fetch from, each on a port of its own of this machine, that note who came.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a server does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends the one, and the other again and again; nothing more when that is nothing.
    Endless(&'static [u8], &'static [u8]),
    /// Nothing.
    Silence,
    /// Sends this and closes.
    Text(String),
}

impl Answer {
    pub(super) fn ok(body: &str) -> Self {
        Self::of("200 OK", "", body)
    }

    pub(super) fn of(status: &str, headers: &str, body: &str) -> Self {
        Self::Text(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    }
}

/// A server.
pub(super) struct Place {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Place {
    pub(super) async fn plain(answer: Answer) -> Self {
        Self::open(answer, None).await
    }

    /// With a certificate of [`authority`].
    pub(super) async fn secure(answer: Answer) -> Self {
        let certificates = vec![CertificateDer::from_pem_file(testdata("test-server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(testdata("test-server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        Self::open(answer, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn open(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&place.connections), Arc::clone(&place.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, tls, requests) = (answer.clone(), tls.clone(), Arc::clone(&requests));
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &answer, &requests).await,
                            Err(error) => Err(error),
                        },
                        None => serve(stream, &answer, &requests).await,
                    }
                });
            }
        });
        place
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What was asked, heads and bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The file of the authority that made the certificate of every place.
pub(super) fn authority() -> PathBuf {
    testdata("test-authority.pem")
}

fn testdata(name: &str) -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    PathBuf::from(package).join("src/outbound/testdata").join(name)
}

async fn serve<S>(mut stream: S, answer: &Answer, requests: &Mutex<Vec<String>>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = read(&mut stream).await?;
    requests.lock().unwrap().push(request);
    match answer {
        Answer::Silence => {
            // Until the other side gives up.
            stream.read_u8().await?;
        }
        Answer::Text(text) => stream.write_all(text.as_bytes()).await?,
        Answer::Endless(head, part) => {
            stream.write_all(head).await?;
            if part.is_empty() {
                stream.read_u8().await?;
            }
            loop {
                stream.write_all(part).await?;
            }
        }
    }
    stream.shutdown().await
}

/// The head, and as much of a body as it announces.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await?;
        text.push_str(std::str::from_utf8(&part[..length]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head
                .to_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if body.len() >= announced {
                return Ok(text);
            }
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
