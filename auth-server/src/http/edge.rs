//! What holds for every request and every answer, whatever route it takes.
//!
//! One function and not a stack of layers: the order is on the page, and nothing is boxed on the way. From the outside in: a name
//! for the request, the log line, the headers of every answer, the bound on requests at work, the bound on time, the net that
//! catches a panic, the bound on the body, the routes.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath};
use axum::response::Response;
use futures_util::FutureExt;
use http::{Method, Request};
use http_body_util::Limited;
use hyper::body::Incoming;
use portcullis_guard::Proxies;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};

use crate::config::Config;
use crate::domain::secret::Entropy;
use crate::http::error::{Cause, Refusal};
use crate::http::extract::address::{ClientAddress, proxies};
use crate::http::extract::request_id::RequestId;
use crate::http::headers::SecurityHeaders;

/// The outermost part of the server. One exists, shared by all connections.
pub(crate) struct Edge {
    router: Router,
    entropy: Entropy,
    headers: SecurityHeaders,
    proxies: Proxies,
    at_work: Semaphore,
    max_body_bytes: usize,
    timeout: Duration,
}

impl Edge {
    pub(crate) fn new(router: Router, config: &Config, entropy: Entropy) -> Self {
        Self {
            router,
            entropy,
            headers: SecurityHeaders::of(&config.issuer()),
            proxies: proxies(&config.server),
            at_work: Semaphore::new(config.server.max_in_flight),
            max_body_bytes: config.server.max_body_bytes,
            timeout: config.server.request_timeout(),
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        let started = Instant::now();
        let id = RequestId::generate(&self.entropy);
        let route = Arc::new(OnceLock::new());
        let method = request.method().clone();
        let mut response = self.bounded(id, self.prepared(id, &route, peer, request)).await;
        self.headers.apply(response.headers_mut(), id);
        log(&Line { id, method, route: route.get(), took: started.elapsed() }, &response);
        response
    }

    /// Gives the request everything that extractors look for.
    fn prepared(
        &self,
        id: RequestId,
        route: &Route,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Request<Body> {
        let mut request = request.map(|body| Body::new(Limited::new(body, self.max_body_bytes)));
        let address = ClientAddress(self.proxies.follow(peer.ip().to_canonical(), request.headers()));
        let extensions = request.extensions_mut();
        extensions.insert(id);
        extensions.insert(Arc::clone(route));
        extensions.insert(ConnectInfo(peer));
        extensions.insert(address);
        request
    }

    async fn bounded(&self, id: RequestId, request: Request<Body>) -> Response {
        let declared = hyper::body::Body::size_hint(request.body()).lower();
        if usize::try_from(declared).map_or(true, |length| length > self.max_body_bytes) {
            return Refusal::TooLarge.response(id);
        }
        let Ok(_at_work) = self.at_work.try_acquire() else {
            return Refusal::Busy.response(id);
        };
        let answer = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind();
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_panic)) => Refusal::Panic.response(id),
            Err(_elapsed) => Refusal::TooSlow.response(id),
        }
    }
}

/// Where the matched route of a request is written down for the log.
type Route = Arc<OnceLock<MatchedPath>>;

struct Line<'a> {
    id: RequestId,
    method: Method,
    route: Option<&'a MatchedPath>,
    took: Duration,
}

/// One line per request. Neither path nor query: both may hold what must not be in a log.
fn log(line: &Line<'_>, response: &Response) {
    let (id, method) = (line.id.as_str(), line.method.as_str());
    let route = line.route.map_or("", MatchedPath::as_str);
    let code = response.status().as_u16();
    let duration_ms = line.took.as_secs_f64() * 1000.0;
    let cause = response.extensions().get::<Cause>().map(Cause::as_str);
    if response.status().is_server_error() {
        tracing::error!(
            request.id = id,
            http.method = method,
            http.route = route,
            http.status = code,
            duration_ms,
            cause,
            "request"
        );
    } else if response.status().is_client_error() || !POLLED.contains(&route) {
        tracing::info!(
            request.id = id,
            http.method = method,
            http.route = route,
            http.status = code,
            duration_ms,
            cause,
            "request"
        );
    } else {
        tracing::debug!(
            request.id = id,
            http.method = method,
            http.route = route,
            http.status = code,
            duration_ms,
            "request"
        );
    }
}

/// Routes that machines ask for all day: when all is well, their lines would bury the others.
const POLLED: [&str; 7] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/healthz/live",
    "/healthz/ready",
    "/jwks",
    "/policies/snapshot",
    "/static/{hash}/{file}",
];

/// Writes the matched route where [`Edge`] finds it. Goes around the router, because the match is known only inside.
#[derive(Clone, Copy)]
pub(crate) struct NoteRoute;

impl<S> Layer<S> for NoteRoute {
    type Service = NotedRoute<S>;

    fn layer(&self, inner: S) -> NotedRoute<S> {
        NotedRoute(inner)
    }
}

/// The service of [`NoteRoute`].
#[derive(Clone)]
pub(crate) struct NotedRoute<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for NotedRoute<S> {
    type Error = S::Error;
    type Future = S::Future;
    type Response = S::Response;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let extensions = request.extensions();
        if let (Some(place), Some(route)) = (extensions.get::<Route>(), extensions.get::<MatchedPath>()) {
            // Taken already only when a route is nested in another service: the outer name stays.
            _ = place.set(route.clone());
        }
        self.0.call(request)
    }
}
