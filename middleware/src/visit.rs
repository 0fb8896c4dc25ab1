//! A request on its way through the guard: what is done at once, and where it goes on after a wait.

use std::net::IpAddr;
use std::sync::Arc;

use http::header;
use http::request::Parts;

use crate::client_address::ClientAddress;
use crate::gate::Gate;
use crate::guard::{Authentication, Core, Guard};
use crate::input::{Fault, Media, Rule};
use crate::jwks::Trust;
use crate::limit::{Halt, Loan, Stage, Standing};
use crate::path;
use crate::policy::PolicyState;
use crate::refusal::{Outage, Refusal};
use crate::token::{Attempt, Principal};

/// How far a request has come, and where it stands with the limits.
pub(crate) struct Visit {
    pub(crate) standing: Standing,
    pub(crate) step: Result<Step, Refusal>,
}

/// What is to be done next.
pub(crate) enum Step {
    /// Ask for what a limit needs to decide, then go on.
    Borrow(Loan, Resume),
    /// Check the body, then call the handler.
    CheckBody(Media),
    /// Call the handler.
    Pass,
    /// Wait for keys, then go on with the token.
    Wait(Arc<Trust>),
}

/// Where a request goes on after a wait. What is behind it is not done again: a proof of a key counts once.
pub(crate) enum Resume {
    Address,
    Caller(Option<Principal>),
    Token,
}

impl Resume {
    /// The limits that were waited for.
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::Address => Stage::Early,
            Self::Caller(_) | Self::Token => Stage::Late,
        }
    }
}

impl Guard {
    /// Judges all that can be judged at once.
    pub(crate) fn begin(&self, parts: &mut Parts, gate: &Gate) -> Visit {
        let mut standing = Standing::default();
        let step = path::check(parts)
            .map_err(Refusal::Path)
            .and_then(|()| self.core().admit_address(parts, gate, &mut standing));
        Visit { standing, step }
    }

    /// Judges the rest after a wait.
    pub(crate) fn resume(
        &self,
        parts: &mut Parts,
        gate: &Gate,
        resume: Resume,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let core = self.core();
        match resume {
            Resume::Address => core.admit_address(parts, gate, standing),
            Resume::Caller(caller) => core.admit_caller(parts, gate, caller, standing),
            Resume::Token => core.admit_token(parts, gate, Attempt::Last, standing),
        }
    }
}

impl Core {
    fn admit_address(
        &self,
        parts: &mut Parts,
        gate: &Gate,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let address = self.proxies.client(parts);
        if address.is_none() && gate.passage.needs_address() {
            return Err(Refusal::Unavailable(Outage::Address));
        }
        match gate.passage.spend(Stage::Early, address, None, standing) {
            Err(Halt::Wait(loan)) => return Ok(Step::Borrow(loan, Resume::Address)),
            Err(Halt::Exceeded(exceeded)) => return Err(Refusal::Limited(exceeded)),
            Ok(()) => {}
        }
        if let Some(address) = address {
            parts.extensions.insert(ClientAddress(address));
        }
        self.admit_token(parts, gate, Attempt::First, standing)
    }

    fn admit_token(
        &self,
        parts: &mut Parts,
        gate: &Gate,
        attempt: Attempt,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let caller = match self.authenticate(parts, &gate.requirement, attempt) {
            Ok(Authentication::Known(caller)) => caller,
            Ok(Authentication::Wait(trust)) => return Ok(Step::Wait(trust)),
            Err(refusal) => {
                if refusal.is_guess() {
                    gate.passage.charge_guess(address(parts), standing);
                }
                return Err(refusal);
            }
        };
        let hears_too_little = |policy: &PolicyState| policy.hears_too_little(self.moment(&gate.requirement));
        if caller.is_some() && self.policy.as_ref().is_some_and(hears_too_little) {
            return Err(Refusal::Unavailable(Outage::Revocations));
        }
        self.admit_caller(parts, gate, caller, standing)
    }

    fn admit_caller(
        &self,
        parts: &mut Parts,
        gate: &Gate,
        caller: Option<Principal>,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        match gate.passage.spend(Stage::Late, address(parts), caller.as_ref(), standing) {
            Err(Halt::Wait(loan)) => return Ok(Step::Borrow(loan, Resume::Caller(caller))),
            Err(Halt::Exceeded(exceeded)) => return Err(Refusal::Limited(exceeded)),
            Ok(()) => {}
        }
        let decision = self.authorize(&gate.requirement, caller.as_ref())?;
        // An outer guard may have left a caller that this route does not have.
        parts.extensions.remove::<Principal>();
        if let Some(caller) = caller {
            parts.extensions.insert(caller);
        }
        parts.extensions.insert(decision);
        self.body_step(parts).map_err(Refusal::Input)
    }

    fn body_step(&self, parts: &Parts) -> Result<Step, Fault> {
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        match length.and_then(|length| length.parse::<usize>().ok()) {
            Some(0) => return Ok(Step::Pass),
            // Known to be too long before a byte of it is read.
            Some(length) if length > self.input.max_body() => return Err(Fault::whole(Rule::Size)),
            Some(_) | None => {}
        }
        Ok(Media::of(&parts.headers)?.map_or(Step::Pass, Step::CheckBody))
    }
}

/// The address of the client, as it was found out before.
fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address)
}
