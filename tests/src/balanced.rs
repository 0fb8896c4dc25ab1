//! A balancer: one address in front of replicas, which take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A balancer; it ends with the test.
pub struct Balancer(JoinHandle<()>);

impl Balancer {
    /// Listens in front of these addresses.
    pub fn start(listener: TcpListener, replicas: Vec<String>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let round = Arc::new(Round { replicas, turn: AtomicUsize::new(0), client });
        let app = Router::new().fallback(pass).with_state(round);
        Self(tokio::spawn(async move {
            _ = axum::serve(listener, app).await;
        }))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Round {
    replicas: Vec<String>,
    turn: AtomicUsize,
    client: Client<HttpConnector, Body>,
}

impl Round {
    /// Whose turn it is.
    ///
    /// They do not simply alternate: a walk of an even number of requests would meet the same replica at each step every time. By the
    /// parity of the ones in the number of a request, which never repeats itself, each step comes to each replica.
    fn next(&self) -> &str {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ones = usize::try_from(turn.count_ones()).unwrap_or_default();
        self.replicas
            .get(ones % self.replicas.len())
            .expect("a number is below the one that it was divided by")
    }
}

/// Passes a request on as it is, its `Host` included.
async fn pass(State(round): State<Arc<Round>>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let target = format!("{}{path}", round.next());
    *request.uri_mut() = target.parse::<Uri>().expect("a path that arrived can be asked for");
    match round.client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
