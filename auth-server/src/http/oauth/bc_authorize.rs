//! The backchannel authentication endpoint ([CIBA §7]). Browsers have no business here: only clients that prove who they are do.
//!
//! [CIBA §7]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#auth_backchannel_endpoint

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::http::oauth::no_store::NoStore;
use crate::services::ciba::CibaService;

/// A successful answer (§7.3).
#[derive(Serialize)]
pub(super) struct Body {
    auth_req_id: String,
    expires_in: u64,
    interval: u64,
}

pub(super) async fn begin(
    State(ciba): State<CibaService>,
    ClientRequest { caller, parameters }: ClientRequest,
) -> Result<NoStore<Json<Body>>, OAuthError> {
    let taken = ciba.begin(&caller, &parameters).await?;
    Ok(NoStore(Json(Body {
        auth_req_id: taken.auth_req_id.expose().to_owned(),
        expires_in: taken.expires_in.as_secs(),
        interval: taken.interval.as_secs(),
    })))
}
