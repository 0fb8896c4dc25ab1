//! Whether a request that was let through would be let through again.

use super::stream::{Held, RenewError};
use super::{Core, Guard};
use crate::authorize::{Denial, Grounds, Policies, Requirement};
use crate::ended::Ended;
use crate::policy::PolicyState;
use crate::token::{Attempt, Principal, TokenFault, Verification};

impl Guard {
    /// Whether a new request by the same token would be let through now. Gives the caller anew where the keys have changed since.
    pub(crate) fn stays(&self, requirement: &Requirement, held: &Held) -> Result<Option<Principal>, Ended> {
        let core = self.core();
        let again = core.verifier.verify_again(&held.caller, &held.token, requirement.tolerance());
        let again = again.map_err(|outcome| match outcome {
            Verification::Refused(TokenFault::Expired) => Ended::Expired,
            // It was good before: then it is the key that is not there any more.
            Verification::Refused(_) => Ended::Revoked,
            Verification::Unavailable | Verification::Verified(_) | Verification::Waiting(_) => {
                Ended::Unavailable
            }
        })?;
        core.allows_still(requirement, again.as_ref().unwrap_or(&held.caller))?;
        Ok(again)
    }

    /// Verifies a token with which something is to go on.
    pub(crate) async fn newcomer(
        &self,
        requirement: &Requirement,
        token: &str,
    ) -> Result<Principal, RenewError> {
        let verifier = &self.core().verifier;
        let outcome = match verifier.verify(token, requirement.tolerance(), Attempt::First) {
            Verification::Waiting(trust) => {
                trust.refresh_for_request().await;
                verifier.verify(token, requirement.tolerance(), Attempt::Last)
            }
            outcome => outcome,
        };
        match outcome {
            Verification::Verified(caller) => Ok(caller),
            Verification::Refused(_) => Err(RenewError::Token),
            Verification::Unavailable | Verification::Waiting(_) => Err(RenewError::Unavailable),
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
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.verifier.leeway() };
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
