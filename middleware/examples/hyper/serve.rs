//! A connection, and the bounds on it that only a server can keep.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use portcullis_guard::{Body, PeerAddress};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::{Service, ServiceExt};

/// How long the head of a request may take, from the first byte that could belong to it: also of a connection that is kept open.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long the head of a request may be, and how many lines it may have.
const HEAD_BYTES: usize = 32 * 1024;
const HEAD_LINES: usize = 64;

/// Serves a connection until it is over. Without a timer, hyper would wait for the head of a request for ever, and no layer would
/// hear of it: a layer begins where the head is whole.
pub(crate) async fn serve<I, S>(io: I, peer: SocketAddr, service: S) -> Result<(), hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let service = service.map_request(move |mut request: Request<Incoming>| {
        // For limits by address, and for whoever trusts a proxy.
        request.extensions_mut().insert(PeerAddress(peer));
        request
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(service))
        .with_upgrades()
        .await
}
