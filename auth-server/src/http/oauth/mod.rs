//! The endpoints of OAuth 2: `/authorize`, `/bc-authorize`, `/device_authorization`, `/par`, `/token`, `/introspect`, `/revoke`.

pub(crate) mod authorize;
mod bc_authorize;
pub(crate) mod client_request;
mod device_authorization;
pub(crate) mod error;
mod introspect;
pub(crate) mod no_store;
mod par;
mod proving;
mod revoke;
mod token;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, options, post};

use crate::http::cors;
use crate::http::dpop::{Proofs, offer_nonce};
use crate::http::state::AppState;

pub(crate) fn router(proofs: &Proofs) -> Router<AppState> {
    let nonces = from_fn_with_state(proofs.clone(), offer_nonce);
    // No CORS at /authorize: a browser goes there, a script never asks it (RFC 9700 §2.6). Nor for devices: a page that read a code
    // with the browser of somebody else would have it asked for from that person's own address.
    Router::new()
        .route("/authorize", get(authorize::by_link).post(authorize::by_form))
        .route("/bc-authorize", post(bc_authorize::begin))
        .route("/device_authorization", post(device_authorization::begin))
        .route("/introspect", post(introspect::introspect))
        .route("/par", post(par::push).layer(nonces.clone()).merge(options(cors::preflight)))
        .route("/revoke", post(revoke::revoke).merge(options(cors::preflight)))
        .route("/token", post(token::exchange).layer(nonces).merge(options(cors::preflight)))
}
