//! What a route has of its own.

use std::sync::Arc;

use portcullis_policy::Route;

use crate::authorize::Requirement;
use crate::edge::RouteHeaders;
use crate::input::RouteInput;

/// What a route has of its own, beside what it requires: where it says nothing, that of the guard.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteOptions {
    pub(crate) input: Option<RouteInput>,
    pub(crate) headers: Option<RouteHeaders>,
    /// Whether answers are open as long as somebody listens.
    pub(crate) streams: bool,
    /// Whether cookies count for nothing.
    pub(crate) without_cookies: bool,
    /// What the handler asks the policy beside: the server is told of it, and nothing else is done by it.
    pub(crate) asks: Vec<Arc<Requirement>>,
}

impl RouteOptions {
    /// A route as the server is told of it.
    pub(crate) fn described(&self, route: Route) -> Route {
        route.asking(self.asks.iter().map(|what| what.need()))
    }
}
