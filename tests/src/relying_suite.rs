//! A program that tries servers as the OpenID conformance suite does: one https origin under an authority of its own, with every address
//! that the suite registers.

use std::sync::{Arc, Mutex};

use axum::extract::{OriginalUri, State};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::authorize::Callback;
use crate::certificates::Certificate;

/// The suite, listening.
pub struct RelyingSuite {
    /// Where it is, without a slash at the end.
    pub origin: String,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// How the redirect URI was called last.
    callback: Mutex<Option<String>>,
    logout_tokens: Mutex<Vec<String>>,
    keys: Value,
}

impl RelyingSuite {
    /// Starts it with a certificate of this authority, and publishes keys.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start(authority: &Certificate, keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let seen = Arc::new(Seen { keys, ..Seen::default() });
        let router = Router::new()
            .route("/callback", get(land))
            .route("/post_logout_redirect", get(leave))
            .route("/backchannel_logout", post(hear))
            .route("/jwks", get(publish))
            .with_state(Arc::clone(&seen));
        let acceptor = TlsAcceptor::from(Arc::new(tls(authority)));
        let serving = tokio::spawn(accept(listener, acceptor, router));
        Self { origin: format!("https://localhost:{port}"), seen, serving }
    }

    /// One of its addresses.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// How its redirect URI was called last.
    ///
    /// # Panics
    ///
    /// When nobody came.
    pub fn callback(&self) -> Callback {
        let seen = self.seen.callback.lock().expect("no handler panics").clone();
        let seen = seen.expect("the browser came here");
        let origin = Url::parse(&self.origin).expect("our own address is a URL");
        Callback::of(&origin.join(&seen).expect("a request target follows an address"))
    }

    /// The logout tokens that came so far.
    ///
    /// # Panics
    ///
    /// Never: no handler panics.
    pub fn logout_tokens(&self) -> Vec<String> {
        self.seen.logout_tokens.lock().expect("no handler panics").clone()
    }
}

impl Drop for RelyingSuite {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn tls(authority: &Certificate) -> ServerConfig {
    let own = authority.server("localhost");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the library has versions of TLS")
        .with_no_client_auth();
    let (chain, key) = own.chain();
    config.with_single_cert(chain, key).expect("key and certificate belong together")
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            // Whoever does not trust the certificate hangs up here.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            let builder = auto::Builder::new(TokioExecutor::new());
            _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The page says by itself whether scripts run.
async fn land(State(seen): State<Arc<Seen>>, OriginalUri(uri): OriginalUri) -> Html<&'static str> {
    *seen.callback.lock().expect("no handler panics") = Some(uri.to_string());
    Html(
        "<!doctype html><title>Callback</title><p id=\"submission_complete\">Complete</p>\
         <p id=\"scripts\">off</p><script>document.getElementById('scripts').textContent = 'on'</script>",
    )
}

async fn leave() -> Html<&'static str> {
    Html("<!doctype html><title>Signed out</title><p id=\"left\">Signed out</p>")
}

async fn hear(State(seen): State<Arc<Seen>>, body: String) {
    let token = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "logout_token");
    let token = token.map(|(_, token)| token.into_owned());
    seen.logout_tokens.lock().expect("no handler panics").extend(token);
}

async fn publish(State(seen): State<Arc<Seen>>) -> Json<Value> {
    Json(seen.keys.clone())
}
