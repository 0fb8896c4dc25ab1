//! Who says whether a token is good: its signature, or the issuer when it is asked.

use std::sync::Arc;
use std::time::Duration;

use super::stream::Held;
use crate::ended::Ended;
use crate::introspection::{Introspector, Lapse, LookedUp, Question, Unanswered, Verdict};
use crate::jwks::Trust;
#[cfg(feature = "login")]
use crate::login::{Found, Ticket};
use crate::refusal::Outage;
use crate::token::{Attempt, Principal, TokenFault, Verification, Verifier};
#[cfg(not(feature = "login"))]
use crate::unlogged::{Found, Ticket};

/// Who says whether a token is good.
pub(crate) struct Authority {
    pub(crate) verifier: Verifier,
    /// Who asks the issuer, if tokens are accepted that cannot be verified here.
    pub(crate) introspector: Option<Introspector>,
}

/// By what a route has a token looked at.
#[derive(Clone, Copy)]
pub(crate) struct Rigour {
    /// How much older than its limit knowledge may be.
    pub(crate) tolerance: Duration,
    /// Whether the issuer is asked about a token that is good by its signature, because nobody says what was revoked.
    pub(crate) asks_anew: bool,
}

/// What came of a token.
pub(crate) enum Identity {
    Caller(Principal),
    Refused(TokenFault),
    /// What would decide is not to be had: not the caller's fault.
    Unavailable(Outage),
    Wait(Pending),
}

/// What a request waits for.
pub(crate) enum Pending {
    Answer(Box<Question>),
    Keys(Arc<Trust>),
    Session(Ticket),
}

/// How often a request was looked at, and what it brings from a wait.
pub(crate) enum Turn {
    First,
    /// What the issuer said.
    Answered(Verdict),
    /// The session that was looked for.
    Entered(Found),
    /// Keys were fetched, or could not be.
    Fetched,
}

impl Pending {
    /// Whether the issuer is asked about the token.
    pub(crate) const fn asks(&self) -> bool {
        matches!(self, Self::Answer(_))
    }

    /// Waits, but not for ever.
    pub(crate) async fn over(self) -> Turn {
        match self {
            Self::Answer(question) => Turn::Answered(question.ask().await),
            Self::Keys(trust) => {
                trust.refresh_for_request().await;
                Turn::Fetched
            }
            Self::Session(ticket) => Turn::Entered(ticket.settle().await),
        }
    }
}

impl Authority {
    /// Who sent a token.
    pub(crate) fn identify(&self, token: &str, rigour: Rigour, turn: Turn) -> Identity {
        let identity = self.identify_once(token, rigour.tolerance, turn);
        match (&self.introspector, identity) {
            (Some(introspector), Identity::Caller(caller))
                if rigour.asks_anew
                    && caller.verified().asked.is_none()
                    && introspector.asks(caller.issuer()) =>
            {
                looked_up(introspector, token, rigour.tolerance)
            }
            (_, identity) => identity,
        }
    }

    fn identify_once(&self, token: &str, tolerance: Duration, turn: Turn) -> Identity {
        match (&self.introspector, turn) {
            (_, Turn::Answered(verdict)) => Identity::by(verdict),
            (Some(introspector), _) if introspector.decides(token) => {
                looked_up(introspector, token, tolerance)
            }
            (_, Turn::First | Turn::Entered(_)) => self.verify(token, tolerance, Attempt::First),
            (_, Turn::Fetched) => self.verify(token, tolerance, Attempt::Last),
        }
    }

    /// Who sent a token, when there is time to wait for what decides.
    pub(crate) async fn find_out(&self, token: &str, rigour: Rigour) -> Identity {
        let mut identity = self.identify(token, rigour, Turn::First);
        // For keys, and then for the issuer.
        for _ in 0..2 {
            let Identity::Wait(pending) = identity else { break };
            identity = self.identify(token, rigour, pending.over().await);
        }
        identity
    }

    /// Whether a request that was let through by a token would be let through again. Takes over the caller anew where something
    /// has changed since.
    pub(super) fn confirm(&self, held: &mut Held, tolerance: Duration) -> Result<(), Ended> {
        let Held { caller, token, inquiry, visit: _, share: _ } = held;
        let again = match &self.introspector {
            // Whom the issuer was asked about once is asked about again.
            Some(introspector) if caller.verified().asked.is_some() || introspector.decides(token) => {
                introspector.lasts((&*caller, token), inquiry, tolerance).map_err(|lapse| match lapse {
                    Lapse::Refused(fault) => ended_by(fault),
                    Lapse::Unanswered => Ended::Unavailable,
                })?
            }
            _ => self.verifier.verify_again(caller, token, tolerance).map_err(|outcome| match outcome {
                Verification::Refused(fault) => ended_by(fault),
                Verification::Unavailable | Verification::Verified(_) | Verification::Waiting(_) => {
                    Ended::Unavailable
                }
            })?,
        };
        again.map_or(Ok(()), |again| held.take_over(again))
    }

    fn verify(&self, token: &str, tolerance: Duration, attempt: Attempt) -> Identity {
        match self.verifier.verify(token, tolerance, attempt) {
            Verification::Refused(fault) => Identity::Refused(fault),
            Verification::Unavailable => Identity::Unavailable(Outage::Keys),
            Verification::Verified(caller) => Identity::Caller(caller),
            Verification::Waiting(trust) => Identity::Wait(Pending::Keys(trust)),
        }
    }
}

impl Identity {
    fn by(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good(verified) => Self::Caller(Principal::from(verified)),
            Verdict::Refused(fault) => Self::Refused(fault),
            Verdict::Unanswered(Unanswered::Away) => Self::Unavailable(Outage::Introspection),
            Verdict::Unanswered(Unanswered::Busy) => Self::Unavailable(Outage::Questions),
        }
    }
}

/// What the issuer said of a token, or is to be asked.
fn looked_up(introspector: &Introspector, token: &str, tolerance: Duration) -> Identity {
    match introspector.look_up(token, tolerance) {
        LookedUp::Verdict(verdict) => Identity::by(verdict),
        LookedUp::Unknown(question) => Identity::Wait(Pending::Answer(question)),
    }
}

/// What ends when a token that was good is not so any more.
const fn ended_by(fault: TokenFault) -> Ended {
    match fault {
        TokenFault::Expired => Ended::Expired,
        // It was good before: then it was taken back, or the key is not there any more.
        _ => Ended::Revoked,
    }
}
