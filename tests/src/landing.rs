//! The application's end of a redirect, for browsers that really go there.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::authorize::Callback;

/// A page on this machine that remembers how it was called.
pub struct Landing {
    /// The address to register as redirect URI: a loopback IP literal, as RFC 8252 §7.3 wants it.
    pub redirect_uri: String,
    seen: Seen,
    serving: JoinHandle<()>,
}

type Seen = Arc<Mutex<Option<String>>>;

impl Landing {
    /// Starts to listen.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let seen = Seen::default();
        let router = Router::new().route("/cb", get(land)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("accepting goes on for ever");
        });
        Self { redirect_uri: format!("http://127.0.0.1:{port}/cb"), seen, serving }
    }

    /// How it was called last.
    ///
    /// # Panics
    ///
    /// When nobody came.
    pub fn callback(&self) -> Callback {
        let seen = self.seen.lock().expect("no handler panics").clone().expect("the browser came here");
        let base = Url::parse(&self.redirect_uri).expect("our own address is a URL");
        Callback::of(&base.join(&seen).expect("a request target follows an address"))
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn land(State(seen): State<Seen>, OriginalUri(uri): OriginalUri) -> Html<&'static str> {
    *seen.lock().expect("no handler panics") = Some(uri.to_string());
    Html("<!doctype html><title>Landed</title><h1 id=\"landed\">Landed</h1>")
}
