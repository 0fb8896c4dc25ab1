//! The endpoints of OpenID Connect: userinfo, keys, and what the server says about itself.

mod discovery;
mod jwks;
mod userinfo;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, options};

use crate::http::cors;
use crate::http::dpop::{Proofs, offer_nonce};
use crate::http::mount::OAUTH_METADATA;
use crate::http::state::AppState;

pub(crate) fn router(proofs: &Proofs) -> Router<AppState> {
    let nonces = from_fn_with_state(proofs.clone(), offer_nonce);
    let preflight = || options(cors::preflight);
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery::show).merge(preflight()))
        .route(OAUTH_METADATA, get(discovery::show).merge(preflight()))
        .route("/jwks", get(jwks::show).merge(preflight()))
        .route(
            "/userinfo",
            get(userinfo::by_header).post(userinfo::by_header_or_form).layer(nonces).merge(preflight()),
        )
}
