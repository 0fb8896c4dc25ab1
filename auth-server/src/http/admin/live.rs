//! The check behind the guard: a token that verifies may still be one that was revoked, and a proof that is good one that another
//! replica has seen.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use portcullis_guard::{Claims, ClientAddress};

use crate::domain::claims::AccessTokenClaims;
use crate::domain::clock::{Clock, Timestamp};
use crate::http::admin::problem::Problem;
use crate::http::dpop::Proofs;
use crate::services::access_trail::AccessTrail;
use crate::services::caller::Caller;
use crate::services::callers::{Arrival, CallerRefusal, CallerService, TokenFacts};

/// What the check asks.
#[derive(Clone)]
pub(crate) struct LiveCheck {
    pub(crate) callers: CallerService,
    pub(crate) clock: Clock,
    pub(crate) proofs: Proofs,
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
        issued_at: Timestamp::from_secs(claims.iat),
    }
}

/// Lets the request through with its caller, or answers that the token is no longer valid.
pub(crate) async fn check(State(live): State<LiveCheck>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let claims = match Claims::<AccessTokenClaims>::from_request_parts(&mut parts, &()).await {
        Ok(Claims(claims)) => claims,
        Err(refusal) => return refusal.into_response(),
    };
    let is_bound = claims.cnf.jkt.is_some();
    match live.caller(&parts, &facts(claims), is_bound).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal @ CallerRefusal::Revoked(_)) => {
            let algorithms = is_bound.then(|| live.proofs.algorithms());
            Problem::token_revoked(algorithms.as_deref()).because(&refusal).into_response()
        }
        Err(refusal @ (CallerRefusal::Proof | CallerRefusal::ProofAlgorithm)) => {
            Problem::proof_refused(&live.proofs.algorithms()).because(&refusal).into_response()
        }
        Err(refusal @ CallerRefusal::Fault(_)) => Problem::fault(&refusal).into_response(),
    }
}

impl LiveCheck {
    /// Who calls, if everything that the token says is still true, and its proof was shown to no replica before.
    async fn caller(
        &self,
        parts: &Parts,
        facts: &TokenFacts,
        is_bound: bool,
    ) -> Result<Caller, CallerRefusal> {
        let address = parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address);
        let arrival = Arrival { address, now: self.clock.now() };
        let caller = self.callers.of_token(facts, arrival).await?;
        if is_bound {
            // The guard has verified that there is one, and that it is one for this token.
            let proof = self.proofs.read(parts, None).ok().flatten().ok_or(CallerRefusal::Proof)?;
            self.callers.use_proof(&facts.client, proof).await?;
        }
        Ok(caller)
    }
}
