//! Routes that nobody can pass, told of when the guard meets them.

use crate::authorize::{Binding, Requirement};
use crate::guard::Guard;

impl Guard {
    /// Says so where a route asks for what nobody could show.
    pub(crate) fn look_at(&self, requirement: &Requirement) {
        let is_missing = |binding: &Binding| !self.core.credentials.bindings.can_prove(*binding);
        for binding in requirement.bindings().into_iter().filter(is_missing) {
            tracing::error!(requires = %requirement, "nobody can pass: the guard accepts no tokens that are bound to {binding}");
        }
        if requirement.asks_policy() && self.core.policy.is_none() {
            tracing::error!(requires = %requirement, "what the policy is to allow is never allowed: the guard has none, which `GuardBuilder::policy` gives it");
        }
        if requirement.asks_when_stale() && self.core.authority.introspector.is_none() {
            tracing::error!(requires = %requirement, "nobody can be asked when revocations are not heard: the guard has no introspection");
        }
        for issuer in requirement.issuers().into_iter().filter(|issuer| self.core.trusts.of(issuer).is_none())
        {
            tracing::error!(requires = %requirement, "no token can be of {issuer}, which the guard does not trust");
        }
    }
}
