//! What holds for every request and every answer, whatever route it takes.
//!
//! One function and not a stack of layers: the order is on the page, and nothing is boxed on the way. From the outside in: a name
//! for the request, the log line, the headers of every answer, the body, the bound on requests at work, the bound on time, the net
//! that catches a panic, the routes.
//!
//! The body is taken in before a place among the requests at work is: whoever sends slowly keeps nobody else out.

use std::error::Error;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath};
use axum::response::Response;
use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Bytes, Incoming};
use portcullis_guard::Proxies;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};

use crate::config::Config;
use crate::domain::ids::ClientId;
use crate::domain::secret::Entropy;
use crate::http::bounds::{Cut, bounded, milliseconds};
use crate::http::decided::Decided;
use crate::http::error::Cause;
use crate::http::extract::address::{ClientAddress, proxies};
use crate::http::extract::request_id::RequestId;
use crate::http::headers::{SecurityHeaders, name_given};
use crate::http::listen::Answering;
use crate::http::mount::Mount;
use crate::http::noted::Noted;
use crate::http::places::Places;
use crate::http::refusal::{Refusal, Voice};
use crate::http::render::Pages;

/// Where health is asked for.
const HEALTH: &str = "/healthz/";
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// One caller may have this share of all requests on their way in.
const SHARE: usize = 16;

/// The outermost part of the server. One exists, shared by all connections.
pub(crate) struct Edge {
    router: Router,
    entropy: Entropy,
    headers: SecurityHeaders,
    proxies: Proxies,
    pages: Pages,
    mount: Mount,
    arriving: Places,
    at_work: Semaphore,
    max_body_bytes: usize,
    timeout: Duration,
}

impl Edge {
    pub(crate) fn new(router: Router, config: &Config, entropy: Entropy, pages: Pages) -> Self {
        Self {
            router,
            entropy,
            headers: SecurityHeaders::of(&config.issuer()),
            proxies: proxies(&config.server),
            pages,
            mount: Mount::of(&config.issuer()),
            arriving: Places::new(config.server.bounds.max_in_flight.div_ceil(SHARE)),
            at_work: Semaphore::new(config.server.bounds.max_in_flight),
            max_body_bytes: config.server.bounds.max_body_bytes,
            timeout: config.server.bounds.request_timeout(),
        }
    }
}

impl Answering for Edge {
    async fn answer(&self, peer: SocketAddr, mut request: Request<Incoming>) -> Response {
        self.mount.enter(request.uri_mut());
        let started = Instant::now();
        let id = RequestId::generate(&self.entropy);
        let noted = Noted::default();
        let method = request.method().clone();
        let (voice, name) = (Voice::of(&request), name_given(&request));
        let mut response = match self.answered(id, &noted, peer, request).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(voice, &self.pages, id),
        };
        self.headers.apply(response.headers_mut(), name.unwrap_or_else(|| id.header()));
        log(&Line { id, method, noted: &noted, took: started.elapsed() }, &response);
        response
    }
}

