//! Points in time, and the one place that reads the clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const MICROS_PER_SEC: i64 = 1_000_000;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time that lies `micros` microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The time that lies `secs` seconds after 1970: the `NumericDate` of a JWT (RFC 7519 §2).
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(MICROS_PER_SEC))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SEC)
    }

    /// This time moved into the future; it stops at the end of time and never wraps around.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(duration)))
    }

    /// This time moved into the past.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(duration)))
    }

    /// How long after `earlier` this time is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Text form of RFC 3339, in UTC. A time outside the calendar is written as its number.
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .ok()
            .and_then(|date| date.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }
}

/// The text is not a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be a time as RFC 3339 writes it, such as 2030-01-31T09:00:00Z")]
pub struct InvalidTime;

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(raw: &str) -> Result<Self, InvalidTime> {
        let date = OffsetDateTime::parse(raw, &Rfc3339).map_err(|_| InvalidTime)?;
        i64::try_from(date.unix_timestamp_nanos().div_euclid(1000)).map(Self).map_err(|_| InvalidTime)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Where the current time comes from: the system, or a dial that a test turns.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Manual(Arc<AtomicI64>),
    /// With the moment from which the steady hand counts.
    System(Instant),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still at `start` until [`advance`](Self::advance) moves it; its clones move with it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Manual(micros) => Timestamp(micros.load(Ordering::SeqCst)),
            Source::System(_) => read_system_clock(),
        }
    }

    /// A hand that never runs backwards, counted from any fixed point: for what is measured, as limits are, while the
    /// time of day may be put back.
    pub fn steady(&self) -> Duration {
        match &self.0 {
            Source::Manual(micros) => {
                Duration::from_micros(u64::try_from(micros.load(Ordering::SeqCst)).unwrap_or_default())
            }
            Source::System(start) => start.elapsed(),
        }
    }

    /// Moves a manual clock forward; the clock of the machine is not ours to move and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(micros) = &self.0 {
            micros.fetch_add(micros_of(by), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn read_system_clock() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(elapsed) => Timestamp(micros_of(elapsed)),
        Err(before) => Timestamp(micros_of(before.duration()).saturating_neg()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_1970() {
        assert_eq!(Timestamp::from_micros(1_999_999).as_secs(), 1);
        assert_eq!(Timestamp::from_micros(-1).as_secs(), -1);
    }

    #[test]
    fn a_time_is_read_with_its_offset_and_nothing_else_is_a_time() {
        let read = |raw: &str| raw.parse::<Timestamp>();
        assert_eq!(read("2027-01-15T08:00:00Z"), Ok(Timestamp::from_secs(1_800_000_000)));
        assert_eq!(read("2027-01-15T09:00:00.5+01:00"), Ok(Timestamp::from_micros(1_800_000_000_500_000)));
        for wrong in
            ["", "2027-01-15", "2027-01-15T08:00:00", "2027-02-30T08:00:00Z", "1800000000", "tomorrow"]
        {
            assert_eq!(read(wrong), Err(InvalidTime), "{wrong}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_end_of_time() {
        assert_eq!(Timestamp::from_micros(i64::MAX).plus(Duration::from_secs(1)).as_micros(), i64::MAX);
        assert_eq!(Timestamp::from_secs(5).since(Timestamp::from_secs(9)), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(9).since(Timestamp::from_secs(5)), Duration::from_secs(4));
    }

    #[test]
    fn text_form_is_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_secs(1_700_000_000).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(Timestamp::from_micros(i64::MAX).rfc3339(), i64::MAX.to_string());
    }

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::from_secs(100));
        let other = clock.clone();
        clock.advance(Duration::from_secs(11));
        assert_eq!(other.now(), Timestamp::from_secs(111));
        assert_eq!(other.steady(), Duration::from_secs(111));
    }

    #[test]
    fn the_system_clock_shows_a_time_after_this_was_written_and_is_not_moved() {
        let clock = Clock::system();
        let before = clock.now();
        clock.advance(Duration::from_secs(1_000_000));
        assert!(before > Timestamp::from_secs(1_700_000_000));
        assert!(clock.now().since(before) < Duration::from_secs(1_000_000));
        assert!(clock.steady() < Duration::from_secs(1_000_000));
    }
}
