//! Who asks the issuer about tokens, and remembers what it said.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Answer, AnswerFault, Reader, Times};
use super::circuit::Circuit;
use super::endpoint::{AskFault, Endpoint};
use super::flights::{Awaited, Boarding, Flight, Flights};
use super::memory::{Digest, Good, Memory};
use super::queue::Queue;
use super::verdict::{Unanswered, Verdict};
use crate::clock::Clock;
use crate::outage::{OutageLog, OutageReport};
use crate::revocation::Revoked;
use crate::schedule::Moment;
use crate::status::IntrospectionStatus;
use crate::token::{TokenFault, Verified, is_current};

/// How long a request waits for an answer. One that takes longer is remembered for later requests.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What is known of a token at once.
pub(crate) enum LookedUp {
    Verdict(Verdict),
    /// The issuer has to be asked.
    Unknown(Box<Question>),
}

/// A question about a token.
pub(crate) struct Question {
    pub(super) introspector: Introspector,
    token: Box<str>,
    pub(super) digest: Digest,
    tolerance: Duration,
}

/// Asks the issuer about tokens. Clones are the same.
#[derive(Clone)]
pub(crate) struct Introspector {
    pub(super) desk: Arc<Desk>,
    every_token: bool,
    /// What was revoked, when somebody tells.
    pub(super) revoked: Option<Arc<Revoked>>,
}

