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

    /// The time of day after so long, for people to read. `None` beyond the years that four digits write.
    pub(crate) fn utc_after(&self, span: Duration) -> Option<String> {
        utc((self.wall)().checked_add(span)?.as_secs())
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

/// A moment as RFC 3339 writes it.
fn utc(unix_secs: u64) -> Option<String> {
    let (mut days, secs) = (unix_secs / DAY_SECS, unix_secs % DAY_SECS);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
        if year > 9_999 {
            return None;
        }
    }
    let mut month = 1;
    for length in [31, days_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute, second) = (days + 1, secs / 3_600, secs / 60 % 60, secs % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

const DAY_SECS: u64 = 86_400;

const fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
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
    fn a_moment_is_written_as_people_read_it() {
        for (secs, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (978_307_199, "2000-12-31T23:59:59Z"),
            (1_999_999_800, "2033-05-18T03:30:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(secs).as_deref(), Some(written));
        }
        assert_eq!(utc(253_402_300_800), None);
        let clock = Clock::from_fn(|| Duration::from_mins(1));
        assert_eq!(clock.utc_after(Duration::from_secs(1)).as_deref(), Some("1970-01-01T00:01:01Z"));
        assert_eq!(clock.utc_after(Duration::MAX), None, "without a limit there is no end");
    }

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
