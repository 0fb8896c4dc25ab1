//! Questions that only a handler can ask, about what it has found.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use super::{Issued, Seat};
use crate::authorize::Requirement;
use crate::decision::Decision;
use crate::refusal::{Refusal, Rejection};

/// Decides what a handler asks about its caller, by the same policy as routes: for objects that are known only inside, as in a
/// resolver of GraphQL or a tool of the Model Context Protocol, where everything is one route.
///
/// As an argument of a handler it is there on every guarded route. What runs elsewhere takes it along, or gets it by
/// [`of`](Self::of) from the extensions of the request.
///
/// ```
/// use axum::extract::Path;
/// use portcullis_guard::{Decider, Rejection, rbac};
///
/// /// Behind `authenticated()`: what is asked for depends on the folder that the document is in.
/// async fn show(Path(id): Path<u64>, decider: Decider) -> Result<String, Rejection> {
///     let folder = format!("folders/{}", id % 7);
///     let decision = decider.decide(&rbac(folder, "read"))?;
///     Ok(format!("the document, by {}", decision.id()))
/// }
/// ```
///
/// Each answer is a decision with a name of its own. It is recorded as those of routes are, up to [so many different
/// ones](crate::DecisionRecords), and a refusal stands in the log. The server
/// knows only what routes require: it lists a rule about which only handlers ask as one that no route asks for.
#[derive(Clone)]
pub struct Decider(Option<Arc<Seat>>);

impl Decider {
    /// That of a request, by its extensions.
    pub fn of(extensions: &Extensions) -> Self {
        Self(Issued::own_seat(extensions))
    }

    /// Decides whether the caller meets a requirement now, as for a new request with the same token: one that has expired or was revoked
    /// since is refused as well. Limits and costs of the requirement count for nothing here, and while the issuer is away it
    /// [serves stale](Requirement::serve_stale) only if it says so itself.
    ///
    /// Nobody waits here. Of a token that the [issuer is asked about](crate::Introspection), what it said counts for as long as it is
    /// remembered. The first question after that has the issuer asked again in the background: it is still answered by what was said if
    /// that is at most five seconds too old, and otherwise it is 503, and so is every question until the issuer has answered. A
    /// handler that asks so late tries again a moment later.
    ///
    /// Where the request came without a token, nothing is met, nor on a route that looks at none: whom a guard around it let through is not
    /// the caller of the route.
    pub fn decide(&self, requirement: &Requirement) -> Result<Decision, Rejection> {
        let Some(seat) = &self.0 else { return Err(Refusal::Anonymous.into()) };
        let outcome = seat.guard.decide(requirement, &mut seat.held());
        outcome.map_err(|refusal| Rejection::to_question(refusal, &seat.guard.hint(requirement)))
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.0.as_ref().map(|seat| seat.held().caller.subject().to_owned());
        out.debug_struct("Decider").field("subject", &subject).finish_non_exhaustive()
    }
}