impl Edge {
    async fn answered(
        &self,
        id: RequestId,
        noted: &Noted,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response, Refusal> {
        let address = ClientAddress(self.proxies.follow(peer.ip().to_canonical(), request.headers()));
        if !has_one_host(&request) {
            return Err(Refusal::Host);
        }
        let (parts, body) = request.into_parts();
        let body = self.taken_in(address, body).await?;
        let mut request = Request::from_parts(parts, Body::from(body));
        let extensions = request.extensions_mut();
        extensions.insert(id);
        extensions.insert(noted.clone());
        extensions.insert(ConnectInfo(peer));
        extensions.insert(address);
        self.bounded(request).await
    }

    /// Waits for the whole body.
    async fn taken_in<B>(&self, address: ClientAddress, body: B) -> Result<Bytes, Refusal>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.max_body_bytes) {
            return Err(Refusal::TooLarge);
        }
        let _place = self.arriving.take(address.0).ok_or(Refusal::Busy)?;
        let whole = Limited::new(body, self.max_body_bytes).collect();
        match tokio::time::timeout(BODY_WITHIN, whole).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
            Ok(Err(_)) => Err(Refusal::BrokenBody),
            Err(_elapsed) => Err(Refusal::SlowBody),
        }
    }

    async fn bounded(&self, request: Request<Body>) -> Result<Response, Refusal> {
        // Whoever asks whether the server lives is not to hear that it has much to do.
        let _at_work = match self.at_work.try_acquire() {
            Ok(place) => Some(place),
            Err(_) if request.uri().path().starts_with(HEALTH) => None,
            Err(_) => return Err(Refusal::Busy),
        };
        bounded(self.timeout, self.router.clone().oneshot(request)).await.map_err(|cut| match cut {
            Cut::Panic => Refusal::Panic,
            Cut::TooSlow => Refusal::TooSlow,
        })
    }
}

/// RFC 9112 §3.2: of two names, the next hop might read the other one. HTTP/2 has the name in the address.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(http::header::HOST).iter();
    let named = hosts.next().is_some()
        || request.version() != http::Version::HTTP_11
        || request.uri().authority().is_some();
    named && hosts.next().is_none()
}

struct Line<'a> {
    id: RequestId,
    method: Method,
    noted: &'a Noted,
    took: Duration,
}

/// One line per request. Neither path nor query: both may hold what must not be in a log.
fn log(line: &Line<'_>, response: &Response) {
    let (id, method) = (line.id.as_str(), line.method.as_str());
    let route = line.noted.route().map_or("", MatchedPath::as_str);
    let code = response.status().as_u16();
    let duration_ms = milliseconds(line.took);
    let why = response.extensions().get::<Cause>();
    let (oauth_error, cause) = (why.and_then(Cause::code), why.map(Cause::as_str));
    let client = why.and_then(Cause::client).or(line.noted.client()).map(ClientId::as_str);
    if response.status().is_server_error() {
        tracing::error!(
            request.id = id,
            http.method = method,
            http.route = route,
            http.status = code,
            duration_ms,
            client.id = client,
            oauth.error = oauth_error,
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
            client.id = client,
            oauth.error = oauth_error,
            cause,
            "request"
        );
    } else {
        let decided = response.extensions().get::<Decided>().copied();
        tracing::debug!(
            request.id = id,
            http.method = method,
            http.route = route,
            http.status = code,
            duration_ms,
            decision.id = decided.map(|decided| decided.names(line.id)),
            decision.allowed = decided.map(|decided| decided.allowed),
            "request"
        );
    }
}

