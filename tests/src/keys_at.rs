//! The place where a client publishes its keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A page on this machine with a key set, which counts who asks.
pub struct KeysAt {
    /// The address to register as `jwks_uri`.
    pub uri: String,
    desk: Desk,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    keys: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl KeysAt {
    /// Publishes keys.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let desk = Desk { keys: Arc::new(Mutex::new(Some(keys))), asked: Arc::default() };
        let router = Router::new().route("/jwks", get(show)).with_state(desk.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("accepting goes on for ever");
        });
        Self { uri: format!("http://127.0.0.1:{port}/jwks"), desk, serving }
    }

    /// Publishes other keys, or is away.
    ///
    /// # Panics
    ///
    /// Never: no handler panics.
    pub fn publish(&self, keys: Option<Value>) {
        *self.desk.keys.lock().expect("no handler panics") = keys;
    }

    /// How often somebody asked.
    pub fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeysAt {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn show(State(desk): State<Desk>) -> Result<String, StatusCode> {
    desk.asked.fetch_add(1, Ordering::SeqCst);
    let keys = desk.keys.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    keys.as_ref().map(Value::to_string).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}
