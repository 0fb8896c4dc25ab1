//! HTTP: each handler parses, calls one service and renders. What holds for every answer is in [`edge`].

pub(crate) mod edge;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod headers;
pub(crate) mod listen;
pub(crate) mod ops;
pub(crate) mod state;

use axum::Router;

use crate::http::edge::NoteRoute;
use crate::http::state::AppState;

/// Every route of the server.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .merge(ops::router())
        .fallback(error::not_found)
        // Innermost of all: it runs after routing, where the matched route is known.
        .layer(NoteRoute)
        .with_state(state)
}
