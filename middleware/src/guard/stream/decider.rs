//! Questions that only a handler can ask, about what it has found.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

use super::{Held, Issued, Seat};
use crate::authorize::Requirement;
use crate::decision::Decision;
use crate::ended::Ended;
use crate::introspection::Inquiry;
use crate::records::Share;
use crate::refusal::{Refusal, Rejection};
use crate::token::{Scheme, TokenFault};

/// Decides what a handler asks about its caller, by the same policy as routes: for objects that are known only inside, as in a
/// resolver of GraphQL or a tool of the Model Context Protocol, where everything is one route.
///
/// As an argument of a handler of axum it is there on every guarded route. What runs elsewhere takes it along, or gets it by
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
/// ones](crate::DecisionRecords), and a refusal stands in the log. The server knows what routes require, and what
/// [is said](crate::GuardedRoute::asks) of what their handlers ask: it lists a rule about anything else as one that nobody asks for.
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
    /// handler that asks so late can [wait](Self::decide_when_known).
    ///
    /// Where the request came without a token, nothing is met, nor on a route that looks at none: whom a guard around it let through is not
    /// the caller of the route.
    pub fn decide(&self, requirement: &Requirement) -> Result<Decision, Rejection> {
        let Some(seat) = &self.0 else { return Err(Refusal::Anonymous.into()) };
        let outcome = seat.guard.decide(requirement, &mut seat.held());
        outcome.map_err(|refusal| seat.rejects(requirement, refusal))
    }

    /// Decides as [`decide`](Self::decide), and waits as a new request would where that could not say whether the token is still
    /// good: for the issuer, which is asked about it together with everybody who wants to know the same, or for its keys. It is 503
    /// where they are not to be had in time.
    ///
    /// ```
    /// use portcullis_guard::{Decider, Rejection, rbac};
    ///
    /// /// What takes an hour, and then needs a permission that may have gone meanwhile.
    /// async fn publish(decider: Decider) -> Result<&'static str, Rejection> {
    ///     # async fn render() {}
    ///     render().await;
    ///     decider.decide_when_known(&rbac("reports", "publish")).await?;
    ///     Ok("published")
    /// }
    /// ```
    pub async fn decide_when_known(&self, requirement: &Requirement) -> Result<Decision, Rejection> {
        if let Some(seat) = &self.0 {
            let learnt = seat.learn(requirement).await;
            learnt.map_err(|refusal| seat.rejects(requirement, refusal))?;
        }
        self.decide(requirement)
    }
}

impl Seat {
    fn rejects(&self, requirement: &Requirement, refusal: Refusal) -> Rejection {
        Rejection::to_question(refusal, &self.guard.hint(requirement), self.place())
    }

    /// Whether a new request would be let through now, after a wait in which nobody looked. Where that is not known any more, it is
    /// waited for what says it.
    pub(super) async fn lasts(&self) -> Result<(), Refusal> {
        let mut inner = Some(self);
        while let Some(seat) = inner {
            let requirement = &seat.terms.requirement;
            seat.follow_session(requirement).await?;
            let stays = seat.guard.stays(requirement, &mut seat.held());
            if stays.is_err() {
                seat.learn(requirement).await?;
                seat.guard.decide(requirement, &mut seat.held())?;
            }
            inner = seat.outer.as_deref();
        }
        Ok(())
    }

    /// Goes on under the token that the session has by now, if the request came with one, as a new request with its cookie would.
    async fn follow_session(&self, requirement: &Requirement) -> Result<(), Refusal> {
        let (visit, is_refused) = {
            let mut held = self.held();
            let stays = self.guard.stays(requirement, &mut held);
            (held.visit.clone(), matches!(stays, Err(Ended::Expired | Ended::Revoked)))
        };
        let Some((before, sessions)) = visit.zip(self.guard.sessions()) else { return Ok(()) };
        let found = sessions.anew(&before, is_refused).settle().await.visit();
        let visit = found.map_err(Refusal::Unavailable)?.ok_or(Refusal::Anonymous)?;
        if visit.token() == before.token() {
            return Ok(());
        }
        let scheme = Scheme::Bearer;
        let caller = self.guard.find_out(requirement, (visit.token(), scheme)).await?;
        if !sessions.is_of(&visit, &caller) {
            return Err(Refusal::Token { fault: TokenFault::OtherSubject, scheme });
        }
        let token = caller.verified().token().cloned().unwrap_or_else(|| visit.token().into());
        let (inquiry, share) = (Inquiry::default(), Share::default());
        *self.held() = Held { caller, token, inquiry, visit: Some(visit), share };
        Ok(())
    }

    /// Waits for what says whether the token is still good, where that is not known any more.
    async fn learn(&self, requirement: &Requirement) -> Result<(), Refusal> {
        let (token, scheme) = {
            let mut held = self.held();
            if self.guard.is_known(requirement, &mut held) {
                return Ok(());
            }
            (held.token.clone(), held.scheme())
        };
        let caller = self.guard.find_out(requirement, (&token, scheme)).await?;
        let mut held = self.held();
        // Another token may have taken its place meanwhile, and counts then.
        if held.token == token {
            held.take_over(caller).map_err(|_| Refusal::Token { fault: TokenFault::Revoked, scheme })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.0.as_ref().map(|seat| seat.held().caller.subject().to_owned());
        out.debug_struct("Decider").field("subject", &subject).finish_non_exhaustive()
    }
}
