//! The end of a client that is told of decisions (CIBA §10.2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How long something may take that is on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that notes what it is told, and answers as the test says.
pub struct Pinged {
    /// The address to register.
    pub uri: String,
    heard: UnboundedReceiver<Heard>,
    answers: Arc<AtomicU16>,
    serving: JoinHandle<()>,
}

/// What it was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// At which of its addresses.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// The `Content-Type` header.
    pub content_type: String,
    /// The body.
    pub body: String,
}

#[derive(Clone)]
struct Desk {
    says: UnboundedSender<Heard>,
    answers: Arc<AtomicU16>,
}

impl Pinged {
    /// Starts to listen; everything is taken until the test says otherwise.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (says, heard) = unbounded_channel();
        let answers = Arc::new(AtomicU16::new(204));
        let desk = Desk { says, answers: Arc::clone(&answers) };
        let router = Router::new().fallback(any(hear)).with_state(desk);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("accepting goes on for ever");
        });
        Self { uri: format!("http://127.0.0.1:{port}/ciba"), heard, answers, serving }
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    /// What it is told next; waits for it.
    ///
    /// # Panics
    ///
    /// When nothing comes.
    pub async fn told(&mut self) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("a ping is sent").expect("the client listens")
    }

    /// What it was told already.
    pub fn told_by_now(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }
}

impl Drop for Pinged {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn hear(State(desk): State<Desk>, uri: Uri, headers: HeaderMap, body: String) -> impl IntoResponse {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (authorization, content_type) = (header("authorization"), header("content-type"));
    _ = desk.says.send(Heard { path: uri.path().to_owned(), authorization, content_type, body });
    let status = StatusCode::from_u16(desk.answers.load(Ordering::SeqCst)).expect("a test names a status");
    // Where a redirect would lead, were it followed.
    (status, [("location", "/elsewhere")])
}