/// Routes that machines ask for all day: when all is well, their lines would bury the others.
const POLLED: [&str; 16] = [
    "/.well-known/authzen-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/action",
    "/access/v1/search/resource",
    "/access/v1/search/subject",
    "/healthz/live",
    "/healthz/ready",
    "/jwks",
    "/policies/decisions",
    "/policies/events",
    "/policies/shadow",
    "/policies/snapshot",
    "/static/{hash}/{name}",
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
        if let (Some(noted), Some(route)) = (extensions.get::<Noted>(), extensions.get::<MatchedPath>()) {
            // Taken already only when a route is nested in another service: the outer name stays.
            noted.note_route(route);
        }
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::IpAddr;

    use axum::routing::get;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const CALLER: ClientAddress = ClientAddress(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    fn edge(router: Router, change: impl FnOnce(&mut Config)) -> Edge {
        let mut config = Config::for_tests("unused", "http://localhost:8080");
        change(&mut config);
        let pages = Pages::open(&config.issuer()).unwrap();
        Edge::new(router, &config, Entropy::seeded(1), pages)
    }

    fn asked(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    async fn body_of(edge: &Edge, path: &str) -> Bytes {
        edge.bounded(asked(path)).await.unwrap().into_body().collect().await.unwrap().to_bytes()
    }

    /// The body of somebody who sends nothing more.
    fn stalled() -> impl HttpBody<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        let edge = edge(Router::new(), |_| {});
        assert_eq!(edge.taken_in(CALLER, stalled()).await, Err(Refusal::SlowBody));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_slowly_keeps_only_himself_out() {
        let edge = edge(Router::new().route("/", get(async || "here")), |config| {
            config.server.bounds.max_in_flight = 16;
        });
        let (slow, other) =
            (edge.taken_in(CALLER, stalled()), ClientAddress(IpAddr::from([198, 51, 100, 1])));
        let body = || Full::new(Bytes::from_static(b"x"));
        tokio::pin!(slow);
        tokio::select! {
            biased;
            _ = &mut slow => panic!("there is nothing to take in"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(edge.taken_in(CALLER, body()).await, Err(Refusal::Busy));
        assert_eq!(edge.taken_in(other, body()).await, Ok(Bytes::from_static(b"x")));
        assert_eq!(body_of(&edge, "/").await, "here");
        assert_eq!(slow.await, Err(Refusal::SlowBody));
        assert_eq!(edge.taken_in(CALLER, body()).await, Ok(Bytes::from_static(b"x")));
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_whether_it_says_so_or_not() {
        let edge = edge(Router::new(), |config| config.server.bounds.max_body_bytes = 3);
        let long = Bytes::from_static(b"four");
        assert_eq!(edge.taken_in(CALLER, Full::new(long.clone())).await, Err(Refusal::TooLarge));
        let frames = futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(long))]);
        assert_eq!(edge.taken_in(CALLER, StreamBody::new(frames)).await, Err(Refusal::TooLarge));
    }

    // HT-21
    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_too_long_or_panics_is_answered_all_the_same() {
        let router = Router::new()
            .route("/slow", get(async || std::future::pending::<()>().await))
            .route("/panic", get(async || -> () { panic!("of the test") }));
        let edge = edge(router, |_| {});
        assert_eq!(edge.bounded(asked("/slow")).await.unwrap_err(), Refusal::TooSlow);
        assert_eq!(edge.bounded(asked("/panic")).await.unwrap_err(), Refusal::Panic);
    }

    #[tokio::test]
    async fn a_server_with_enough_to_do_refuses_and_still_says_that_it_lives() {
        let router =
            Router::new().route("/", get(async || "here")).route("/healthz/live", get(async || "live"));
        let edge = edge(router, |config| config.server.bounds.max_in_flight = 1);
        let held = edge.at_work.try_acquire().unwrap();
        assert_eq!(edge.bounded(asked("/")).await.unwrap_err(), Refusal::Busy);
        assert_eq!(body_of(&edge, "/healthz/live").await, "live");
        drop(held);
        assert_eq!(body_of(&edge, "/").await, "here");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_form_of_the_route() {
        let edge = edge(Router::new(), |_| {});
        for (voice, media_type) in [
            (Voice::OAuth, "application/json"),
            (Voice::Page, "text/html; charset=utf-8"),
            (Voice::Problem, "application/problem+json"),
        ] {
            for refusal in [
                Refusal::BrokenBody,
                Refusal::Busy,
                Refusal::Method,
                Refusal::NotFound,
                Refusal::Panic,
                Refusal::SlowBody,
                Refusal::TooLarge,
                Refusal::TooSlow,
            ] {
                let response = refusal.response(voice, &edge.pages, RequestId::generate(&edge.entropy));
                assert_eq!(response.status(), refusal.status(), "{voice:?} {refusal:?}");
                assert_eq!(response.headers()["content-type"], media_type, "{voice:?} {refusal:?}");
                let waits = response.headers().contains_key("retry-after");
                assert_eq!(waits, refusal.status() == 503, "{voice:?} {refusal:?}");
            }
        }
    }
}
