//! Tokens under which something goes on for longer than what the issuer said of them counts.

use std::time::Duration;

use super::flights::{Awaited, Outcome};
use super::introspector::{Introspector, Known};
use super::memory::Digest;
use super::verdict::{Unanswered, Verdict};
use crate::token::{Principal, TokenFault, is_current};

/// How long something goes on meanwhile when the issuer has to be asked again; and how often it is asked about it at the most.
const GRACE: Duration = Duration::from_secs(5);

/// Why nothing may go on under a token any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lapse {
    Refused(TokenFault),
    /// The issuer has not said for too long that it may.
    Unanswered,
}

impl Introspector {
    /// Whether something may still go on under a token that was good when the issuer was asked. Gives the caller anew where the
    /// issuer has said something since. Nobody waits here: a question that is open is left in `awaited`.
    pub(crate) fn lasts(
        &self,
        (caller, token): (&Principal, &str),
        awaited: &mut Option<Awaited>,
        tolerance: Duration,
    ) -> Result<Option<Principal>, Lapse> {
        let (desk, verified) = (&self.desk, caller.verified());
        let leeway = desk.reader.policy.leeway_between_clocks().as_secs();
        if !is_current(verified.claims.registered.exp, leeway, desk.clock.unix_secs()) {
            return Err(Lapse::Refused(TokenFault::Expired));
        }
        if self.is_revoked(verified) {
            return Err(Lapse::Refused(TokenFault::Revoked));
        }
        let age = desk.clock.steady().saturating_sub(verified.asked.unwrap_or_default());
        let counts_for = desk.memory.good_for().max(GRACE);
        if awaited.is_none() && age < counts_for {
            return Ok(None);
        }
        match self.heard(token, awaited, tolerance) {
            Some(Verdict::Good(verified)) => Ok(Some(Principal::from(verified))),
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

    /// What the issuer has said by now, if it has; it is asked unless it was already.
    fn heard(&self, token: &str, awaited: &mut Option<Awaited>, tolerance: Duration) -> Option<Verdict> {
        let Some(open) = awaited.take() else {
            let question = match self.look_up(token, tolerance) {
                Known::Verdict(verdict) => return Some(verdict),
                Known::Unknown(question) => question,
            };
            return match question.queue() {
                Ok(open) => {
                    *awaited = Some(open);
                    None
                }
                Err(why) => Some(Verdict::Unanswered(why)),
            };
        };
        match Outcome::of(&open) {
            Outcome::Answered(verdict) => Some(verdict),
            Outcome::Lost => Some(Verdict::Unanswered(Unanswered::Away)),
            Outcome::Open => {
                *awaited = Some(open);
                // A request may have got the answer first.
                self.remembered(&Digest::of(token))
            }
        }
    }
}
