//! Whether a request that was let through would be let through again.

use super::authority::Identity;
use super::stream::{Held, RenewError};
use super::{Core, Guard};
use crate::authorize::{Denial, Grounds, Policies, Requirement};
use crate::ended::Ended;
use crate::policy::PolicyState;
use crate::token::Principal;

impl Guard {
    /// Whether a new request by the same token would be let through now.
    pub(crate) fn stays(&self, requirement: &Requirement, held: &mut Held) -> Result<(), Ended> {
        let core = self.core();
        let visit = held.visit.as_ref().zip(self.sessions());
        if visit.is_some_and(|(visit, sessions)| sessions.have_ended(visit)) {
            return Err(Ended::Revoked);
        }
        core.authority.confirm(held, requirement.tolerance())?;
        core.allows_still(requirement, &held.caller)
    }

    /// Verifies a token with which something is to go on.
    pub(crate) async fn newcomer(
        &self,
        requirement: &Requirement,
        token: &str,
    ) -> Result<Principal, RenewError> {
        match self.core().authority.find_out(token, requirement.tolerance()).await {
            Identity::Caller(caller) => Ok(caller),
            Identity::Refused(_) => Err(RenewError::Token),
            Identity::Unavailable(_) | Identity::Wait(_) => Err(RenewError::Unavailable),
        }
    }
}

impl Core {
    fn allows_still(&self, requirement: &Requirement, caller: &Principal) -> Result<(), Ended> {
        let moment = self.moment(requirement);
        if self.policy.as_ref().is_some_and(|policy| policy.hears_too_little(moment)) {
            return Err(Ended::Unavailable);
        }
        let decide = |policy: Policies<'_>| {
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.authority.verifier.leeway() };
            requirement.decide(Some(caller), grounds)
        };
        let silently = |policy: &PolicyState| policy.with_silently(moment, decide);
        let outcome = self.policy.as_ref().map_or_else(|| decide(Policies::Unused), silently);
        outcome.map(drop).map_err(|denial| match denial {
            Denial::PolicyMissing => Ended::Unavailable,
            Denial::SignIn(_) => Ended::SignIn,
            _ => Ended::Denied,
        })
    }
}
