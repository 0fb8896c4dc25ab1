//! HTTP: each handler parses, calls one service and renders. What holds for every answer is in [`edge`].

pub(crate) mod admin;
pub(crate) mod advertised;
pub(crate) mod at_address;
pub(crate) mod authzen;
pub(crate) mod bounds;
pub(crate) mod cors;
pub(crate) mod decided;
pub(crate) mod decision_point;
pub(crate) mod dpop;
pub(crate) mod edge;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod gateway;
pub(crate) mod headers;
pub(crate) mod listen;
pub(crate) mod metadata;
pub(crate) mod mount;
mod mtls_aliases;
pub(crate) mod noted;
pub(crate) mod oauth;
pub(crate) mod oidc;
pub(crate) mod ops;
pub(crate) mod pages;
pub(crate) mod places;
pub(crate) mod policies;
pub(crate) mod protocol;
pub(crate) mod published;
pub(crate) mod refusal;
pub(crate) mod registration;
pub(crate) mod render;
pub(crate) mod state;
pub(crate) mod tls;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;

use crate::http::edge::NoteRoute;
use crate::http::extract::link::LinkPath;
use crate::http::extract::request_id::RequestId;
use crate::http::refusal::{Refusal, Voice};
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Pages, assets};
use crate::http::state::AppState;

/// Every route of the server, with those of the admin API behind their own guard.
pub(crate) fn router(state: AppState, admin_api: Router<AppState>) -> Router {
    Router::new()
        .merge(admin_api)
        .merge(authzen::router())
        .merge(oauth::router(&state.protocol.evidence.proofs))
        .merge(oidc::router(&state.protocol.evidence.proofs))
        .merge(ops::router())
        .merge(pages::router())
        .merge(policies::router())
        .merge(registration::router())
        .route("/static/{hash}/{name}", get(asset))
        .fallback(not_found)
        .method_not_allowed_fallback(no_such_method)
        // Innermost of all: it runs after routing, where the matched route is known.
        .layer(NoteRoute)
        .with_state(state)
}

/// `GET /static/{hash}/{name}`.
async fn asset(
    State(pages): State<Pages>,
    LinkPath((hash, name)): LinkPath<(String, String)>,
    id: RequestId,
    headers: HeaderMap,
) -> Response {
    let found = assets::answer(&pages, (&hash, &name), &headers);
    found.unwrap_or_else(|| pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str())))
}

/// The answer at an address that no route has.
async fn not_found(State(pages): State<Pages>, id: RequestId, request: Request) -> Response {
    Refusal::NotFound.response(Voice::of(&request), &pages, id)
}

/// The answer to a method that an address does not have.
async fn no_such_method(State(pages): State<Pages>, id: RequestId, request: Request) -> Response {
    Refusal::Method.response(Voice::of(&request), &pages, id)
}
