//! Which refusal is the answer to what was found.

use crate::authorize::{Binding, Denial, Grant, Requirement};
use crate::binding::BindingFault;
use crate::decision::{Decision, Denied};
use crate::decision_id::DecisionId;
use crate::limit::Halt;
use crate::refusal::{Outage, Refusal};
use crate::token::{Principal, Scheme};

/// The answer to a request that a limit does not let on.
impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Exceeded(exceeded) => Self::Limited(exceeded),
            Halt::Uncounted => Self::Unavailable(Outage::SharedLimits),
            // Whoever waits is done waiting by now.
            Halt::Closed | Halt::Wait(_) => Self::Unavailable(Outage::Limit),
        }
    }
}

/// The answer to a caller who may not.
pub(super) fn refusal(
    denial: Denial,
    requirement: &Requirement,
    caller: &Principal,
    id: DecisionId,
) -> Refusal {
    let denied = |grant| Denied {
        decision: Decision::new(id, grant),
        needed: requirement.needed(),
        principal: caller.clone(),
    };
    let forbidden = |why, grant| Refusal::Forbidden { why, denied: denied(grant) };
    let nothing = Grant::default();
    match denial {
        Denial::Anonymous => Refusal::Anonymous,
        Denial::Details => forbidden("the token has no authorization details that allow it", nothing),
        Denial::Issuer(_) => forbidden("the token is of another issuer", nothing),
        Denial::NoPolicy => forbidden("the route requires a policy and the guard has none", nothing),
        Denial::NoRequirement => forbidden("the route states no requirement", nothing),
        Denial::Policy(grant) => forbidden("the policy does not allow it", grant),
        Denial::PolicyMissing => Refusal::Unavailable(Outage::Policy),
        Denial::Scope(scope) => Refusal::Scope { scope, denied: denied(nothing) },
        Denial::Unbound(binding, grant) => {
            Refusal::Unproven { binding, denied: Some(Box::new(denied(grant))) }
        }
        Denial::SignIn(sign_in, grant) => Refusal::SignIn { sign_in, denied: denied(grant) },
        Denial::Unlisted => forbidden("no route of the table is for this path and method", nothing),
    }
}

/// The answer to a caller who has not proven that the token is theirs.
pub(super) fn unproven(fault: BindingFault, scheme: Scheme) -> Refusal {
    match fault {
        BindingFault::Proof(what) => Refusal::Proof(what),
        BindingFault::Nonce(nonce) => Refusal::ProofNonce(nonce),
        BindingFault::Token(fault) => Refusal::Token { fault, scheme },
        BindingFault::Unbound => Refusal::Unproven { binding: Binding::Key, denied: None },
        BindingFault::Full => Refusal::Unavailable(Outage::Proofs),
        BindingFault::Away => Refusal::Unavailable(Outage::SharedProofs),
    }
}
