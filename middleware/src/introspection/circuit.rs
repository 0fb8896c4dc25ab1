//! When not to ask: an endpoint that does not answer is left alone, but for one question now and then.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::schedule::Schedule;

/// After how many failures in a row the endpoint is left alone. One may be the fault of a connection that was kept open.
const PATIENCE: u32 = 3;

const PAUSES: Schedule = Schedule {
    every: Duration::from_secs(1),
    first_retry: Duration::from_secs(1),
    last_retry: Duration::from_secs(5),
};

/// How the endpoint fares.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<Course>);

#[derive(Clone, Copy, Debug, Default)]
struct Course {
    failures: u32,
    /// Until then nobody asks, after so many failures.
    retry_at: Duration,
}

impl Circuit {
    /// Whether the endpoint is left alone.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        let course = self.course();
        course.failures >= PATIENCE && now < course.retry_at
    }

    /// Whether the endpoint has failed, and not answered since, as often as it takes to be left alone.
    pub(super) fn is_broken(&self) -> bool {
        self.course().failures >= PATIENCE
    }

    /// Whether a question may be sent. Of an endpoint that is left alone, this one is to find out whether it answers again.
    pub(super) fn admit(&self, now: Duration) -> bool {
        let mut course = self.course();
        if course.failures < PATIENCE {
            return true;
        }
        let may = now >= course.retry_at;
        if may {
            course.retry_at = course.next(now);
        }
        may
    }

    pub(super) fn succeeded(&self) {
        *self.course() = Course::default();
    }

    /// The endpoint answered, though not to the question. One that was left alone is there again. That says nothing of failures
    /// which are fewer: whoever makes up tokens must not keep an endpoint that is away from being left alone.
    pub(super) fn stumbled(&self) {
        let mut course = self.course();
        if course.failures >= PATIENCE {
            *course = Course::default();
        }
    }

    pub(super) fn failed(&self, now: Duration) {
        let mut course = self.course();
        course.failures = course.failures.saturating_add(1);
        course.retry_at = course.next(now);
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn next(&self, now: Duration) -> Duration {
        now.saturating_add(PAUSES.pause(self.failures.saturating_sub(PATIENCE) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn an_endpoint_is_left_alone_after_three_failures_in_a_row() {
        let circuit = Circuit::default();
        for _ in 0..2 {
            assert!(circuit.admit(secs(0)));
            circuit.failed(secs(0));
        }
        circuit.succeeded();
        for _ in 0..3 {
            assert!(circuit.admit(secs(0)) && !circuit.is_open(secs(0)));
            circuit.failed(secs(0));
        }
        assert!(circuit.is_open(secs(0)) && circuit.is_broken() && !circuit.admit(secs(0)));
    }

    #[test]
    fn one_question_at_a_time_finds_out_whether_it_answers_again() {
        let circuit = Circuit::default();
        (0..3).for_each(|_| circuit.failed(secs(0)));
        assert!(circuit.admit(secs(2)) && !circuit.admit(secs(2)) && circuit.is_open(secs(2)));
        circuit.failed(secs(2));
        assert!(!circuit.admit(secs(3)), "pauses grow");
        assert!(circuit.admit(secs(5)) && !circuit.admit(secs(5)));
        (0..100).for_each(|_| circuit.failed(secs(5)));
        assert!(!circuit.admit(secs(9)) && circuit.admit(secs(11)), "but not for ever");
        circuit.succeeded();
        assert!(circuit.admit(secs(11)) && circuit.admit(secs(11)) && !circuit.is_broken());
    }

    #[test]
    fn a_stumble_ends_that_an_endpoint_is_left_alone_and_undoes_no_failure_before() {
        let circuit = Circuit::default();
        (0..3).for_each(|_| circuit.failed(secs(0)));
        assert!(circuit.admit(secs(2)) && circuit.is_broken());
        circuit.stumbled();
        assert!(circuit.admit(secs(2)) && circuit.admit(secs(2)) && !circuit.is_broken());
        for _ in 0..3 {
            circuit.stumbled();
            assert!(!circuit.is_broken());
            circuit.failed(secs(2));
        }
        assert!(circuit.is_broken());
    }
}
