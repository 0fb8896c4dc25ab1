//! The judgement of a request, step by step.

use std::net::IpAddr;

use http::request::Parts;

use super::authority::{Identity, Pending, Turn};
use super::{Core, Step, Terms};
use crate::authorize::{Binding, Denial, Grant, Grounds, Policies, Requirement};
use crate::binding::{BindingFault, Name};
use crate::client_address::ClientAddress;
use crate::decision::{AccessDenied, Decision, DecisionId};
use crate::limit::{Halt, Stage, Standing};
use crate::policy::PolicyState;
use crate::refusal::{Outage, Refusal};
use crate::schedule::Moment;
use crate::token::{Principal, Scheme, credential};

/// Where a request goes on after a wait. What is behind it is not done again.
pub(crate) enum Resume {
    Address,
    Caller(Option<Principal>, Option<Name>),
    Token(Turn),
}

impl Resume {
    /// The limits that were waited for.
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::Address => Stage::Early,
            Self::Caller(..) | Self::Token(_) => Stage::Late,
        }
    }
}

impl Core {
    pub(super) fn admit_address(
        &self,
        parts: &mut Parts,
        terms: &Terms,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let address = self.proxies.client(parts);
        if address.is_none() && terms.passage.needs_address() {
            return Err(Refusal::Unavailable(Outage::Address));
        }
        if let Err(halt) = terms.passage.spend(Stage::Early, address, None, standing) {
            return halted(halt, Resume::Address);
        }
        if let Some(address) = address {
            parts.extensions.insert(ClientAddress(address));
        }
        self.admit_token(parts, terms, Turn::First, standing)
    }

    pub(super) fn admit_token(
        &self,
        parts: &mut Parts,
        terms: &Terms,
        turn: Turn,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        match self.authenticate(parts, &terms.requirement, turn) {
            Ok(Authentication::Known(caller, proof)) => {
                self.admit_caller(parts, terms, (caller, proof), standing)
            }
            Ok(Authentication::Wait(pending)) => Ok(Step::Wait(pending)),
            Err(refusal) => {
                if refusal.is_guess() {
                    terms.passage.charge_guess(address(parts), standing);
                }
                Err(refusal)
            }
        }
    }

    pub(super) fn admit_caller(
        &self,
        parts: &mut Parts,
        Terms { requirement, input, passage }: &Terms,
        (caller, proof): (Option<Principal>, Option<Name>),
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let policy = self.policy.as_ref().map(|policy| (policy, self.moment(requirement)));
        if caller.is_some() && policy.is_some_and(|(policy, moment)| policy.hears_too_little(moment)) {
            return Err(Refusal::Unavailable(Outage::Revocations));
        }
        if let Err(halt) = passage.spend(Stage::Late, address(parts), caller.as_ref(), standing) {
            return halted(halt, Resume::Caller(caller, proof));
        }
        // Only now: whoever is over their limit takes no room from others.
        if let Some(proof) = proof {
            self.note_proof(parts, proof)?;
        }
        let decision = self.authorize(requirement, caller.as_ref(), policy)?;
        // An outer guard may have left a caller that this route does not have.
        parts.extensions.remove::<Principal>();
        if let Some(caller) = caller {
            parts.extensions.insert(caller);
        }
        parts.extensions.insert(decision);
        let media = input.begin(parts).map_err(Refusal::Input)?;
        Ok(media.map_or(Step::Pass, Step::CheckBody))
    }

    fn moment(&self, requirement: &Requirement) -> Moment {
        Moment { now: self.clock.steady(), tolerance: requirement.tolerance() }
    }

    fn authenticate(
        &self,
        parts: &Parts,
        requirement: &Requirement,
        turn: Turn,
    ) -> Result<Authentication, Refusal> {
        if requirement.ignores_tokens() {
            return Ok(Authentication::Known(None, None));
        }
        let sent = credential(&parts.headers).map_err(Refusal::Bearer)?;
        let Some(sent) = sent.filter(|sent| self.bindings.knows(sent.scheme)) else {
            let anonymous = requirement.admits_anonymous();
            return if anonymous { Ok(Authentication::Known(None, None)) } else { Err(Refusal::Anonymous) };
        };
        match self.authority.identify(sent.token, requirement.tolerance(), turn) {
            Identity::Refused(fault) => Err(Refusal::Token { fault, scheme: sent.scheme }),
            Identity::Unavailable(outage) => Err(Refusal::Unavailable(outage)),
            Identity::Caller(caller) => {
                let proof = self.bindings.check(parts, (sent, &caller), &self.proxies, &self.clock);
                let proof = proof.map_err(|fault| unproven(fault, sent.scheme))?;
                Ok(Authentication::Known(Some(caller), proof))
            }
            Identity::Wait(pending) => Ok(Authentication::Wait(pending)),
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
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.authority.verifier.leeway() };
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

/// What becomes of a request that a limit does not let on.
fn halted(halt: Halt, resume: Resume) -> Result<Step, Refusal> {
    match halt {
        Halt::Closed => Err(Refusal::Unavailable(Outage::Limit)),
        Halt::Exceeded(exceeded) => Err(Refusal::Limited(exceeded)),
        Halt::Wait(loan) => Ok(Step::Borrow(loan, resume)),
    }
}

/// The address of the client, as it was found out before.
fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address)
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
    Known(Option<Principal>, Option<Name>),
    Wait(Pending),
}
