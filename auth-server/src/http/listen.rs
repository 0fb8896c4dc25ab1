//! Accepts connections and closes them: slow ones by a deadline, all of them when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::http::tls::{self, Shown, Tls};

/// How long a connection may take to send its first request, and each later one to send its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How often a quiet HTTP/2 connection is asked whether it is still there, and how long the answer may take.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long open requests may take to finish when the server stops.
pub(crate) const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the usual reason is that no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a client begins beyond this is reset, and a proxy makes a refusal of that: `docs/gateway.md` has Envoy stay below.
const MAX_STREAMS: u32 = 128;
/// A proxy hands on four lines of 8 KiB at most (nginx), and what it says itself.
const MAX_HEADER_BYTES: u32 = 40 * 1024;

/// What answers the requests of a listener.
pub(crate) trait Answering: Send + Sync + 'static {
    /// Answers one request of a peer.
    fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> impl Future<Output = Response> + Send;
}

/// Serves with as many connections at a time as there are slots, until `stop` ends, then lets open requests finish for at most [`DRAIN_WITHIN`].
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    front: Arc<impl Answering>,
    slots: Arc<Semaphore>,
    stop: impl Future<Output = ()>,
) {
    let open = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let next = async {
            // Closed by nobody, so the only way not to get a slot is to wait for one.
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            accept(&listener).await.map(|(stream, peer)| (slot, stream, peer))
        };
        tokio::select! {
            () = &mut stop => break,
            accepted = next => if let Some((slot, stream, peer)) = accepted {
                let connection = Connection { front: Arc::clone(&front), peer, shown: None, _slot: slot };
                tokio::spawn(connection.begin(stream, tls.clone(), open.watcher()));
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_WITHIN, open.shutdown()).await.is_err() {
        tracing::warn!("requests that were still open after {} s are cut off", DRAIN_WITHIN.as_secs());
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(cause = %error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One connection; it holds its slot until it is closed.
struct Connection<F> {
    front: Arc<F>,
    peer: SocketAddr,
    /// What the client showed in the handshake.
    shown: Option<Shown>,
    _slot: OwnedSemaphorePermit,
}

impl<F: Answering> Connection<F> {
    /// Shakes hands first, where TLS is spoken. How a handshake fails is its peer's business, too.
    async fn begin(mut self, stream: TcpStream, tls: Option<Tls>, open: Watcher) {
        // Small answers go out at once; a failure only costs time.
        _ = stream.set_nodelay(true);
        let Some(tls) = tls else { return self.run(stream, open).await };
        if let Ok(Ok(stream)) = tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)).await {
            self.shown = tls::shown(&stream);
            self.run(stream, open).await;
        }
    }

    async fn run(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, open: Watcher) {
        let (first, begun) = watch::channel(false);
        let (front, peer, shown) = (&self.front, self.peer, &self.shown);
        let service = service_fn(move |mut request: Request<Incoming>| {
            first.send_replace(true);
            let front = Arc::clone(front);
            if let Some(Shown { certificate, chain }) = shown.clone() {
                request.extensions_mut().insert(certificate);
                request.extensions_mut().insert(chain);
            }
            async move { Ok::<_, Infallible>(front.answer(peer, request).await) }
        });
        let builder = builder();
        let serving = open.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::select! {
            // How a connection ended is its peer's business: resets and timeouts are not worth a line.
            _ = serving => {}
            () = silence(begun) => {}
        }
    }
}

/// Ends when no request arrived in time. hyper bounds the headers of a request once it knows the protocol; a peer that sends nothing,
/// or the first letters of an HTTP/2 greeting, never gets that far.
async fn silence(mut begun: watch::Receiver<bool>) {
    if tokio::time::timeout(HEADERS_WITHIN, begun.wait_for(|begun| *begun)).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEADER_BYTES as usize)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands behind a key in the configurations of the page about the gateway.
    fn told(key: &str) -> Vec<u64> {
        let page = include_str!("../../docs/gateway.md");
        let key = format!("{key}: ");
        let digits = |rest: &str| rest.split(|sign: char| !sign.is_ascii_digit()).next().map(str::parse);
        page.split(&key).skip(1).map(|rest| digits(rest).unwrap().unwrap()).collect()
    }

    #[test]
    fn the_page_keeps_envoy_within_the_bounds_of_a_connection() {
        let (idle, streams) = (told("idle_timeout"), told("max_concurrent_streams"));
        assert_eq!((idle.len(), streams.len()), (1, 1));
        assert!(idle.iter().all(|seconds| Duration::from_secs(*seconds) < HEADERS_WITHIN), "{idle:?}");
        assert!(streams.iter().all(|streams| *streams < MAX_STREAMS.into()), "{streams:?}");
    }
}
