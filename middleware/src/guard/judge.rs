//! The judgement of a request, step by step.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, header};

use super::authority::{Identity, Pending, Rigour, Turn};
use super::refused::{refusal, unproven};
use super::stream::{Held, Issued, Permit};
use super::{Core, Guard, Step, Terms};
use crate::authorize::{Denial, Grant, Grounds, Policies, Requirement};
use crate::binding::{Claim, Name};
use crate::client_address::ClientAddress;
use crate::csrf::CsrfRules;
use crate::decision::Decision;
use crate::introspection::Inquiry;
use crate::limit::{Fine, Halt, Stage, Standing};
#[cfg(feature = "login")]
use crate::login::{Sent, Sessions, Visit};
use crate::policy::PolicyState;
use crate::records::{Asker, Share};
use crate::refusal::{Outage, Refusal};
use crate::schedule::Moment;
use crate::token::{BearerFault, Credential, Principal, Scheme, TokenFault, credential};
#[cfg(not(feature = "login"))]
use crate::unlogged::{Sent, Sessions, Visit};

/// Where a request goes on after a wait. No limit behind it is spent again.
pub(crate) enum Resume {
    Address,
    Caller(Option<Held>, Option<Name>),
    /// The proof was taken for used.
    Shown(Option<Held>),
    Token(Turn),
}

impl Resume {
    /// The limits that were waited for.
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::Address => Stage::Early,
            Self::Caller(..) | Self::Shown(_) | Self::Token(_) => Stage::Late,
        }
    }
}

/// The way of a request to a route.
#[derive(Clone, Copy)]
pub(super) struct Admission<'a> {
    pub(super) guard: &'a Guard,
    pub(super) terms: &'a Arc<Terms>,
}

impl Admission<'_> {
    pub(super) fn address(self, parts: &mut Parts, standing: &mut Standing) -> Result<Step, Refusal> {
        let address = self.guard.core.edge.proxies.client(parts);
        let passage = &self.terms.passage;
        if address.is_none() && passage.needs_address() {
            return Err(Refusal::Unavailable(Outage::Address));
        }
        if let Err(halt) = passage.spend(Stage::Early, address, None, standing) {
            return halted(halt, Resume::Address);
        }
        if let Some(address) = address {
            parts.extensions.insert(ClientAddress(address));
        }
        if self.terms.without_cookies {
            // Nobody asked whose page sent them, so nobody may act by them: not the handler either.
            parts.headers.remove(header::COOKIE);
            Sessions::forget(parts);
        } else {
            self.guard.core.check_site(parts, &self.terms.requirement)?;
        }
        self.token(parts, Turn::First, standing)
    }

    pub(super) fn token(
        self,
        parts: &mut Parts,
        turn: Turn,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        match self.guard.core.authenticate(parts, &self.terms.requirement, turn) {
            Ok(Authentication::Known(held, proof)) => self.caller(parts, (held, proof), standing),
            Ok(Authentication::Wait(pending)) => Ok(Step::Wait(pending)),
            Err(refusal) => {
                if refusal.is_guess() {
                    self.terms.passage.charge_guess(address(parts), standing);
                }
                Err(refusal)
            }
        }
    }

    pub(super) fn caller(
        self,
        parts: &mut Parts,
        (held, proof): (Option<Held>, Option<Name>),
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let core = &self.guard.core;
        let caller = held.as_ref().map(|held| &held.caller);
        if caller.is_some_and(|caller| core.is_in_the_dark(&self.terms.requirement, caller)) {
            return Err(Refusal::Unavailable(Outage::Revocations));
        }
        if let Err(halt) = self.terms.passage.spend(Stage::Late, address(parts), caller, standing) {
            return halted(halt, Resume::Caller(held, proof));
        }
        // Only now: whoever is over their limit takes no room from others.
        if let Some(proof) = proof
            && let Some(claim) = core.note_proof(parts, proof)?
        {
            return Ok(Step::Claim(claim, Resume::Shown(held)));
        }
        self.shown(parts, held)
    }

    pub(super) fn shown(self, parts: &mut Parts, held: Option<Held>) -> Result<Step, Refusal> {
        let core = &self.guard.core;
        let Terms { requirement, input, parameters, .. } = self.terms.as_ref();
        let caller = held.as_ref().map(|held| &held.caller);
        let decision = core.authorize(requirement, caller, core.policy_for(requirement), Asker::Route)?;
        if let Some(held) = held {
            parts.extensions.insert(held.caller.clone());
            let outer = Permit::issued(&parts.extensions).into_seat();
            let issued = Issued::new((self.guard, self.terms), held, (&parts.method, address(parts)), outer);
            parts.extensions.insert(issued);
        } else {
            // An outer guard may have left a caller that this route does not have.
            parts.extensions.remove::<Principal>();
            Issued::pass_nobody(&mut parts.extensions);
        }
        parts.extensions.insert(decision);
        let media = input.begin(parts, parameters).map_err(Refusal::Input)?;
        Ok(media.map_or(Step::Pass, Step::CheckBody))
    }
}

