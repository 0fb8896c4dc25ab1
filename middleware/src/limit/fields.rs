//! What a response says about limits: the IETF `RateLimit` fields and `Retry-After`.

use std::fmt::{self, Write};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Quota;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A request that a limit let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) name: &'static str,
    pub(crate) quota: Quota,
    pub(crate) remaining: u32,
}

/// A request that a limit refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exceeded {
    pub(crate) name: &'static str,
    pub(crate) quota: Quota,
    pub(crate) retry_after: Duration,
}

/// Where a request stands with the limits that it passed: at most two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing([Option<Spent>; 2]);

impl Standing {
    pub(crate) fn push(&mut self, spent: Spent) {
        if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(spent);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Spent> {
        self.0.iter().flatten()
    }

    /// Adds the fields to a response. A field that the handler wrote itself stays.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut lines = Lines::default();
        for spent in self.iter() {
            lines.add(spent.name, spent.quota, spent.remaining, spent.full_after());
        }
        lines.write(headers);
    }
}

impl Spent {
    /// How long until the whole burst is there again.
    fn full_after(&self) -> Duration {
        let interval = self.quota.period.checked_div(self.quota.amount).unwrap_or_default();
        interval.saturating_mul(self.quota.burst.saturating_sub(self.remaining))
    }
}

impl Exceeded {
    /// Adds the fields of a refusal.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut lines = Lines::default();
        lines.add(self.name, self.quota, 0, self.retry_after);
        lines.write(headers);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds_up(self.retry_after)));
    }
}

#[derive(Default)]
struct Lines {
    limits: String,
    policies: String,
}

impl Lines {
    fn add(&mut self, name: &str, quota: Quota, remaining: u32, reset: Duration) {
        let comma = if self.limits.is_empty() { "" } else { ", " };
        let Quota { amount, period, .. } = quota;
        let write = |out: &mut String, text: fmt::Arguments<'_>| {
            out.write_fmt(text).is_ok() // writing to a string cannot fail
        };
        write(&mut self.limits, format_args!("{comma}\"{name}\";r={remaining};t={}", seconds_up(reset)));
        write(&mut self.policies, format_args!("{comma}\"{name}\";q={amount};w={}", period.as_secs()));
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

/// Whole seconds, rounded up, at least one: a client that waits so long is let through.
fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota::per_minute(120).burst(40);

    #[test]
    fn a_response_names_every_limit_that_it_passed() {
        let mut standing = Standing::default();
        standing.push(Spent { name: "address", quota: QUOTA, remaining: 39 });
        standing.push(Spent { name: "identity", quota: Quota::per_second(5), remaining: 0 });
        let mut headers = HeaderMap::new();
        standing.write(&mut headers);
        assert_eq!(headers["ratelimit"], r#""address";r=39;t=1, "identity";r=0;t=1"#);
        assert_eq!(headers["ratelimit-policy"], r#""address";q=120;w=60, "identity";q=5;w=1"#);
    }

    #[test]
    fn no_limit_adds_no_field() {
        let mut headers = HeaderMap::new();
        Standing::default().write(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn retry_after_is_rounded_up_to_at_least_a_second() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let mut headers = HeaderMap::new();
            Exceeded { name: "address", quota: QUOTA, retry_after: Duration::from_millis(millis) }
                .write(&mut headers);
            assert_eq!(headers["retry-after"], seconds);
        }
    }
}
