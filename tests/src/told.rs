//! The end of an application that is told of sign-outs (OpenID Connect Back-Channel Logout).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long something may take that is on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// An application that notes what it is told, and answers as the test says.
pub struct Told {
    /// The address to register.
    pub uri: String,
    heard: UnboundedReceiver<String>,
    answers: Arc<AtomicU16>,
    open: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    says: UnboundedSender<String>,
    answers: Arc<AtomicU16>,
    open: watch::Receiver<bool>,
}

impl Told {
    /// Starts to listen; every logout token is taken until the test says otherwise.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (says, heard) = unbounded_channel();
        let answers = Arc::new(AtomicU16::new(200));
        let (open, is_open) = watch::channel(true);
        let desk = Desk { says, answers: Arc::clone(&answers), open: is_open };
        let router = Router::new().route("/backchannel", post(hear)).with_state(desk);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("accepting goes on for ever");
        });
        Self { uri: format!("http://127.0.0.1:{port}/backchannel"), heard, answers, open, serving }
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    /// Answers nobody until it is told to go on.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Answers again, also whoever waits.
    pub fn go_on(&self) {
        self.open.send_replace(true);
    }

    /// The next logout token; waits for it.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn token(&mut self) -> String {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("a logout token is sent").expect("the application listens")
    }

    /// A logout token that has come already.
    pub fn token_by_now(&mut self) -> Option<String> {
        self.heard.try_recv().ok()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Takes the token out of a form that holds nothing else (§2.5).
async fn hear(State(desk): State<Desk>, headers: HeaderMap, body: String) -> StatusCode {
    let is_form = headers.get("content-type").is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    match fields.as_slice() {
        [(name, token)] if name == "logout_token" && is_form => _ = desk.says.send(token.clone()),
        _ => _ = desk.says.send(format!("no logout token in a form: {headers:?} {body}")),
    }
    let mut open = desk.open.clone();
    // Where the test is over there is nobody to answer.
    _ = open.wait_for(|open| *open).await;
    StatusCode::from_u16(desk.answers.load(Ordering::SeqCst)).expect("a test names a status")
}
