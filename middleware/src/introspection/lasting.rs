//! Tokens under which something goes on for longer than what the issuer said of them counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::flights::{Awaited, Boarding, Flight, Outcome};
use super::introspector::{Introspector, LookedUp, Question};
use super::memory::Digest;
use super::verdict::{Unanswered, Verdict};
use crate::schedule::Schedule;
use crate::token::{Principal, TokenFault, is_current};

/// How long something goes on meanwhile when the issuer has to be asked again.
const GRACE: Duration = Duration::from_secs(5);

/// How often the issuer is asked about it at the most while it answers; and after a question that came to nothing, so soon at
/// first that there is time for others.
const PACE: Schedule = Schedule {
    every: Duration::from_secs(5),
    first_retry: Duration::from_secs(1),
    last_retry: Duration::from_secs(5),
};

/// Why nothing may go on under a token any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lapse {
    Refused(TokenFault),
    /// The issuer has not said for too long that it may.
    Unanswered,
}

/// What is asked about a token under which something goes on.
#[derive(Default)]
pub(crate) struct Inquiry {
    open: Option<Awaited>,
    /// How many questions in a row came to nothing.
    failures: u32,
    /// Until then nobody asks.
    retry_at: Duration,
}

impl Inquiry {
    fn may_ask(&self, now: Duration) -> bool {
        now >= self.retry_at
    }

    fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now.saturating_add(PACE.pause(self.failures));
    }
}

impl Introspector {
    /// Whether something may still go on under a token that was good when the issuer was asked. Gives the caller anew where the
    /// issuer has said something since. Nobody waits here: a question that is open is left in `inquiry`.
    pub(crate) fn lasts(
        &self,
        (caller, token): (&Principal, &str),
        inquiry: &mut Inquiry,
        tolerance: Duration,
    ) -> Result<Option<Principal>, Lapse> {
        let (desk, verified) = (&self.desk, caller.verified());
        let leeway = desk.reader.policy.leeway_between_clocks().as_secs();
        if !is_current(verified.claims.dates.exp, leeway, desk.clock.unix_secs()) {
            return Err(Lapse::Refused(TokenFault::Expired));
        }
        if verified.is_revoked(self.revoked.as_deref()) {
            return Err(Lapse::Refused(TokenFault::Revoked));
        }
        let age = desk.clock.steady().saturating_sub(caller.asked().unwrap_or_default());
        let counts_for = desk.memory.good_for().max(PACE.every);
        if inquiry.open.is_none() && age < counts_for {
            return Ok(None);
        }
        match self.heard(token, inquiry, tolerance) {
            Some(Verdict::Good(verified)) => {
                *inquiry = Inquiry::default();
                Ok(Some(Principal::from(verified)))
            }
            // Whoever is asked about it later than that has nothing else to say.
            Some(Verdict::Refused(TokenFault::Inactive)) if self.is_over(verified) => {
                Err(Lapse::Refused(TokenFault::Expired))
            }
            Some(Verdict::Refused(fault)) => Err(Lapse::Refused(fault)),
            Some(Verdict::Unanswered(_)) | None if age <= counts_for.max(tolerance).saturating_add(GRACE) => {
                Ok(None)
            }
            Some(Verdict::Unanswered(_)) | None => Err(Lapse::Unanswered),
        }
    }

    /// What the issuer has said by now, if it has; it is asked unless it was already, or has been for nothing just now.
    fn heard(&self, token: &str, inquiry: &mut Inquiry, tolerance: Duration) -> Option<Verdict> {
        let now = self.desk.clock.steady();
        let Some(open) = inquiry.open.take() else {
            let question = match self.look_up(token, tolerance) {
                LookedUp::Verdict(verdict) => return Some(verdict),
                LookedUp::Unknown(question) => question,
            };
            if !inquiry.may_ask(now) {
                return None;
            }
            return match question.queue() {
                Ok(open) => {
                    inquiry.open = Some(open);
                    None
                }
                Err(why) => Some(Verdict::Unanswered(why)),
            };
        };
        match Outcome::of(&open) {
            Outcome::Answered(verdict @ (Verdict::Good(_) | Verdict::Refused(_))) => Some(verdict),
            Outcome::Answered(Verdict::Unanswered(_)) | Outcome::Lost => {
                inquiry.failed(now);
                None
            }
            Outcome::Open => {
                inquiry.open = Some(open);
                // A request may have got the answer first.
                self.remembered(&Digest::of(token))
            }
        }
    }
}

impl Question {
    /// Is asked when its turn comes. Nobody has to wait here.
    fn queue(self) -> Result<Awaited, Unanswered> {
        let queue = &self.introspector.desk.queue;
        let (flight, awaited) = match queue.join(self.digest) {
            Boarding::Full => return Err(Unanswered::Busy),
            Boarding::Joined(awaited) => return Ok(awaited),
            Boarding::New(flight, awaited) => (flight, awaited),
        };
        let Ok(runtime) = Handle::try_current() else { return Err(Unanswered::Away) };
        let lanes = Arc::clone(&queue.lanes);
        runtime.spawn(async move {
            if let Ok(lane) = lanes.acquire_owned().await {
                self.take_turn(flight, lane).await;
            }
        });
        Ok(awaited)
    }

    async fn take_turn(self, flight: Flight, lane: OwnedSemaphorePermit) {
        // What it was about may have ended meanwhile, and others wait.
        if !flight.is_awaited() {
            return;
        }
        let verdict = match self.board(Some(lane)) {
            Ok(mut awaited) => awaited.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone()),
            Err(verdict) => Some(verdict),
        };
        flight.land(verdict.unwrap_or(Verdict::Unanswered(Unanswered::Away)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_question_that_came_to_nothing_there_is_time_for_two_more_and_then_they_are_as_far_apart_as_others()
     {
        let mut inquiry = Inquiry::default();
        let millis = Duration::from_millis;
        let mut due = Vec::new();
        for tick in 0..400 {
            let now = millis(tick * 50);
            if inquiry.may_ask(now) {
                due.push(now);
                inquiry.failed(now);
            }
        }
        assert!(due[2] < GRACE, "{due:?}");
        let least = PACE.every.mul_f64(0.9);
        assert!(due[4..].windows(2).all(|pair| pair[1] >= pair[0] + least), "{due:?}");
    }
}