pub(super) struct Desk {
    endpoint: Endpoint,
    pub(super) reader: Reader,
    pub(super) memory: Memory,
    flights: Flights,
    /// Questions about streams.
    pub(super) queue: Queue,
    circuit: Circuit,
    /// That the endpoint cannot be asked.
    outage: OutageLog,
    /// That more is asked than may be at a time.
    crowd: OutageLog,
    /// That it says what cannot be used. It goes on for ever, so that it is told of ever more rarely.
    oddities: OutageLog,
    pub(super) clock: Clock,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Answer(#[from] AnswerFault),
    #[error(transparent)]
    Ask(#[from] AskFault),
}

impl Introspector {
    pub(super) fn new(
        (endpoint, reader): (Endpoint, Reader),
        memory: Memory,
        max_requests: usize,
        clock: Clock,
        revoked: Option<Arc<Revoked>>,
    ) -> Self {
        let desk = Desk {
            endpoint,
            reader,
            memory,
            flights: Flights::new(max_requests),
            queue: Queue::new(max_requests),
            circuit: Circuit::default(),
            outage: OutageLog::default(),
            crowd: OutageLog::default(),
            oddities: OutageLog::default(),
            clock,
        };
        Self { desk: Arc::new(desk), every_token: false, revoked }
    }

    pub(super) fn asked_about_everything(self) -> Self {
        Self { every_token: true, ..self }
    }

    /// Whether the issuer is asked about a token, and not its signature.
    pub(crate) fn decides(&self, token: &str) -> bool {
        self.every_token || !is_jwt(token)
    }

    /// Whether it asks this issuer.
    pub(crate) fn asks(&self, issuer: &str) -> bool {
        self.desk.reader.issuer == issuer
    }

    /// Finds out where to ask, so that no request has to wait for that.
    pub(crate) async fn find_endpoint(&self) {
        let Desk { endpoint, clock, .. } = &*self.desk;
        if let Err(fault) = endpoint.find().await {
            self.desk.tell_away(&fault, clock.steady());
        }
    }

    pub(crate) fn status(&self) -> IntrospectionStatus {
        IntrospectionStatus { answers: !self.desk.circuit.is_broken(), tokens: self.desk.memory.len() }
    }

    /// What is known of a token, on a route that takes an answer of up to `tolerance` ago while there is no other.
    pub(crate) fn look_up(&self, token: &str, tolerance: Duration) -> LookedUp {
        let desk = &self.desk;
        if token.len() > desk.reader.policy.longest() {
            return LookedUp::Verdict(Verdict::Refused(TokenFault::TooLong));
        }
        if !is_b64token(token) {
            return LookedUp::Verdict(Verdict::Refused(TokenFault::Characters));
        }
        let digest = Digest::of(token);
        if let Some(verdict) = self.remembered(&digest) {
            return LookedUp::Verdict(verdict);
        }
        if desk.circuit.is_open(desk.clock.steady()) {
            return LookedUp::Verdict(self.stale_or(Unanswered::Away, &digest, tolerance));
        }
        let question = Question { introspector: self.clone(), token: token.into(), digest, tolerance };
        LookedUp::Unknown(Box::new(question))
    }

    /// What the issuer said not long ago.
    pub(super) fn remembered(&self, digest: &Digest) -> Option<Verdict> {
        let (memory, now) = (&self.desk.memory, self.desk.clock.steady());
        match self.held(digest) {
            Some(Ok(good)) if memory.is_fresh(&good, now) => Some(Verdict::Good(good.verified)),
            Some(Ok(_)) => None,
            Some(Err(fault)) => Some(Verdict::Refused(fault)),
            None => memory.refused(digest, now).map(Verdict::Refused),
        }
    }

    /// What the issuer said last, where nothing newer is to be had and that may do.
    fn stale_or(&self, unanswered: Unanswered, digest: &Digest, tolerance: Duration) -> Verdict {
        let moment = Moment { now: self.desk.clock.steady(), tolerance };
        match self.held(digest) {
            Some(Ok(good)) if self.desk.memory.is_near(&good, moment) => Verdict::Good(good.verified),
            Some(Err(fault)) => Verdict::Refused(fault),
            _ => Verdict::Unanswered(unanswered),
        }
    }

    /// A token that was good when the issuer was asked, however long ago that is, and has not ended since.
    fn held(&self, digest: &Digest) -> Option<Result<Good, TokenFault>> {
        let Desk { memory, reader, clock, .. } = &*self.desk;
        let good = memory.good(digest)?;
        let moment = Moment::lenient(clock.steady());
        let is_signed_by_others =
            good.generation.is_some_and(|signed| reader.trust.generation(moment) != Some(signed));
        if is_signed_by_others || self.is_over(&good.verified) {
            memory.forget(digest);
            return None;
        }
        if good.verified.is_revoked(self.revoked.as_deref()) {
            memory.forget(digest);
            return Some(Err(TokenFault::Revoked));
        }
        Some(Ok(good))
    }

    /// Whether a token has expired, to the second: whether it is good for longer is for the issuer to say.
    pub(super) fn is_over(&self, verified: &Verified) -> bool {
        !is_current(verified.claims.dates.exp, 0, self.desk.clock.unix_secs())
    }

    /// Asks about a token, and remembers the answer.
    async fn ask(&self, token: &str, digest: Digest) -> Verdict {
        let Desk { memory, circuit, outage, clock, .. } = &*self.desk;
        let asked = clock.steady();
        let answer = self.desk.answer(token, &digest).await;
        let now = clock.steady();
        if !matches!(&answer, Err(Fault::Ask(_))) {
            circuit.succeeded();
            if let Some(OutageReport { lasted, attempts }) = outage.ended(now) {
                tracing::info!(
                    attempts,
                    for_secs = lasted.as_secs(),
                    "the issuer answers about tokens again"
                );
            }
        }
        let answer = match answer {
            Ok(Answer::Good(verified, _)) if verified.is_revoked(self.revoked.as_deref()) => {
                Answer::Refused(TokenFault::Revoked)
            }
            Ok(answer) => answer,
            Err(fault) => {
                self.desk.tell(&fault, now);
                return Verdict::Unanswered(Unanswered::Away);
            }
        };
        match answer {
            Answer::Good(mut verified, generation) => {
                verified.asked = Some(asked);
                let good = Good { verified: Arc::from(verified), generation };
                memory.keep(digest, good.clone());
                Verdict::Good(good.verified)
            }
            Answer::Refused(fault) => {
                memory.refuse(digest, fault, now);
                self.desk.tell_unclear(fault, now);
                Verdict::Refused(fault)
            }
        }
    }
}

impl Desk {
    /// Says to the log that not every token can be asked about. Strangers can cause it as often as they like.
    fn note_crowd(&self) {
        let cause = "all questions that may be open at a time are";
        if let Some(OutageReport { attempts, .. }) = self.crowd.failed(self.clock.steady(), &cause, false) {
            tracing::warn!(attempts, "{cause}: requests with tokens that are not known are answered 503");
        }
    }

    async fn answer(&self, token: &str, digest: &Digest) -> Result<Answer, Fault> {
        let asked = self.clock.unix_secs();
        let reply = self.endpoint.ask(token).await?;
        let times = || {
            let moment = Moment::strict(self.clock.steady());
            Times { asked, now: self.clock.unix_secs(), moment }
        };
        match self.reader.read(&reply, digest, times()) {
            Err(AnswerFault::MissingKey) if self.reader.trust.may_refresh() => {
                self.reader.trust.refresh_for_request().await;
                Ok(self.reader.read(&reply, digest, times())?)
            }
            outcome => Ok(outcome?),
        }
    }

    fn tell(&self, fault: &Fault, now: Duration) {
        match fault {
            Fault::Ask(fault) => {
                if fault.is_lasting() {
                    self.circuit.failed(now);
                } else {
                    self.circuit.stumbled();
                }
                self.tell_away(fault, now);
            }
            Fault::Answer(fault) => {
                if let Some(OutageReport { attempts, .. }) = self.oddities.failed(now, fault, false) {
                    tracing::warn!(%fault, attempts, "what the issuer says of a token is not used, its caller is answered 503");
                }
            }
        }
    }

    fn tell_away(&self, fault: &AskFault, now: Duration) {
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(now, fault, false) else {
            tracing::debug!(%fault, "the issuer could not be asked about a token");
            return;
        };
        tracing::warn!(
            issuer = self.reader.issuer,
            %fault,
            attempts,
            for_secs = lasted.as_secs(),
            "the issuer could not be asked about a token, whoever comes with one that is not remembered is answered 503"
        );
    }

    /// Active tokens that are refused for what is not said of them are a mistake in the configuration, more often than not.
    fn tell_unclear(&self, fault: TokenFault, now: Duration) {
        let advice = match fault {
            TokenFault::Unaddressed => "see Introspection::danger_accept_missing_audience",
            TokenFault::Untyped => "see Introspection::danger_accept_untyped",
            _ => return,
        };
        if let Some(OutageReport { attempts, .. }) = self.oddities.failed(now, &fault, false) {
            tracing::warn!(cause = %fault, attempts, "an active token was refused: {advice}");
        }
    }
}

impl Question {
    /// Asks, together with everybody who wants to know the same.
    pub(crate) async fn ask(self) -> Verdict {
        let verdict = match self.board(None) {
            Ok(mut awaited) => {
                match tokio::time::timeout(MAX_WAIT, awaited.wait_for(Option::is_some)).await {
                    Ok(Ok(answer)) => answer.clone(),
                    // It takes too long, or ended without an answer.
                    Ok(Err(_)) | Err(_) => None,
                }
                .unwrap_or(Verdict::Unanswered(Unanswered::Away))
            }
            Err(verdict) => verdict,
        };
        match verdict {
            Verdict::Unanswered(why) => self.introspector.stale_or(why, &self.digest, self.tolerance),
            verdict => verdict,
        }
    }

    /// Joins a question that is open, or sends one, at a place that was got before or one of those for requests. It goes on by
    /// itself: a caller who hangs up does not stop it for others.
    pub(super) fn board(&self, place: Option<OwnedSemaphorePermit>) -> Result<Awaited, Verdict> {
        let Self { introspector, token, digest, .. } = self;
        let (flight, awaited) = match introspector.desk.flights.board(*digest, place) {
            Boarding::Full => {
                introspector.desk.note_crowd();
                return Err(Verdict::Unanswered(Unanswered::Busy));
            }
            Boarding::Joined(awaited) => return Ok(awaited),
            Boarding::New(flight, awaited) => (flight, awaited),
        };
        // Somebody may have got the answer since this request looked.
        if let Some(verdict) = introspector.remembered(digest) {
            flight.land(verdict.clone());
            return Err(verdict);
        }
        let desk = &introspector.desk;
        if !desk.circuit.admit(desk.clock.steady()) {
            let verdict = Verdict::Unanswered(Unanswered::Away);
            flight.land(verdict.clone());
            return Err(verdict);
        }
        self.send(flight, token.clone());
        Ok(awaited)
    }

    fn send(&self, flight: Flight, token: Box<str>) {
        let (introspector, digest) = (self.introspector.clone(), self.digest);
        let Ok(runtime) = Handle::try_current() else {
            flight.land(Verdict::Unanswered(Unanswered::Away));
            return;
        };
        runtime.spawn(async move {
            let verdict = introspector.ask(&token, digest).await;
            flight.land(verdict);
        });
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Question").finish_non_exhaustive()
    }
}

/// Whether a token has the form of a signed JWT: three parts, of which the first is an object in base64url. An encrypted one has
/// five, and cannot be read here.
fn is_jwt(token: &str) -> bool {
    // `e` and the first two bits of the next letter encode `{`; what letters come next depends on white space.
    let begins = matches!(token.as_bytes(), [b'e', b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..]);
    begins && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// RFC 6750 §2.1: letters, digits and `-._~+/`, then any number of `=`.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_told_from_what_is_opaque() {
        for jwt in ["eyJhbGciOiJFUzI1NiJ9.e30.AA", "ewogImFsZyI6ICJub25lIiB9..", "e30.e30.AA"] {
            assert!(is_jwt(jwt), "{jwt}");
        }
        for opaque in [
            "",
            "e",
            "ory_at_0-9",
            "eyJhbGciOiJFUzI1NiJ9",
            "eyJhbGciOiJFUzI1NiJ9.e30",
            "eyJlbmMiOiJBMTI4R0NNIn0.a.b.c.d",
            "v4.public.AAAA",
            "abc.def.ghi",
            "ea.b.c",
        ] {
            assert!(!is_jwt(opaque), "{opaque}");
        }
    }

    #[test]
    fn only_the_characters_of_tokens_are_sent() {
        for token in ["a", "abc-._~+/XYZ019", "YQ==", "a.b.c"] {
            assert!(is_b64token(token), "{token}");
        }
        for other in ["", "=", "a=b", "a b", "a%20b", "a&token=b", "a\u{7f}", "ä", "a\"b", "a\nb", "a,b"] {
            assert!(!is_b64token(other), "{other}");
        }
    }
}
