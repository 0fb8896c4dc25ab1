//! How many requests in how much time.

use std::num::NonZeroU32;
use std::time::Duration;

const DAY_SECS: u64 = 86_400;

/// What is counted in nanoseconds has to stay below the 584 years that 64 bits hold.
const CENTURY: Duration = Duration::from_secs(36_525 * DAY_SECS);

/// So many requests in so much time.
///
/// Up to an hour, time is a steady flow: what was spent comes back bit by bit. A day and a month are those of the calendar,
/// in UTC: everything comes back at midnight, or at midnight before the first.
///
/// What a guard counts of a day or a month is in its memory alone: each replica counts for itself, and a restart begins
/// anew, unless the limits are shared through Redis (the feature `redis`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    amount: u32,
    period: Period,
    burst: u32,
}

/// In how much time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Period {
    Calendar(Calendar),
    Rolling(Duration),
}

/// A window of the calendar, in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Calendar {
    Day,
    Month,
}

/// One window: its number among its kind, when it ends and how long it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Window {
    pub(super) number: u32,
    pub(super) ends: u64,
    pub(super) secs: u64,
}

impl Quota {
    /// `amount` requests a second.
    pub const fn per_second(amount: u32) -> Self {
        Self::rolling(amount, Duration::from_secs(1))
    }

    /// `amount` requests a minute.
    pub const fn per_minute(amount: u32) -> Self {
        Self::rolling(amount, Duration::from_mins(1))
    }

    /// `amount` requests an hour.
    pub const fn per_hour(amount: u32) -> Self {
        Self::rolling(amount, Duration::from_hours(1))
    }

    /// `amount` requests a day of the calendar, in UTC.
    pub const fn per_day(amount: u32) -> Self {
        Self { amount, period: Period::Calendar(Calendar::Day), burst: amount }
    }

    /// `amount` requests a month of the calendar, in UTC.
    pub const fn per_month(amount: u32) -> Self {
        Self { amount, period: Period::Calendar(Calendar::Month), burst: amount }
    }

    /// How many of them may come at once: all of them, unless set. Days and months have no burst.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    const fn rolling(amount: u32, period: Duration) -> Self {
        Self { amount, period: Period::Rolling(period), burst: amount }
    }

    pub(super) const fn amount(self) -> u32 {
        self.amount
    }

    pub(super) const fn period(self) -> Period {
        self.period
    }

    #[cfg(feature = "redis")]
    pub(super) const fn calendar(self) -> Option<Calendar> {
        match self.period {
            Period::Calendar(calendar) => Some(calendar),
            Period::Rolling(_) => None,
        }
    }

    /// What a request costs that is to cost `cost`: never more than there can be.
    pub(super) fn affordable(self, cost: NonZeroU32) -> NonZeroU32 {
        NonZeroU32::new(self.capacity()).map_or(cost, |capacity| cost.min(capacity))
    }

    /// The most that may come at once: never more than comes back in a century.
    pub(super) fn capacity(self) -> u32 {
        let most = self.interval().map_or(u128::MAX, |interval| CENTURY.as_nanos() / interval.as_nanos());
        let wanted = match self.period {
            Period::Calendar(_) => self.amount,
            Period::Rolling(_) => self.burst,
        };
        u32::try_from(most).map_or(wanted, |most| wanted.min(most))
    }

    /// Between two requests of a steady flow, a nanosecond at least; `None` for a calendar, and where nothing flows.
    pub(super) fn interval(self) -> Option<Duration> {
        match self.period {
            Period::Calendar(_) => None,
            Period::Rolling(period) => {
                period.checked_div(self.amount).map(|interval| interval.max(Duration::from_nanos(1)))
            }
        }
    }

    /// How long its period is, about.
    pub(super) const fn span(self) -> Duration {
        match self.period {
            Period::Calendar(Calendar::Day) => Duration::from_secs(DAY_SECS),
            Period::Calendar(Calendar::Month) => Duration::from_secs(31 * DAY_SECS),
            Period::Rolling(period) => period,
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.amount == 0 || self.burst == 0
    }

    /// So many times as much.
    pub(super) const fn times(self, factor: u32) -> Self {
        Self { amount: self.amount.saturating_mul(factor), burst: self.burst.saturating_mul(factor), ..self }
    }

    /// The share of one of so many, at least one request.
    #[cfg(feature = "redis")]
    pub(super) fn share(self, of: u32) -> Self {
        let part = |whole: u32| (whole / of.max(1)).max(1);
        Self { amount: part(self.amount), burst: part(self.burst), ..self }
    }

    /// After how long everything that was spent has come back, whatever it was.
    pub(super) fn memory(self) -> Duration {
        match self.interval() {
            Some(interval) => interval.saturating_mul(self.capacity()),
            None => self.span(),
        }
    }
}

impl Calendar {
    /// The window that a second since the Unix epoch lies in.
    pub(super) fn window(self, unix_secs: u64) -> Window {
        let day = unix_secs / DAY_SECS;
        let (number, first, days) = match self {
            Self::Day => (day, day, 1),
            Self::Month => {
                let (number, first) = month_of(day);
                // 31 days on is always in the next month.
                let (_, next) = month_of(first + 31);
                (number, first, next - first)
            }
        };
        Window {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            ends: (first + days).saturating_mul(DAY_SECS),
            secs: days * DAY_SECS,
        }
    }
}

/// The number of the month that a day since the Unix epoch lies in, counted without gaps, and its first day.
///
/// Years are counted from March on here: so the leap day is the last of a year, and the months before it begin at the same
/// days of every year. The calendar repeats itself every 146,097 days.
const fn month_of(day: u64) -> (u64, u64) {
    const CYCLE: u64 = 146_097;
    // From the first of March of the year 0 to the epoch.
    let day = day + 719_468;
    let (cycle, day_of_cycle) = (day / CYCLE, day % CYCLE);
    let year =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / (CYCLE - 1)) / 365;
    let year_begins = 365 * year + year / 4 - year / 100;
    let day_of_year = day_of_cycle - year_begins;
    // Months from March: 153 days are five of them.
    let month = (5 * day_of_year + 2) / 153;
    let month_begins = (153 * month + 2) / 5;
    let number = (cycle * 400 + year) * 12 + month;
    (number, cycle * CYCLE + year_begins + month_begins - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(Calendar::Day.window(0), Window { number: 0, ends: 86_400, secs: 86_400 });
        assert_eq!(Calendar::Day.window(86_399).number, 0);
        assert_eq!(Calendar::Day.window(86_400), Window { number: 1, ends: 172_800, secs: 86_400 });
    }

    #[test]
    fn the_end_of_time_has_a_window_too() {
        for calendar in [Calendar::Day, Calendar::Month] {
            assert_eq!(calendar.window(u64::MAX).number, u32::MAX);
        }
    }

    #[test]
    fn months_follow_each_other_without_a_gap_for_five_centuries() {
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let mut day = 0;
        let first = Calendar::Month.window(0).number;
        for (count, month) in (0..12 * 500_u32).zip((1..=12).cycle()) {
            let year = 1970 + u64::from(count / 12);
            let days = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let ends = (day + days) * DAY_SECS;
            let whole = Window { number: first + count, ends, secs: days * DAY_SECS };
            assert_eq!(Calendar::Month.window(day * DAY_SECS), whole, "{year}-{month}");
            assert_eq!(Calendar::Month.window(ends - 1), whole, "{year}-{month}");
            day += days;
        }
    }
}
