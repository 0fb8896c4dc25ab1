//! Whether a request that was let through would be let through again, or for something else.

use super::authority::Identity;
use super::stream::Held;
use super::{Core, Guard};
use crate::authorize::{Denial, Grounds, Policies, Requirement};
use crate::decision::Decision;
use crate::ended::Ended;
use crate::policy::PolicyState;
use crate::records::Asker;
use crate::refusal::{Outage, Refusal};
use crate::token::{Principal, Scheme, TokenFault};

impl Guard {
    /// Whether a new request by the same token would be let through now.
    pub(crate) fn stays(&self, requirement: &Requirement, held: &mut Held) -> Result<(), Ended> {
        self.confirm(requirement, held)?;
        self.core().allows_still(requirement, &held.caller)
    }

    /// Decides what a handler asks about the caller of a request that was let through, as it would be for a route.
    pub(crate) fn decide(&self, requirement: &Requirement, held: &mut Held) -> Result<Decision, Refusal> {
        let core = self.core();
        self.confirm(requirement, held).map_err(|ended| core.lapsed(ended, (requirement, held)))?;
        if core.is_in_the_dark(requirement, &held.caller) {
            return Err(Refusal::Unavailable(Outage::Revocations));
        }
        let policy = core.policy_for(requirement);
        core.authorize(requirement, Some(&held.caller), policy, Asker::Handler(&held.share))
    }

    /// Whether it can be said at once of the token of a request that was let through that it is still good, or that it is not.
    pub(crate) fn is_known(&self, requirement: &Requirement, held: &mut Held) -> bool {
        match self.confirm(requirement, held) {
            Err(Ended::Unavailable) => return false,
            Err(_) => return true,
            Ok(()) => {}
        }
        // Where nobody says what was revoked, the issuer does, if it was not asked before.
        let core = self.core();
        core.authority.asked_anew(&held.caller, core.rigour(requirement)).is_none()
    }

    /// Whether the token is still good, and the session that it is of, if it is of one, has not ended.
    fn confirm(&self, requirement: &Requirement, held: &mut Held) -> Result<(), Ended> {
        let visit = held.visit.as_ref().zip(self.sessions());
        if visit.is_some_and(|(visit, sessions)| sessions.have_ended(visit)) {
            return Err(Ended::Revoked);
        }
        self.core().authority.confirm(held, requirement.tolerance())
    }

    /// Who sent a token, as for a new request with it.
    pub(crate) async fn find_out(
        &self,
        requirement: &Requirement,
        (token, scheme): (&str, Scheme),
    ) -> Result<Principal, Refusal> {
        let core = self.core();
        match core.authority.find_out(token, core.rigour(requirement)).await {
            Identity::Caller(caller) => Ok(caller),
            Identity::Refused(fault) => Err(Refusal::Token { fault, scheme }),
            Identity::Unavailable(outage) => Err(Refusal::Unavailable(outage)),
            // Whoever has waited is done waiting by now.
            Identity::Wait(pending) if pending.asks() => Err(Refusal::Unavailable(Outage::Introspection)),
            Identity::Wait(_) => Err(Refusal::Unavailable(Outage::Keys)),
        }
    }
}

impl Core {
    /// The answer to a caller whose token has ended while the handler was at work.
    fn lapsed(&self, ended: Ended, (requirement, held): (&Requirement, &Held)) -> Refusal {
        let scheme = held.scheme();
        match ended {
            Ended::Expired => Refusal::Token { fault: TokenFault::Expired, scheme },
            Ended::Denied | Ended::Revoked | Ended::SignIn => {
                Refusal::Token { fault: TokenFault::Revoked, scheme }
            }
            Ended::Unavailable => {
                Refusal::Unavailable(self.authority.missing_for(held, requirement.tolerance()))
            }
        }
    }

    fn allows_still(&self, requirement: &Requirement, caller: &Principal) -> Result<(), Ended> {
        if self.is_in_the_dark(requirement, caller) {
            return Err(Ended::Unavailable);
        }
        let moment = self.moment(requirement);
        let decide = |policy: Policies<'_>| {
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.authority.verifier.leeway() };
            requirement.decide(Some(caller), grounds)
        };
        let silently = |policy: &PolicyState| policy.with_silently(moment, decide);
        let outcome = self.policy.as_ref().map_or_else(|| decide(Policies::Unused), silently);
        outcome.map(drop).map_err(|denial| match denial {
            Denial::PolicyMissing => Ended::Unavailable,
            Denial::SignIn(..) => Ended::SignIn,
            _ => Ended::Denied,
        })
    }
}
