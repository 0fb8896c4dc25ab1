//! What happens in front of the guard when it refuses somebody whose token is good: the attempt is recorded.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use portcullis_guard::{AccessDenied, ClientAddress};

use crate::domain::claims::AccessTokenClaims;
use crate::http::admin::live::{LiveCheck, facts};
use crate::services::callers::Arrival;

/// Passes the request on, and records a refusal. A token that was revoked is nobody's any more, and its refusal not recorded.
pub(crate) async fn record(State(live): State<LiveCheck>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().map(|ClientAddress(address)| *address);
    let response = next.run(request).await;
    let denied = response.extensions().get::<AccessDenied>();
    let claims = denied.and_then(|denied| denied.principal().claims::<AccessTokenClaims>());
    if let Some((denied, claims)) = denied.zip(claims) {
        let arrival = Arrival { address, now: live.clock.now() };
        if let Ok(caller) = live.callers.of_token(&facts(claims), arrival).await {
            live.trail.refused(&caller, denied.needed()).await;
        }
    }
    response
}
