//! The check behind the guard: a token that verifies may still be one that was revoked.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use portcullis_guard::{Claims, ClientAddress};

use crate::domain::claims::AccessTokenClaims;
use crate::domain::clock::Clock;
use crate::http::admin::problem::Problem;
use crate::services::access_trail::AccessTrail;
use crate::services::callers::{Arrival, CallerRefusal, CallerService, TokenFacts};

/// What the check asks.
#[derive(Clone)]
pub(crate) struct LiveCheck {
    pub(crate) callers: CallerService,
    pub(crate) clock: Clock,
    pub(crate) trail: AccessTrail,
}

/// What the check looks at.
pub(super) fn facts(claims: AccessTokenClaims) -> TokenFacts {
    TokenFacts {
        subject: claims.sub,
        client: claims.client_id,
        token: claims.jti,
        grant: claims.gid,
        roles: claims.roles,
    }
}

/// Lets the request through with its caller, or answers that the token is no longer valid.
pub(crate) async fn check(State(live): State<LiveCheck>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let claims = match Claims::<AccessTokenClaims>::from_request_parts(&mut parts, &()).await {
        Ok(Claims(claims)) => claims,
        Err(refusal) => return refusal.into_response(),
    };
    let address = parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address);
    match live.callers.of_token(&facts(claims), Arrival { address, now: live.clock.now() }).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal @ CallerRefusal::Revoked(_)) => {
            Problem::token_revoked().because(&refusal).into_response()
        }
        Err(refusal @ CallerRefusal::Fault(_)) => Problem::fault(&refusal).into_response(),
    }
}
