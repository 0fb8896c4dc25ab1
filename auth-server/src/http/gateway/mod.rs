//! Answers the sub-requests of proxies: may the request that they have at hand pass?
//!
//! The original request is put together again from what the proxy says and handed to the guard, behind which nothing stands but
//! [`identity`]: what was let through is answered 200 with who is calling, and what was not with the refusal of the guard.

mod dialect;
mod entry;
mod grpc;
mod identity;
mod question;
mod strangers;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use futures_util::TryFutureExt;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use portcullis_guard::{Guard, Proxies, RouteFault, RouteTable, TableLayer};
use tower::{Layer, ServiceExt, service_fn};
use tracing::Instrument;

use self::dialect::Dialect;
use self::question::{Question, log};
use self::strangers::Strangers;
use crate::http::bounds::{Cut, bounded};
use crate::http::listen::Answering;

/// How long a decision may take: it waits for keys at most.
const DECIDED_WITHIN: Duration = Duration::from_secs(10);
/// Where health is asked for.
const LIVE: &str = "/healthz";
const READY: &str = "/readyz";

/// What a gateway answers with.
pub(crate) struct Front {
    guard: Guard,
    table: TableLayer,
    /// Who may ask.
    askers: Proxies,
    strangers: Strangers,
}

impl Front {
    /// For these routes, and for proxies in these networks.
    pub(crate) fn new(guard: &Guard, routes: RouteTable, askers: Proxies) -> Result<Self, RouteFault> {
        let (guard, table) = (guard.clone(), routes.guarded_by(guard)?);
        Ok(Self { guard, table, askers, strangers: Strangers::default() })
    }

    fn health(&self, path: &str) -> Option<Response> {
        match path {
            LIVE => Some(StatusCode::OK.into_response()),
            READY => {
                let status = self.guard.status();
                let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                Some((code, Json(status)).into_response())
            }
            _ => None,
        }
    }

    /// Whether somebody is one who may ask.
    fn answers(&self, peer: SocketAddr) -> bool {
        let is_proxy = self.askers.contain(peer.ip());
        if is_proxy {
            return true;
        }
        let peer = peer.ip();
        if let Some(asked) = self.strangers.note(Instant::now()) {
            tracing::warn!(%peer, asked, "somebody asked who is no proxy of gateway.trusted_proxies");
        } else {
            tracing::debug!(%peer, "somebody asked who is no proxy of gateway.trusted_proxies");
        }
        false
    }

    async fn asked<B>(&self, peer: SocketAddr, request: Request<B>) -> (Option<Dialect>, Response) {
        if !self.answers(peer) {
            return (None, StatusCode::FORBIDDEN.into_response());
        }
        let Some(dialect) = Dialect::of(request.uri().path()) else {
            tracing::warn!(
                "a proxy asked at an address that is none: it is /nginx, /forward, /envoy/ or that of ext_authz over gRPC"
            );
            return (None, StatusCode::NOT_FOUND.into_response());
        };
        let (parts, _) = request.into_parts();
        let response = match dialect.original(&parts) {
            Ok(original) => self.judged(peer, original).await,
            Err(unclear) => unclear.into_response(),
        };
        (Some(dialect), dialect.spoken(response))
    }

    /// Hands the original request to the guard.
    async fn judged(&self, peer: SocketAddr, mut original: Request<Body>) -> Response {
        original.extensions_mut().insert(ConnectInfo(peer));
        let question = Question::of(&original);
        let passed = service_fn(|request: Request<portcullis_guard::Body>| {
            std::future::ready(Ok::<_, Infallible>(identity::answer(request.extensions())))
        });
        let answer = self.table.layer(passed).oneshot(original).map_ok(|answer| answer.map(Body::from));
        let answer = bounded(DECIDED_WITHIN, answer.instrument(question.span())).await;
        let mut answer = answer.unwrap_or_else(undecided);
        answer.extensions_mut().insert(question);
        answer
    }
}

/// Nobody passes on whom nothing was decided.
fn undecided(cut: Cut) -> Response {
    match cut {
        Cut::Panic => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Cut::TooSlow => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Answering for Front {
    async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        let started = Instant::now();
        if let Some(health) = self.health(request.uri().path()) {
            return unstored(health);
        }
        if request.uri().path() == grpc::CHECK {
            return self.called(peer, request).await;
        }
        let (dialect, response) = self.asked(peer, request).await;
        // The log has said by now what is no question of a proxy.
        if let Some(dialect) = dialect {
            log(dialect.name(), &response, started.elapsed());
        }
        unstored(response)
    }
}

/// What was decided now says nothing about a moment later.
fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
