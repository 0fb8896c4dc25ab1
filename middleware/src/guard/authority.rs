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

    /// Whether the token may be one that anybody could have written: what an issuer is asked about beside its signature is none.
    pub(crate) fn may_be_guess(&self) -> bool {
        matches!(self, Self::Answer(question) if question.decides())
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
        if let Some(introspector) = self.deciding(token) {
            return match turn {
                Turn::Answered(verdict) => Identity::by(verdict),
                _ => Identity::looked_up(introspector, token, rigour.tolerance, Identity::by),
            };
        }
        let attempt = match turn {
            Turn::First | Turn::Entered(_) => Attempt::First,
            Turn::Answered(_) | Turn::Fetched => Attempt::Last,
        };
        match (self.verify(token, rigour.tolerance, attempt), turn) {
            (Identity::Caller(caller), Turn::Answered(verdict)) => Identity::confirmed(caller, verdict),
            (Identity::Caller(caller), _) => match self.asked_anew(&caller, rigour) {
                Some(introspector) => {
                    let judge = |verdict| Identity::confirmed(caller, verdict);
                    Identity::looked_up(introspector, token, rigour.tolerance, judge)
                }
                None => Identity::Caller(caller),
            },
            (identity, _) => identity,
        }
    }

    /// Who says whether a token is good, where that is not its signature.
    fn deciding(&self, token: &str) -> Option<&Introspector> {
        self.introspector.as_ref().filter(|introspector| introspector.decides(token))
    }

    /// Who is asked about a caller whose token is good by its signature, where that is not enough.
    pub(super) fn asked_anew(&self, caller: &Principal, rigour: Rigour) -> Option<&Introspector> {
        let introspector =
            self.introspector.as_ref().filter(|_| rigour.asks_anew && caller.asked().is_none());
        introspector.filter(|introspector| introspector.asks(caller.issuer()))
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
        if let Some(introspector) = self.deciding(token) {
            let again = introspector.lasts((&*caller, token), inquiry, tolerance).map_err(lapsed)?;
            return again.map_or(Ok(()), |again| held.take_over(again));
        }
        let again =
            self.verifier.verify_again(caller, token, tolerance).map_err(|outcome| match outcome {
                Verification::Refused(fault) => ended_by(fault),
                Verification::Unavailable | Verification::Verified(_) | Verification::Waiting(_) => {
                    Ended::Unavailable
                }
            })?;
        // Whom the issuer was asked about once is asked about again.
        let asks = self.introspector.as_ref().filter(|_| caller.asked().is_some());
        let said = match asks {
            Some(introspector) => {
                introspector.lasts((&*caller, token), inquiry, tolerance).map_err(lapsed)?
            }
            None => None,
        };
        if again.is_none() && said.is_none() {
            return Ok(());
        }
        let signed = again.unwrap_or_else(|| caller.clone()).asked_at(caller.asked());
        let confirmed = match said {
            Some(said) => signed.confirmed_by(said.verified()).map_err(ended_by)?,
            None => signed,
        };
        held.take_over(confirmed)
    }

    /// What was not to be had, where a token could not be [confirmed](Self::confirm).
    pub(super) fn missing_for(&self, held: &Held, tolerance: Duration) -> Outage {
        let Held { caller, token, .. } = held;
        let has_keys = || self.verifier.verify_again(caller, token, tolerance).is_ok();
        if self.deciding(token).is_some() || has_keys() { Outage::Introspection } else { Outage::Keys }
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

    /// Whom a signature vouches for, once the issuer was asked as well.
    fn confirmed(caller: Principal, verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good(said) => caller.confirmed_by(&said).map_or_else(Self::Refused, Self::Caller),
            // Its issuer did sign it.
            Verdict::Refused(TokenFault::Inactive) => Self::Refused(TokenFault::Revoked),
            verdict => Self::by(verdict),
        }
    }

    /// By what the issuer said of a token, if it is not to be asked first.
    fn looked_up(
        introspector: &Introspector,
        token: &str,
        tolerance: Duration,
        judge: impl FnOnce(Verdict) -> Self,
    ) -> Self {
        match introspector.look_up(token, tolerance) {
            LookedUp::Verdict(verdict) => judge(verdict),
            LookedUp::Unknown(question) => Self::Wait(Pending::Answer(question)),
        }
    }
}

/// Why nothing goes on under a token that the issuer is asked about.
const fn lapsed(lapse: Lapse) -> Ended {
    match lapse {
        Lapse::Refused(fault) => ended_by(fault),
        Lapse::Unanswered => Ended::Unavailable,
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
