//! What the log is told of those who ask and may not: that they do, and then ever more rarely. They can do it as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Until strangers who go on are told of again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LAST_PAUSE: Duration = Duration::from_hours(1);
/// After how long without one the next is told of at once.
const CALM: Duration = Duration::from_hours(1);

/// Those who asked and may not.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Option<Course>>);

#[derive(Debug)]
struct Course {
    asked: u64,
    last: Instant,
    told: Instant,
    pause: Duration,
}

impl Strangers {
    /// Notes that one asked. Gives how often any has until now, where that is to be told.
    pub(super) fn note(&self, now: Instant) -> Option<u64> {
        let mut course = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        course.take_if(|course| now.saturating_duration_since(course.last) >= CALM);
        let Some(going_on) = course.as_mut() else {
            *course = Some(Course { asked: 1, last: now, told: now, pause: FIRST_PAUSE });
            return Some(1);
        };
        going_on.asked = going_on.asked.saturating_add(1);
        going_on.last = now;
        if now.saturating_duration_since(going_on.told) < going_on.pause {
            return None;
        }
        going_on.told = now;
        going_on.pause = going_on.pause.saturating_mul(2).min(LAST_PAUSE);
        Some(going_on.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_told_of_at_once_and_then_ever_more_rarely_up_to_an_hour() {
        let (strangers, begun) = (Strangers::default(), Instant::now());
        let told: Vec<(u64, u64)> = (0..86_400)
            .filter_map(|secs| Some((secs, strangers.note(begun + Duration::from_secs(secs))?)))
            .collect();
        assert_eq!(told[..6], [(0, 1), (60, 61), (180, 181), (420, 421), (900, 901), (1_860, 1_861)]);
        assert!(told.len() < 35 && told.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 3_600), "{told:?}");
    }

    #[test]
    fn one_who_comes_after_a_calm_is_told_of_at_once() {
        let (strangers, begun) = (Strangers::default(), Instant::now());
        let at = |secs| strangers.note(begun + Duration::from_secs(secs));
        assert_eq!((at(0), at(1), at(3_600)), (Some(1), None, Some(3)));
        assert_eq!((at(7_200), at(7_201)), (Some(1), None));
    }
}
