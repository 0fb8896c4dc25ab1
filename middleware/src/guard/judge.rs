//! The judgement of a request, step by step.

use std::sync::Arc;

use http::request::Parts;

use super::stream::{Held, Issued, Permit};
use super::{Core, Guard, Step, Terms};
use crate::authorize::{Binding, Denial, Grant, Grounds, Policies, Requirement};
use crate::binding::{BindingFault, Name};
use crate::client_address::ClientAddress;
use crate::decision::{AccessDenied, Decision, DecisionId};
use crate::jwks::Trust;
use crate::limit::Standing;
use crate::path;
use crate::policy::PolicyState;
use crate::refusal::{Outage, Refusal};
use crate::schedule::Moment;
use crate::token::{Attempt, Principal, Scheme, Verification, credential};

impl Guard {
    pub(super) fn judge(
        &self,
        parts: &mut Parts,
        terms: &Arc<Terms>,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        path::check(parts).map_err(Refusal::Path)?;
        self.core().admit_address(parts, standing)?;
        self.proceed(parts, terms, Attempt::First, standing)
    }

    pub(super) fn proceed(
        &self,
        parts: &mut Parts,
        terms: &Arc<Terms>,
        attempt: Attempt,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let core = self.core();
        let Terms { requirement, input } = terms.as_ref();
        let (known, proof) = match core.authenticate(parts, requirement, attempt)? {
            Authentication::Known(known, proof) => (known, proof),
            Authentication::Wait(trust) => return Ok(Step::Wait(trust)),
        };
        let caller = known.as_ref().map(|held| &held.caller);
        let decision = core.admit(parts, requirement, (caller, proof), standing)?;
        // An outer guard may have left a caller that this route does not have.
        parts.extensions.remove::<Principal>();
        if let Some(held) = known {
            parts.extensions.insert(held.caller.clone());
            let outer = Permit::issued(&parts.extensions).into_seat();
            parts.extensions.insert(Issued::new(self, terms, held, outer));
        }
        parts.extensions.insert(decision);
        let media = input.begin(parts).map_err(Refusal::Input)?;
        Ok(media.map_or(Step::Pass, Step::CheckBody))
    }
}

impl Core {
    fn admit_address(&self, parts: &mut Parts, standing: &mut Standing) -> Result<(), Refusal> {
        let Some(address) = self.proxies.client(parts) else {
            let needed = self.limiters.needs_address();
            return if needed { Err(Refusal::Unavailable(Outage::Address)) } else { Ok(()) };
        };
        self.limiters.spend_address(address, standing).map_err(Refusal::Limited)?;
        parts.extensions.insert(ClientAddress(address));
        Ok(())
    }

    /// Judges a request whose caller is known, or has no token.
    fn admit(
        &self,
        parts: &mut Parts,
        requirement: &Requirement,
        (caller, proof): (Option<&Principal>, Option<Name>),
        standing: &mut Standing,
    ) -> Result<Decision, Refusal> {
        let policy = self.policy.as_ref().map(|policy| (policy, self.moment(requirement)));
        if caller.is_some() && policy.is_some_and(|(policy, moment)| policy.hears_too_little(moment)) {
            return Err(Refusal::Unavailable(Outage::Revocations));
        }
        if let Some(caller) = caller {
            self.limiters.spend_identity(caller, standing).map_err(Refusal::Limited)?;
        }
        // Only now: whoever is over their limit takes no room from others.
        if let Some(proof) = proof {
            self.note_proof(parts, proof)?;
        }
        self.authorize(requirement, caller, policy)
    }

    pub(super) fn moment(&self, requirement: &Requirement) -> Moment {
        Moment { now: self.clock.steady(), tolerance: requirement.tolerance() }
    }

