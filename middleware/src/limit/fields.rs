//! What a response says about limits: the IETF `RateLimit` fields and `Retry-After`.
//!
//! As draft-ietf-httpapi-ratelimit-headers-11 has them.

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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Reading> + Clone {
        self.first.iter().flatten().chain(&self.more)
    }

    /// Adds the fields to a response. A field that the handler wrote itself stays.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if self.iter().next().is_some() {
            write(self.iter(), headers);
        }
    }
}

impl Exceeded {
    /// Adds the fields of a refusal.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        write(std::iter::once(&self.reading), headers);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds_up(self.reading.reset)));
    }
}

/// Writes both fields of these readings. A field that is there already stays.
fn write<'r>(readings: impl Iterator<Item = &'r Reading> + Clone, headers: &mut HeaderMap) {
    let (mut limits, mut policies) = (Line::default(), Line::default());
    for Reading { name, amount, window_secs, remaining, reset, partition } in readings {
        let partition = partition.map(Partition::of);
        limits.add(name, [(";r=", (*remaining).into()), (";t=", seconds_up(*reset))], partition.as_ref());
        policies.add(name, [(";q=", (*amount).into()), (";w=", *window_secs)], partition.as_ref());
    }
    for (name, line) in [(RATE_LIMIT, limits), (RATE_LIMIT_POLICY, policies)] {
        if let Some(value) = line.value() {
            headers.entry(name).or_insert(value);
        }
    }
}

/// The number of a count, as a byte sequence has it (RFC 9651 §3.3.5).
struct Partition([u8; 12]);

impl Partition {
    fn of(number: u64) -> Self {
        let mut text = [0; 12];
        // Eight bytes take twelve letters.
        let _ = STANDARD.encode_slice(number.to_be_bytes(), &mut text);
        Self(text)
    }
}

/// The text of a field, with room at hand for what most answers say.
struct Line {
    near: [u8; NEAR],
    length: usize,
    /// All of it, where that is more.
    far: Vec<u8>,
}

const NEAR: usize = 96;

impl Default for Line {
    fn default() -> Self {
        Self { near: [0; NEAR], length: 0, far: Vec::new() }
    }
}

impl Line {
    /// Adds an item of the list (RFC 9651 §3.1) with its parameters.
    fn add(&mut self, name: &str, parameters: [(&str, u64); 2], partition: Option<&Partition>) {
        self.push(if self.text().is_empty() { b"\"" } else { b", \"" });
        self.push(name.as_bytes());
        self.push(b"\"");
        for (parameter, number) in parameters {
            self.push(parameter.as_bytes());
            self.push_number(number);
        }
        if let Some(Partition(text)) = partition {
            self.push(b";pk=:");
            self.push(text);
            self.push(b":");
        }
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        if let Some(room) = self.near.get_mut(self.length..end).filter(|_| self.far.is_empty()) {
            room.copy_from_slice(part);
            self.length = end;
            return;
        }
        if self.far.is_empty() {
            self.far.extend(self.near.iter().take(self.length));
        }
        self.far.extend(part);
    }

    fn push_number(&mut self, number: u64) {
        // As many as a number of 64 bits can have.
        let mut digits = [b'0'; 20];
        let (mut rest, mut first) = (number, digits.len());
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            (rest, first) = (rest / 10, place);
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    fn text(&self) -> &[u8] {
        if self.far.is_empty() { self.near.get(..self.length).unwrap_or_default() } else { &self.far }
    }

    fn value(&self) -> Option<HeaderValue> {
        let text = self.text();
        if text.is_empty() { None } else { HeaderValue::from_bytes(text).ok() }
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
    fn fields_are_whole_however_long_and_say_every_number() {
        let most = Reading {
            amount: u32::MAX,
            window_secs: u64::MAX,
            remaining: 1_000,
            reset: Duration::from_secs(u64::MAX),
            ..ADDRESS
        };
        for count in [1, 2, 3, 7] {
            let headers = written(&vec![most; count]);
            let limits = vec![r#""address";r=1000;t=18446744073709551615"#; count].join(", ");
            let policies = vec![r#""address";q=4294967295;w=18446744073709551615"#; count].join(", ");
            assert_eq!(headers["ratelimit"], limits, "{count}");
            assert_eq!(headers["ratelimit-policy"], policies, "{count}");
        }
    }

    #[test]
    fn a_field_that_is_there_stays() {
        let mut standing = Standing::default();
        standing.pass(Stage::Early, Some(ADDRESS));
        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMIT, HeaderValue::from_static("own"));
        standing.write(&mut headers);
        assert_eq!(headers["ratelimit"], "own");
        assert_eq!(headers["ratelimit-policy"], r#""address";q=120;w=60"#);
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
