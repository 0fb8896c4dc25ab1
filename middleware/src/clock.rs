//! The time of day and a steady clock, as one argument.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Where a guard reads time.
///
/// It has two hands: the time of day, which token lifetimes are compared with and which may jump, and a
/// steady one, which rate limits and the age of keys are measured with and which never runs backwards.
#[derive(Clone)]
pub struct Clock {
    wall: Hand,
    steady: Hand,
}

type Hand = Arc<dyn Fn() -> Duration + Send + Sync>;

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        let start = Instant::now();
        Self { wall: Arc::new(system_time), steady: Arc::new(move || start.elapsed()) }
    }

    /// A clock whose time of day is `wall`, counted from the Unix epoch, and whose steady hand is `steady`,
    /// counted from any fixed point.
    pub fn new(
        wall: impl Fn() -> Duration + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), steady: Arc::new(steady) }
    }

    /// A clock with `time` as both of its hands, counted from the Unix epoch: for tests, and for callers
    /// whose own clock never runs backwards.
    pub fn from_fn(time: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let hand: Hand = Arc::new(time);
        Self { wall: Arc::clone(&hand), steady: hand }
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn unix_secs(&self) -> u64 {
        (self.wall)().as_secs()
    }

    /// The steady hand.
    pub(crate) fn steady(&self) -> Duration {
        (self.steady)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Clock").field("unix_secs", &self.unix_secs()).finish()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the guard reads the clock of the machine")]
fn system_time() -> Duration {
    // A machine whose clock stands before 1970 sees every token as not yet valid: refused, not accepted.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_stands_after_2025() {
        assert!(Clock::system().unix_secs() > 1_735_689_600);
    }

    #[test]
    fn a_clock_made_from_one_function_shows_it_with_both_hands() {
        let clock = Clock::from_fn(|| Duration::from_millis(7_500));
        assert_eq!((clock.unix_secs(), clock.steady()), (7, Duration::from_millis(7_500)));
    }
}