    fn authenticate(
        &self,
        parts: &Parts,
        requirement: &Requirement,
        attempt: Attempt,
    ) -> Result<Authentication, Refusal> {
        if requirement.ignores_tokens() {
            return Ok(Authentication::Known(None, None));
        }
        let sent = credential(&parts.headers).map_err(Refusal::Bearer)?;
        let Some(sent) = sent.filter(|sent| self.bindings.knows(sent.scheme)) else {
            let anonymous = requirement.admits_anonymous();
            return if anonymous { Ok(Authentication::Known(None, None)) } else { Err(Refusal::Anonymous) };
        };
        match self.verifier.verify(sent.token, requirement.tolerance(), attempt) {
            Verification::Refused(fault) => Err(Refusal::Token { fault, scheme: sent.scheme }),
            Verification::Unavailable => Err(Refusal::Unavailable(Outage::Keys)),
            Verification::Verified(caller) => {
                let proof = self.bindings.check(parts, (sent, &caller), &self.proxies, &self.clock);
                let proof = proof.map_err(|fault| unproven(fault, sent.scheme))?;
                Ok(Authentication::Known(Some(Held { caller, token: sent.token.into() }), proof))
            }
            Verification::Waiting(trust) => Ok(Authentication::Wait(trust)),
        }
    }

    /// Takes a proof for used. A guard around this one, which is the same guard, has done so already.
    fn note_proof(&self, parts: &mut Parts, proof: Name) -> Result<(), Refusal> {
        let noted = Noted { proof, guard: self.decisions.guard() };
        if parts.extensions.get::<Noted>() != Some(&noted) {
            self.bindings.note(proof, &self.clock).map_err(|fault| unproven(fault, Scheme::Dpop))?;
            parts.extensions.insert(noted);
        }
        Ok(())
    }

    fn authorize(
        &self,
        requirement: &Requirement,
        caller: Option<&Principal>,
        policy: Option<(&PolicyState, Moment)>,
    ) -> Result<Decision, Refusal> {
        let decide = |policy: Policies<'_>| {
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.verifier.leeway() };
            requirement.decide(caller, grounds)
        };
        let outcome = match policy {
            Some((policy, moment)) => policy.with(moment, decide),
            None => decide(Policies::Unused),
        };
        let id = self.decisions.next();
        outcome.map(|grant| Decision::new(id, grant)).map_err(|denial| match caller {
            Some(caller) => refusal(denial, requirement, caller, id),
            // Whoever has no token is asked for one before anything else is looked at.
            None => Refusal::Anonymous,
        })
    }
}

/// The answer to a caller who may not.
fn refusal(denial: Denial, requirement: &Requirement, caller: &Principal, id: DecisionId) -> Refusal {
    let denied = |grant| AccessDenied {
        decision: Decision::new(id, grant),
        needed: requirement.needed(),
        principal: caller.clone(),
    };
    let forbidden = |why, grant| Refusal::Forbidden { why, denied: denied(grant) };
    let nothing = Grant::default();
    match denial {
        Denial::Anonymous => Refusal::Anonymous,
        Denial::NoPolicy => forbidden("the route requires a policy and the guard has none", nothing),
        Denial::NoRequirement => forbidden("the route states no requirement", nothing),
        Denial::Policy(grant) => forbidden("the policy does not allow it", grant),
        Denial::PolicyMissing => Refusal::Unavailable(Outage::Policy),
        Denial::Scope(scope) => Refusal::Scope { scope, denied: denied(nothing) },
        Denial::Unbound(binding) => Refusal::Unproven(binding),
        Denial::SignIn(sign_in) => Refusal::SignIn { sign_in, denied: denied(nothing) },
    }
}

/// A proof that a guard has taken for used: an extension that nobody else can make.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Noted {
    proof: Name,
    guard: u64,
}

/// The answer to a caller who has not proven that the token is theirs.
fn unproven(fault: BindingFault, scheme: Scheme) -> Refusal {
    match fault {
        BindingFault::Proof(what) => Refusal::Proof(what),
        BindingFault::Nonce(nonce) => Refusal::ProofNonce(nonce),
        BindingFault::Token(fault) => Refusal::Token { fault, scheme },
        BindingFault::Unbound => Refusal::Unproven(Binding::Key),
        BindingFault::Full => Refusal::Unavailable(Outage::Proofs),
    }
}

enum Authentication {
    /// The caller, if there is one, and the proof that is still to be noted.
    Known(Option<Held>, Option<Name>),
    Wait(Arc<Trust>),
}
