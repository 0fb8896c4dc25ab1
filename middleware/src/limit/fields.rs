//! What a response says about limits: the IETF `RateLimit` fields and `Retry-After`.
//!
//! As draft-ietf-httpapi-ratelimit-headers-11 has them.

use std::fmt::{self, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::key::Stage;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a limit says about itself after a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) name: &'static str,
    /// So many in so many seconds.
    pub(crate) amount: u32,
    pub(crate) window_secs: u64,
    pub(crate) remaining: u32,
    /// Until all of it is there again, or, of a refusal, until the request may come again.
    pub(crate) reset: Duration,
    /// Which count it is, among those of the limit: a number that means nothing to anybody.
    pub(crate) partition: Option<u64>,
}

/// A request that a limit refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exceeded {
    pub(crate) reading: Reading,
    /// Whether only a share of the quota can be given out at the moment.
    pub(crate) is_reduced: bool,
}

/// Where a request stands with the limits that it passed, in their order, and how many it is through with. Room for two is at
/// hand, which is enough for most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    first: [Option<Reading>; 2],
    more: Vec<Reading>,
    passed: [usize; 2],
}

impl Standing {
    /// How many limits of a stage are behind the request.
    pub(super) const fn passed(&self, stage: Stage) -> usize {
        let [early, late] = self.passed;
        match stage {
            Stage::Early => early,
            Stage::Late => late,
        }
    }

    /// Another limit of a stage is behind the request. It may not have concerned it.
    pub(crate) fn pass(&mut self, stage: Stage, reading: Option<Reading>) {
        let [early, late] = &mut self.passed;
        match stage {
            Stage::Early => *early += 1,
            Stage::Late => *late += 1,
        }
        let Some(reading) = reading else { return };
        match self.first.iter_mut().find(|slot| slot.is_none()) {
            Some(free) => *free = Some(reading),
            None => self.more.push(reading),
        }
    }

    /// What a limit said is out of date.
    pub(super) fn amend(&mut self, name: &str, remaining: u32, reset: Duration) {
        let readings = self.first.iter_mut().flatten().chain(&mut self.more);
        for reading in readings.filter(|reading| reading.name == name) {
            (reading.remaining, reading.reset) = (remaining, reset);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.first.iter().flatten().chain(&self.more)
    }

    /// Adds the fields to a response. A field that the handler wrote itself stays.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut lines = Lines::default();
        for reading in self.iter() {
            lines.add(reading);
        }
        lines.write(headers);
    }
}

impl Exceeded {
    /// Adds the fields of a refusal.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut lines = Lines::default();
        lines.add(&self.reading);
        lines.write(headers);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds_up(self.reading.reset)));
    }
}

#[derive(Default)]
struct Lines {
    limits: String,
    policies: String,
}

impl Lines {
    fn add(&mut self, reading: &Reading) {
        let comma = if self.limits.is_empty() { "" } else { ", " };
        let Reading { name, amount, window_secs, remaining, reset, partition } = *reading;
        let key = Partition(partition);
        let write = |out: &mut String, text: fmt::Arguments<'_>| {
            out.write_fmt(text).is_ok() // writing to a string cannot fail
        };
        let seconds = seconds_up(reset);
        write(&mut self.limits, format_args!("{comma}\"{name}\";r={remaining};t={seconds}{key}"));
        write(&mut self.policies, format_args!("{comma}\"{name}\";q={amount};w={window_secs}{key}"));
    }

    fn write(self, headers: &mut HeaderMap) {
        for (name, text) in [(RATE_LIMIT, self.limits), (RATE_LIMIT_POLICY, self.policies)] {
            if let Ok(value) = HeaderValue::try_from(text)
                && !value.is_empty()
            {
                headers.entry(name).or_insert(value);
            }
        }
    }
}

/// The parameter `pk`, if there is one: a byte sequence (RFC 9651 §3.3.5).
struct Partition(Option<u64>);

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(out, ";pk=:{}:", STANDARD.encode(number.to_be_bytes())),
            None => Ok(()),
        }
    }
}

/// Whole seconds, rounded up, at least one: a client that waits so long is let through.
fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Reading = Reading {
        name: "address",
        amount: 120,
        window_secs: 60,
        remaining: 39,
        reset: Duration::from_millis(500),
        partition: None,
    };

    fn written(readings: &[Reading]) -> HeaderMap {
        let mut standing = Standing::default();
        for reading in readings {
            standing.pass(Stage::Late, Some(*reading));
        }
        let mut headers = HeaderMap::new();
        standing.write(&mut headers);
        headers
    }

    #[test]
    fn a_response_names_every_limit_that_it_passed() {
        let identity = Reading { name: "identity", amount: 5, window_secs: 1, remaining: 0, ..ADDRESS };
        let day = Reading { name: "day", amount: 9, window_secs: 86_400, partition: Some(1), ..ADDRESS };
        let headers = written(&[ADDRESS, identity, day]);
        assert_eq!(
            headers["ratelimit"],
            r#""address";r=39;t=1, "identity";r=0;t=1, "day";r=39;t=1;pk=:AAAAAAAAAAE=:"#
        );
        assert_eq!(
            headers["ratelimit-policy"],
            r#""address";q=120;w=60, "identity";q=5;w=1, "day";q=9;w=86400;pk=:AAAAAAAAAAE=:"#
        );
    }

    #[test]
    fn no_limit_adds_no_field() {
        assert!(written(&[]).is_empty());
    }

    #[test]
    fn what_is_out_of_date_is_amended() {
        let mut standing = Standing::default();
        standing.pass(Stage::Early, Some(ADDRESS));
        standing.amend("other", 1, Duration::ZERO);
        standing.amend("address", 3, Duration::from_secs(9));
        assert_eq!(standing.iter().map(|reading| reading.remaining).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn retry_after_is_rounded_up_to_at_least_a_second() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let mut headers = HeaderMap::new();
            let reading = Reading { reset: Duration::from_millis(millis), ..ADDRESS };
            Exceeded { reading, is_reduced: false }.write(&mut headers);
            assert_eq!(headers["retry-after"], seconds);
        }
    }
}
