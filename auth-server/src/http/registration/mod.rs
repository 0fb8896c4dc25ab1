//! Clients that register themselves: `/register` ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)), and `/register/{client}`
//! ([RFC 7592](https://www.rfc-editor.org/rfc/rfc7592)).

mod access;
mod answer;
mod bearer;
mod register;

use axum::Router;
use axum::routing::{get, options, post};

use crate::http::cors;
use crate::http::state::AppState;

/// The longest metadata that are read: key sets among them.
const MAX_BODY_BYTES: usize = 32 * 1024;

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/register", post(register::register).merge(options(cors::preflight)))
        .route("/register/{client}", get(access::read).put(access::update).delete(access::delete))
}
