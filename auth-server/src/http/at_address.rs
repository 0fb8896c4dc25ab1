//! The same server at one of its addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use portcullis_guard::ClientOrigin;

use crate::http::edge::Edge;
use crate::http::listen::Answering;

/// Answers at an address. Where there are two, a DPoP proof is for the one that the client reached.
pub(crate) struct AtAddress {
    edge: Arc<Edge>,
    origin: Option<ClientOrigin>,
}

impl AtAddress {
    /// At the only address.
    pub(crate) const fn only(edge: Arc<Edge>) -> Self {
        Self { edge, origin: None }
    }

    /// At one of several: the origin by which clients reach it.
    pub(crate) fn of(edge: Arc<Edge>, origin: &str) -> Self {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        Self { edge, origin: ClientOrigin::new(scheme, host).ok() }
    }
}

impl Answering for AtAddress {
    async fn answer(&self, peer: SocketAddr, mut request: Request<Incoming>) -> Response {
        if let Some(origin) = &self.origin {
            request.extensions_mut().insert(origin.clone());
        }
        self.edge.answer(peer, request).await
    }
}
