//! What is told of something that cannot be reached, or happens again and again: that it begins, that it gets worse and that it is over at once, and
//! in between ever more rarely.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Until an outage that goes on is told of again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LAST_PAUSE: Duration = Duration::from_hours(1);

/// After how long without a failure something is over that strangers can bring about: who has taken their share fails while others
/// do not.
pub(crate) const CALM: Duration = Duration::from_mins(1);

/// After how long without one it is news again what somebody made up, or has configured wrongly.
pub(crate) const FORGOTTEN: Duration = Duration::from_hours(1);

/// How many causes of one outage are told of when they appear: two that take turns must not fill the log.
const MAX_CAUSES: usize = 4;

/// One outage after another of one thing.
#[derive(Debug, Default)]
pub(crate) struct OutageLog(Mutex<Option<Course>>);

/// The outage that goes on.
#[derive(Debug)]
struct Course {
    begun: Duration,
    attempts: u32,
    /// When an attempt failed last.
    failed: Duration,
    told: Duration,
    pause: Duration,
    causes: Vec<String>,
    usable: bool,
}

/// An outage, as far as it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct OutageReport {
    pub(crate) lasted: Duration,
    /// How many attempts failed.
    pub(crate) attempts: u32,
}

impl OutageLog {
    /// Takes note that it failed. Gives what to tell, unless enough was told: `usable` says whether what is held serves on.
    pub(crate) fn failed(&self, now: Duration, cause: &impl Display, usable: bool) -> Option<OutageReport> {
        let mut course = self.course();
        let going_on = course.get_or_insert_with(|| Course::new(now, usable));
        going_on.fail(now, cause.to_string(), usable).then(|| going_on.told(now))
    }

    /// Takes note that it went well. Gives the outage that is over.
    pub(crate) fn ended(&self, now: Duration) -> Option<OutageReport> {
        self.calmed(now, Duration::ZERO)
    }

    /// Takes note that it went well, where that alone is no end: what goes well and fails by turns is one outage, which is over when
    /// nothing has failed for so long.
    pub(crate) fn calmed(&self, now: Duration, calm: Duration) -> Option<OutageReport> {
        let is_over = |course: &mut Course| now.saturating_sub(course.failed) >= calm;
        self.course().take_if(is_over).map(|course| course.told(now))
    }

    fn course(&self) -> MutexGuard<'_, Option<Course>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    const fn new(now: Duration, usable: bool) -> Self {
        Self {
            begun: now,
            attempts: 0,
            failed: now,
            told: now,
            pause: FIRST_PAUSE,
            causes: Vec::new(),
            usable,
        }
    }

    /// Counts an attempt, and says whether it is to be told of.
    fn fail(&mut self, now: Duration, cause: String, usable: bool) -> bool {
        self.attempts = self.attempts.saturating_add(1);
        self.failed = now;
        let is_new = self.causes.len() < MAX_CAUSES && !self.causes.contains(&cause);
        let is_worse = std::mem::replace(&mut self.usable, usable) && !usable;
        let is_due = now.saturating_sub(self.told) >= self.pause;
        if is_due {
            self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
        }
        if is_new {
            self.causes.push(cause);
        }
        let tells = is_new || is_worse || is_due;
        if tells {
            self.told = now;
        }
        tells
    }

    const fn told(&self, now: Duration) -> OutageReport {
        OutageReport { lasted: now.saturating_sub(self.begun), attempts: self.attempts }
    }
}

/// What an outage means for requests, by whether what is held serves on and how old that is.
pub(crate) const fn consequence(usable: bool, age: Option<Duration>) -> &'static str {
    match (usable, age) {
        (true, _) => "what is held serves on",
        (false, Some(_)) => {
            "what is held is too old, requests are answered 503 unless their route serves stale"
        }
        (false, None) => "there is nothing yet, requests are answered 503",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// At which seconds failures every four of them are told of.
    fn told_at(outage: &OutageLog, secs: u64) -> Vec<u64> {
        let at = |secs| outage.failed(Duration::from_secs(secs), &"refused", true).is_some();
        (0..secs).step_by(4).filter(|secs| at(*secs)).collect()
    }

    #[test]
    fn an_outage_is_told_of_at_once_and_then_ever_more_rarely_up_to_an_hour() {
        let told = told_at(&OutageLog::default(), 86_400);
        assert_eq!(told[..6], [0, 60, 180, 420, 900, 1_860]);
        assert!(told.len() < 35, "{}", told.len());
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] <= 3_600));
    }

    #[test]
    fn the_end_is_told_of_once_and_another_outage_is_a_new_one() {
        let outage = OutageLog::default();
        assert_eq!(outage.ended(MINUTE), None);
        assert_eq!(told_at(&outage, 40), [0]);
        assert_eq!(outage.ended(MINUTE), Some(OutageReport { lasted: MINUTE, attempts: 10 }));
        assert_eq!(outage.ended(MINUTE), None);
        let again = outage.failed(MINUTE, &"refused", true);
        assert_eq!(again, Some(OutageReport { lasted: Duration::ZERO, attempts: 1 }));
    }

    #[test]
    fn what_fails_and_goes_well_by_turns_is_one_outage_until_nothing_has_failed_for_long_enough() {
        let outage = OutageLog::default();
        assert_eq!(outage.calmed(MINUTE, MINUTE), None);
        let mut told = Vec::new();
        for secs in (0..7_200).step_by(2) {
            let now = Duration::from_secs(secs);
            told.extend(outage.failed(now, &"full", false).map(|_| secs));
            assert_eq!(outage.calmed(now + Duration::from_secs(1), MINUTE), None);
        }
        assert_eq!(told, [0, 60, 180, 420, 900, 1_860, 3_780]);
        let last = Duration::from_secs(7_198);
        assert_eq!(outage.calmed(last + Duration::from_millis(59_999), MINUTE), None);
        let report = OutageReport { lasted: last + MINUTE, attempts: 3_600 };
        assert_eq!(outage.calmed(last + MINUTE, MINUTE), Some(report));
        assert_eq!(outage.calmed(last + MINUTE, MINUTE), None);
    }

    #[test]
    fn what_gets_worse_and_another_cause_are_told_of_at_once_and_causes_that_take_turns_are_not() {
        let outage = OutageLog::default();
        let fails = |cause: &str, usable| outage.failed(Duration::ZERO, &cause, usable).is_some();
        assert!(fails("refused", true) && !fails("refused", true));
        assert!(fails("status 503", true) && !fails("refused", true) && !fails("status 503", true));
        assert!(fails("refused", false) && !fails("refused", false), "it is too old now");
        let causes = (0..1_000).filter(|number| fails(&format!("cause {number}"), false)).count();
        assert_eq!(causes, 2);
    }
}
