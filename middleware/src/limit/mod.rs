//! Rate limits: one by the address of the client, one by the identity of the caller.

mod fields;
mod store;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use foldhash::quality::RandomState;
use governor::RateLimiter;
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;

use crate::clock::Clock;
use crate::token::Principal;
pub(crate) use fields::{Exceeded, Spent, Standing};
use store::BoundedStore;

/// How many keys each limit remembers, unless told otherwise.
const DEFAULT_MAX_KEYS: usize = 65_536;

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    amount: u32,
    period: Duration,
    burst: u32,
}

impl Quota {
    /// `amount` requests a second.
    pub const fn per_second(amount: u32) -> Self {
        Self::new(amount, Duration::from_secs(1))
    }

    /// `amount` requests a minute.
    pub const fn per_minute(amount: u32) -> Self {
        Self::new(amount, Duration::from_mins(1))
    }

    /// `amount` requests an hour.
    pub const fn per_hour(amount: u32) -> Self {
        Self::new(amount, Duration::from_hours(1))
    }

    /// How many of them may come at once: all of them, unless set.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    const fn new(amount: u32, period: Duration) -> Self {
        Self { amount, period, burst: amount }
    }
}

/// The limits of a guard: none, unless set.
#[derive(Clone, Debug)]
pub struct Limits {
    by_address: Option<Quota>,
    by_identity: Option<Quota>,
    max_keys: usize,
}

/// A quota that lets nothing through.
#[derive(Debug, thiserror::Error)]
#[error("a quota of zero requests lets nothing through")]
pub struct EmptyQuota;

impl Limits {
    /// No limits.
    pub const fn new() -> Self {
        Self { by_address: None, by_identity: None, max_keys: DEFAULT_MAX_KEYS }
    }

    /// Limits each client address (each /64 network of IPv6), before anything is spent on its token.
    ///
    /// The guard needs to know the address: serve the router with
    /// `into_make_service_with_connect_info::<SocketAddr>()`. Requests without one are answered 503.
    #[must_use]
    pub const fn by_address(mut self, quota: Quota) -> Self {
        self.by_address = Some(quota);
        self
    }

    /// Limits each caller: a subject at a client, as a verified token names them.
    #[must_use]
    pub const fn by_identity(mut self, quota: Quota) -> Self {
        self.by_identity = Some(quota);
        self
    }

    /// How many keys each limit remembers: 65,536 unless set, at about 80 bytes each.
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    pub(crate) fn build(&self, clock: &Clock) -> Result<Limiters, EmptyQuota> {
        let limiter = |name, quota: Option<Quota>| {
            quota.map(|quota| Limiter::new(name, quota, self.max_keys, clock)).transpose()
        };
        Ok(Limiters {
            address: limiter("address", self.by_address)?,
            identity: limiter("identity", self.by_identity)?,
            hashers: [RandomState::default(), RandomState::default()],
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// The limits at work.
pub(crate) struct Limiters {
    address: Option<Limiter>,
    identity: Option<Limiter>,
    hashers: [RandomState; 2],
}

impl Limiters {
    pub(crate) const fn needs_address(&self) -> bool {
        self.address.is_some()
    }

    pub(crate) fn spend_address(&self, address: IpAddr, standing: &mut Standing) -> Result<(), Exceeded> {
        let Some(limiter) = &self.address else { return Ok(()) };
        standing.push(limiter.spend(address_key(address))?);
        Ok(())
    }

    pub(crate) fn spend_identity(&self, who: &Principal, standing: &mut Standing) -> Result<(), Exceeded> {
        let Some(limiter) = &self.identity else { return Ok(()) };
        let identity = (who.issuer(), who.subject(), who.client_id());
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(identity)));
        standing.push(limiter.spend(high << 64 | low)?);
        Ok(())
    }
}

/// An IPv6 client owns a /64 at the least, and would otherwise have 2^64 buckets.
fn address_key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

struct Limiter {
    name: &'static str,
    quota: Quota,
    governor: RateLimiter<u128, BoundedStore, Steady, StateInformationMiddleware>,
    clock: Steady,
}

impl Limiter {
    fn new(name: &'static str, quota: Quota, max_keys: usize, clock: &Clock) -> Result<Self, EmptyQuota> {
        let burst = NonZeroU32::new(quota.burst).ok_or(EmptyQuota)?;
        let interval = quota.period.checked_div(quota.amount).ok_or(EmptyQuota)?;
        let rate = governor::Quota::with_period(interval).ok_or(EmptyQuota)?.allow_burst(burst);
        let clock = Steady(clock.clone());
        let governor = RateLimiter::new(rate, BoundedStore::new(max_keys), clock.clone());
        Ok(Self { name, quota, governor, clock })
    }

    fn spend(&self, key: u128) -> Result<Spent, Exceeded> {
        let Self { name, quota, .. } = *self;
        match self.governor.check_key(&key) {
            Ok(state) => Ok(Spent { name, quota, remaining: state.remaining_burst_capacity() }),
            Err(until) => Err(Exceeded { name, quota, retry_after: until.wait_time_from(self.clock.now()) }),
        }
    }
}

/// The steady hand of the guard's clock, as the limiter wants to see it.
#[derive(Clone)]
struct Steady(Clock);

impl governor::clock::Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.steady()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn dial() -> (Clock, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(1_000_000));
        let hand = Arc::clone(&millis);
        (Clock::from_fn(move || Duration::from_millis(hand.load(Ordering::Relaxed))), millis)
    }

    fn spend(limiters: &Limiters, address: &str) -> Result<u32, Exceeded> {
        let mut standing = Standing::default();
        limiters.spend_address(address.parse().unwrap(), &mut standing)?;
        Ok(standing.iter().next().unwrap().remaining)
    }

    #[test]
    fn a_burst_is_spent_and_refills_with_the_clock() {
        let (clock, millis) = dial();
        let limits = Limits::new().by_address(Quota::per_minute(60).burst(3)).build(&clock).unwrap();
        assert_eq!([2, 1, 0], [(); 3].map(|()| spend(&limits, "192.0.2.1").unwrap()));
        let refused = spend(&limits, "192.0.2.1").unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert_eq!(spend(&limits, "192.0.2.2").unwrap(), 2, "another address has its own bucket");
        millis.fetch_add(1_000, Ordering::Relaxed);
        assert_eq!(spend(&limits, "192.0.2.1").unwrap(), 0);
    }

    #[test]
    fn an_ipv6_network_shares_a_bucket_and_a_mapped_address_is_ipv4() {
        let (clock, _) = dial();
        let limits = Limits::new().by_address(Quota::per_minute(60).burst(2)).build(&clock).unwrap();
        assert_eq!(spend(&limits, "2001:db8::1").unwrap(), 1);
        assert_eq!(spend(&limits, "2001:db8::ffff:2").unwrap(), 0);
        assert_eq!(spend(&limits, "2001:db8:0:1::1").unwrap(), 1);
        assert_eq!(spend(&limits, "192.0.2.1").unwrap(), 1);
        assert_eq!(spend(&limits, "::ffff:192.0.2.1").unwrap(), 0);
    }

    #[test]
    fn an_empty_quota_is_refused() {
        let (clock, _) = dial();
        for quota in [Quota::per_second(0), Quota::per_second(1).burst(0)] {
            for limits in [Limits::new().by_address(quota), Limits::new().by_identity(quota)] {
                assert!(limits.build(&clock).is_err(), "{quota:?}");
            }
        }
    }
}