impl Terms {
    /// What a guess costs, where it takes a question to find out whether there is one: only where the issuer decides about the token.
    pub(crate) fn fine(&self, parts: &Parts, pending: &Pending) -> Option<Fine<'_>> {
        pending.may_be_guess().then(|| self.passage.fine(address(parts)))
    }
}

impl Core {
    /// Refuses what a page of somebody else had a browser send. A token in the header comes from no such page.
    fn check_site(&self, parts: &Parts, requirement: &Requirement) -> Result<(), Refusal> {
        let csrf = self.credentials.browsers.csrf.as_ref();
        let csrf = csrf.filter(|_| CsrfRules::concerns(&parts.method, &parts.headers));
        match csrf {
            Some(csrf) if !self.vouches(&parts.headers, requirement) => {
                csrf.check(&parts.headers).map_err(Refusal::CrossSite)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn policy_for(&self, requirement: &Requirement) -> Option<(&PolicyState, Moment)> {
        self.policy.as_ref().map(|policy| (policy, self.moment(requirement)))
    }

    /// Whether a token in the header says enough about who sends a request. Where nobody looks at it, it may be any text, and a page
    /// that may send headers from elsewhere, because CORS lets it, may send that along with the cookies of a user.
    fn vouches(&self, headers: &HeaderMap, requirement: &Requirement) -> bool {
        let Ok(Some(sent)) = credential(headers, self.longest_token()) else { return false };
        let is_looked_at = !requirement.ignores_tokens() && self.credentials.bindings.knows(sent.scheme);
        is_looked_at || !(headers.contains_key(header::COOKIE) && headers.contains_key(header::ORIGIN))
    }

    pub(super) fn moment(&self, requirement: &Requirement) -> Moment {
        Moment { now: self.clock.steady(), tolerance: requirement.tolerance() }
    }

    /// By what a route has tokens looked at now.
    pub(super) fn rigour(&self, requirement: &Requirement) -> Rigour {
        let asks_anew = requirement.asks_when_stale() && self.hears_too_little(requirement);
        Rigour { tolerance: requirement.tolerance(), asks_anew }
    }

    fn hears_too_little(&self, requirement: &Requirement) -> bool {
        self.policy_for(requirement).is_some_and(|(policy, moment)| policy.hears_too_little(moment))
    }

    /// Whether a caller may have been revoked without anybody saying so here: neither the server that tells, nor the issuer that was
    /// asked in its place.
    pub(super) fn is_in_the_dark(&self, requirement: &Requirement, caller: &Principal) -> bool {
        let was_asked = requirement.asks_when_stale() && caller.asked().is_some();
        !was_asked && self.hears_too_little(requirement)
    }

    fn authenticate(
        &self,
        parts: &mut Parts,
        requirement: &Requirement,
        turn: Turn,
    ) -> Result<Authentication, Refusal> {
        if requirement.ignores_tokens() {
            return Ok(Authentication::Known(None, None));
        }
        let browsers = &self.credentials.browsers;
        let turn = match (turn, &browsers.sessions) {
            (Turn::Entered(found), Some(sessions)) => {
                sessions.note(parts, found).map_err(Refusal::Unavailable)?;
                Turn::First
            }
            (turn, _) => turn,
        };
        match browsers.sessions.as_ref().and_then(|sessions| sessions.sent(parts)) {
            Some(Sent::Unknown(ticket)) => {
                // RFC 6750 §2, again: one way only.
                if self.sent(&parts.headers).map_err(Refusal::Bearer)?.is_some() {
                    return Err(Refusal::Bearer(BearerFault::Several));
                }
                Ok(Authentication::Wait(Pending::Session(ticket)))
            }
            Some(Sent::Known(visit)) => self.authenticate_by((parts, Some(&visit)), requirement, turn),
            Some(Sent::Nobody) | None => self.authenticate_by((parts, None), requirement, turn),
        }
    }

    /// By the access token of a session, or else by one that was sent.
    fn authenticate_by(
        &self,
        (parts, visit): (&Parts, Option<&Arc<Visit>>),
        requirement: &Requirement,
        turn: Turn,
    ) -> Result<Authentication, Refusal> {
        let sent = match visit {
            Some(visit) => Some(Credential { scheme: Scheme::Bearer, token: visit.token() }),
            None => self.sent(&parts.headers).map_err(Refusal::Bearer)?,
        };
        let Some(sent) = sent.filter(|sent| self.credentials.bindings.knows(sent.scheme)) else {
            let anonymous = requirement.admits_anonymous();
            return if anonymous { Ok(Authentication::Known(None, None)) } else { Err(Refusal::Anonymous) };
        };
        let entered = visit.zip(self.credentials.browsers.sessions.as_ref());
        match self.authority.identify(sent.token, self.rigour(requirement), turn) {
            Identity::Refused(fault) => {
                match entered.and_then(|(visit, sessions)| sessions.again(visit, fault)) {
                    Some(ticket) => Ok(Authentication::Wait(Pending::Session(ticket))),
                    None => Err(Refusal::Token { fault, scheme: sent.scheme }),
                }
            }
            Identity::Caller(caller)
                if entered.is_some_and(|(visit, sessions)| !sessions.is_of(visit, &caller)) =>
            {
                Err(Refusal::Token { fault: TokenFault::OtherSubject, scheme: sent.scheme })
            }
            Identity::Unavailable(outage) => Err(Refusal::Unavailable(outage)),
            Identity::Caller(caller) => {
                let proof =
                    self.credentials.bindings.check(parts, (sent, &caller), &self.edge.proxies, &self.clock);
                let proof = proof.map_err(|fault| unproven(fault, sent.scheme))?;
                let token = caller.verified().token().cloned();
                Ok(Authentication::Known(
                    Some(Held {
                        caller,
                        token: token.unwrap_or_else(|| sent.token.into()),
                        inquiry: Inquiry::default(),
                        visit: visit.cloned(),
                        share: Share::default(),
                    }),
                    proof,
                ))
            }
            Identity::Wait(pending) => Ok(Authentication::Wait(pending)),
        }
    }

    /// The token of a request, by whichever way it came.
    fn sent<'h>(&self, headers: &'h HeaderMap) -> Result<Option<Credential<'h>>, BearerFault> {
        let in_header = credential(headers, self.longest_token())?;
        let cookie = self.credentials.browsers.cookie.as_ref();
        let Some(token) = cookie.map(|cookie| cookie.token(headers)).transpose()?.flatten() else {
            return Ok(in_header);
        };
        // RFC 6750 §2: a client uses one way only.
        if in_header.is_some() {
            return Err(BearerFault::Several);
        }
        Ok(Some(Credential { scheme: self.credentials.bindings.scheme_of_cookie(headers), token }))
    }

    const fn longest_token(&self) -> usize {
        self.authority.verifier.longest()
    }

    /// Takes a proof for used, and gives what is still to be asked for elsewhere. A guard around this one, which is the same
    /// guard, has done so already.
    fn note_proof(&self, parts: &mut Parts, proof: Name) -> Result<Option<Claim>, Refusal> {
        let noted = Noted { proof, guard: self.decisions.guard() };
        if parts.extensions.get::<Noted>() == Some(&noted) {
            return Ok(None);
        }
        let claim = self.credentials.bindings.note(proof, &self.clock);
        let claim = claim.map_err(|fault| unproven(fault, Scheme::Dpop))?;
        parts.extensions.insert(noted);
        Ok(claim)
    }

    pub(super) fn authorize(
        &self,
        requirement: &Requirement,
        caller: Option<&Principal>,
        policy: Option<(&PolicyState, Moment)>,
        asker: Asker<'_>,
    ) -> Result<Decision, Refusal> {
        let decide = |policy: Policies<'_>| {
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.authority.verifier.leeway() };
            requirement.decide(caller, grounds)
        };
        let id = self.decisions.next();
        let outcome = match policy {
            Some((policy, moment)) => policy.with(moment, (asker, id), decide),
            None => decide(Policies::Unused),
        };
        outcome.map(|grant| Decision::new(id, grant)).map_err(|denial| match caller {
            Some(caller) => {
                self.note_impossible(&denial);
                refusal(denial, requirement, caller, id)
            }
            // Whoever has no token is asked for one before anything else is looked at.
            None => Refusal::Anonymous,
        })
    }

    /// Says so where a rule asks for what nobody could show.
    fn note_impossible(&self, denial: &Denial) {
        if let Denial::Unbound(binding, Grant { rule: Some(rule), .. }) = denial {
            self.credentials.bindings.note_impossible(*binding, rule.line, &self.clock);
        }
    }
}

/// What becomes of a request that a limit does not let on.
fn halted(halt: Halt, resume: Resume) -> Result<Step, Refusal> {
    match halt {
        Halt::Wait(loan) => Ok(Step::Borrow(loan, resume)),
        halt => Err(halt.into()),
    }
}

/// The address of the client, as it was found out before.
fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address)
}

/// A proof that a guard has taken for used: an extension that nobody else can make.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Noted {
    proof: Name,
    guard: u64,
}

/// Takes a proof for used at all replicas together.
pub(crate) async fn settle(claim: Claim) -> Result<(), Refusal> {
    claim.settle().await.map_err(|fault| unproven(fault, Scheme::Dpop))
}

enum Authentication {
    /// The caller, if there is one, and the proof that is still to be noted.
    Known(Option<Held>, Option<Name>),
    Wait(Pending),
}
