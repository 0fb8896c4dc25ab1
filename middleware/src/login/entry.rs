//! The session of a request, on its way through the guard.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;

use super::id_token::Who;
use super::renewal::Outcome;
use super::seal::Handle;
use super::session::Visit;
use super::store::{StoreFault, Term};
use super::{Rules, Sessions};
use crate::refusal::Outage;
use crate::token::{Principal, Sharing, TokenFault};

/// How much longer a session has to be kept for the store to be told. It need not hear of every request.
const PROLONGED_BY: Duration = Duration::from_mins(1);

/// What a request came with.
pub(crate) enum Sent {
    /// The id of a session that was good for nothing.
    Nobody,
    /// A session.
    Known(Arc<Visit>),
    /// An id that nobody has looked for yet.
    Unknown(Ticket),
}

/// A session that is to be looked for.
pub(crate) struct Ticket {
    sessions: Sessions,
    handle: Handle,
    /// The version of the session whose access token is not good.
    refused: Option<u64>,
}

/// What came of that.
pub(crate) struct Found {
    handle: Handle,
    outcome: Result<Option<Arc<Visit>>, Outage>,
}

/// The session of a request, once it was looked for: an extension that nobody else can make.
#[derive(Clone)]
pub(super) struct Entered {
    sessions: Sessions,
    handle: Handle,
    pub(super) visit: Option<Arc<Visit>>,
}

impl Ticket {
    /// Looks for the session, and for a new access token if the one that it has is not good any more.
    pub(crate) async fn settle(self) -> Found {
        let Self { sessions, handle, refused } = self;
        Found { handle, outcome: sessions.enter(handle, refused).await }
    }
}

impl Found {
    pub(crate) fn visit(self) -> Result<Option<Arc<Visit>>, Outage> {
        self.outcome
    }
}

impl Sessions {
    /// What a request came with, if it has the cookie.
    pub(crate) fn sent(&self, parts: &Parts) -> Option<Sent> {
        let handle = self.rules().cookies.session(&parts.headers)?;
        let entered = parts.extensions.get::<Entered>().filter(|entered| entered.is_of(self, handle));
        Some(match entered.map(|entered| &entered.visit) {
            Some(Some(visit)) => Sent::Known(Arc::clone(visit)),
            Some(None) => Sent::Nobody,
            None => Sent::Unknown(Ticket { sessions: self.clone(), handle, refused: None }),
        })
    }

    /// What caches are told of the answer to a request.
    pub(crate) fn sharing(&self, headers: &HeaderMap) -> Sharing {
        let has_session = self.rules().cookies.session(headers).is_some();
        if has_session { Sharing::Nobody } else { Sharing::WithoutCookie }
    }

    /// Takes note of what was found.
    pub(crate) fn note(&self, parts: &mut Parts, found: Found) -> Result<(), Outage> {
        let Found { handle, outcome } = found;
        parts.extensions.insert(Entered { sessions: self.clone(), handle, visit: outcome? });
        Ok(())
    }

    /// Another token for a session whose own was refused, unless it is as new as can be.
    pub(crate) fn again(&self, visit: &Visit, fault: TokenFault) -> Option<Ticket> {
        let would_help = matches!(
            fault,
            TokenFault::Expired | TokenFault::Inactive | TokenFault::Revoked | TokenFault::UnknownKey
        );
        let ticket = || Ticket { sessions: self.clone(), handle: visit.handle, refused: Some(visit.version) };
        (would_help && !visit.is_renewed).then(ticket)
    }

    /// The session of a request that was let through, looked for once more. `is_refused`: its token is not good any more.
    pub(crate) fn anew(&self, visit: &Visit, is_refused: bool) -> Ticket {
        let refused = is_refused.then_some(visit.version);
        Ticket { sessions: self.clone(), handle: visit.handle, refused }
    }

    /// Whether an access token speaks of the person who signed in.
    pub(crate) fn is_of(&self, visit: &Visit, caller: &Principal) -> bool {
        self.is_about(caller, &visit.session.who)
    }

    /// A subject is one of its issuer, and a guard may trust several.
    pub(super) fn is_about(&self, caller: &Principal, who: &Who) -> bool {
        (caller.issuer(), caller.subject()) == (&*self.rules().signatures.issuer, &*who.sub)
    }

    /// Forgets what a guard around this one found.
    pub(crate) fn forget(parts: &mut Parts) {
        parts.extensions.remove::<Entered>();
    }
}

impl Sessions {
    /// The session of an id, with an access token that is good for a while. `refused`: the one of this version is not good.
    async fn enter(&self, handle: Handle, refused: Option<u64>) -> Result<Option<Arc<Visit>>, Outage> {
        let Some((visit, until_secs)) = self.look_up(handle).await.map_err(|fault| self.away(fault))? else {
            return Ok(None);
        };
        let now = self.rules().clock.unix_secs();
        self.keep_alive(&visit, until_secs, now).await.map_err(|fault| self.away(fault))?;
        let is_refused = refused == Some(visit.version);
        let left = visit.session.tokens.access_ends_at.map(|ends| ends.saturating_sub(now));
        let is_good = !is_refused && left != Some(0);
        if is_good && !self.is_due(&visit, left) {
            // Somebody else may have renewed it meanwhile.
            let is_renewed = refused.is_some();
            return Ok(Some(Arc::new(Visit { is_renewed, ..visit })));
        }
        match self.renewed(&visit).await {
            Outcome::Renewed(visit) => Ok(Some(visit)),
            Outcome::Ended => Ok(None),
            Outcome::Away if is_good => Ok(Some(Arc::new(visit))),
            Outcome::Away => Err(Outage::Renewal),
        }
    }

    /// Whether an access token that is still good, for `left` seconds if that is known, is to be renewed. One that cannot be is used
    /// to its end, and so is one whose issuer was away a moment ago: nobody waits for that again.
    fn is_due(&self, visit: &Visit, left: Option<u64>) -> bool {
        let Rules { lifetimes, underway, clock, .. } = self.rules();
        left.is_some_and(|left| left <= lifetimes.spare.as_secs())
            && visit.session.tokens.refresh.is_some()
            && !underway.renewals.rest(clock.steady())
    }

    /// A store that says nothing is ours to mend.
    fn away(&self, fault: StoreFault) -> Outage {
        self.rules().say_away(&fault, "a session cannot be looked up");
        Outage::Sessions
    }

    async fn keep_alive(&self, visit: &Visit, until_secs: u64, now: u64) -> Result<(), StoreFault> {
        let rules = self.rules();
        let wanted = self.idle_end(now, visit.session.ends_at);
        let least = PROLONGED_BY.min(rules.lifetimes.idle / 4).as_secs();
        if wanted.saturating_sub(until_secs) <= least {
            return Ok(());
        }
        rules.store.prolong(visit.handle.key(), Term { now_secs: now, until_secs: wanted }).await
    }
}

impl Entered {
    fn is_of(&self, sessions: &Sessions, handle: Handle) -> bool {
        Arc::ptr_eq(&self.sessions.0, &sessions.0) && self.handle == handle
    }
}

impl Visit {
    /// The access token of the session.
    pub(crate) fn token(&self) -> &str {
        &self.session.tokens.access
    }
}
