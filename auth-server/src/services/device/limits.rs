//! How often somebody may type the code of a device ([RFC 8628 §5.1](https://www.rfc-editor.org/rfc/rfc8628#section-5.1)).
//!
//! A code has 34 bits and lives for minutes. Tries are counted for the network, for the customer of a provider that the network is
//! of, for the browser and for the account; who is out of tries anywhere waits. Wrong codes of all are counted together: while there
//! are more than a server normally sees, each try costs its network several, so that guessers who come from many networks get less
//! far, and nobody is shut out by them.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one, network_of, region_of};
use crate::services::visit::Visit;

/// Cells for networks and browsers: half a megabyte for each limit.
const BITS: u32 = 15;
/// Tries that one browser and one account have at once, and then in a minute.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
/// How many networks' worth of tries the networks of one region have together.
const REGION_NETWORKS: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// Tries that one try costs its network while many codes are wrong.
const STORM_COST: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// Networks' worth of wrong codes in a minute that make a storm.
const STORM_NETWORKS: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
/// How long a storm lasts after its last gust.
const STORM: Duration = Duration::from_mins(1);

/// The limits and their counters.
#[derive(Clone)]
pub(crate) struct CodeLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    clock: Clock,
    network: Buckets,
    region: Buckets,
    person: Buckets,
    wrong: Buckets,
    storm_until: AtomicI64,
}

impl CodeLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        let per_network = at_least_one(limits.login_per_address_per_minute);
        let per_person = at_least_one(limits.login_per_account_per_minute);
        // In a storm one try costs several: it has to fit into what one network has at once.
        let at_once = at_least_one(per_network.get() / 3).max(STORM_COST);
        let network = Quota::per_minute(per_network).allow_burst(at_once);
        let region = Quota::per_minute(per_network.saturating_mul(REGION_NETWORKS))
            .allow_burst(at_once.saturating_mul(REGION_NETWORKS));
        let person = Quota::per_minute(per_person)
            .allow_burst(per_person.min(AT_ONCE).max(at_least_one(per_person.get() / 12)));
        let wrong = Quota::per_minute(per_network.saturating_mul(STORM_NETWORKS));
        Self(Arc::new(Inner {
            seed: entropy.bytes(),
            network: Buckets::new(network, BITS, clock),
            region: Buckets::new(region, BITS, clock),
            person: Buckets::new(person, BITS, clock),
            wrong: Buckets::new(wrong, 0, clock),
            storm_until: AtomicI64::new(0),
            clock: clock.clone(),
        }))
    }

    /// Counts a try, or says how long to wait. The network first: what it refuses uses up nothing else.
    pub(super) fn admit(&self, visit: &Visit) -> Result<(), Duration> {
        let browser = visit.browser.digest();
        self.admit_from(visit.address)?;
        self.take_person(b'b', browser.as_bytes())?;
        match &visit.session {
            Some(live) => self.take_person(b'u', live.user.id.as_str().as_bytes()),
            None => Ok(()),
        }
    }

    fn admit_from(&self, address: IpAddr) -> Result<(), Duration> {
        let Inner { seed, network, region, .. } = &*self.0;
        let cost = self.cost();
        network.take(Key::new(seed, b'n', &[&network_of(address)]), cost)?;
        region_of(address).map_or(Ok(()), |place| region.take(Key::new(seed, b'r', &[&place]), cost))
    }

    fn take_person(&self, kind: u8, name: &[u8]) -> Result<(), Duration> {
        self.0.person.take(Key::new(&self.0.seed, kind, &[name]), NonZeroU32::MIN)
    }

    /// Counts a wrong code.
    pub(super) fn was_wrong(&self) {
        let Inner { seed, clock, wrong, storm_until, .. } = &*self.0;
        if wrong.take(Key::new(seed, b'w', &[]), NonZeroU32::MIN).is_ok() {
            return;
        }
        let before = storm_until.swap(clock.now().plus(STORM).as_micros(), Ordering::AcqRel);
        if Timestamp::from_micros(before) < clock.now() {
            tracing::warn!("many codes of devices are wrong: each try now costs its network more");
        }
    }

    fn cost(&self) -> NonZeroU32 {
        let until = Timestamp::from_micros(self.0.storm_until.load(Ordering::Acquire));
        if self.0.clock.now() < until { STORM_COST } else { NonZeroU32::MIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::{OpaqueToken, TokenKind};

    fn limits() -> (CodeLimits, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits {
            login_per_address_per_minute: 60,
            login_per_account_per_minute: 10,
            ..Limits::default()
        };
        (CodeLimits::new(&settings, &clock, &Entropy::seeded(1)), clock)
    }

    fn visit(address: &str, browser: u64) -> Visit {
        let browser = OpaqueToken::generate(TokenKind::Browser, &Entropy::seeded(browser));
        Visit {
            browser,
            session: None,
            address: address.parse().unwrap(),
            now: Timestamp::from_secs(1_000_000),
        }
    }

    fn admitted(limits: &CodeLimits, visits: impl Iterator<Item = Visit>) -> usize {
        visits.filter(|visit| limits.admit(visit).is_ok()).count()
    }

    #[test]
    fn one_browser_has_five_tries_wherever_it_comes_from() {
        let (limits, clock) = limits();
        assert_eq!(admitted(&limits, (0..20).map(|n| visit(&format!("192.0.2.{n}"), 1))), 5);
        clock.advance(Duration::from_secs(6));
        assert_eq!(admitted(&limits, (0..2).map(|_| visit("192.0.2.99", 1))), 1);
    }

    #[test]
    fn one_network_and_one_region_have_an_end_however_many_browsers_they_have() {
        let (limits, _clock) = limits();
        assert_eq!(admitted(&limits, (0..100).map(|n| visit("192.0.2.1", n))), 20);
        let region = |n: u64| visit(&format!("2001:db8:1:{n:x}::1"), 1_000 + n);
        assert_eq!(admitted(&limits, (0..1_000).map(region)), 80);
    }

    #[test]
    fn while_many_codes_are_wrong_each_try_costs_more() {
        let (limits, clock) = limits();
        for _ in 0..301 {
            limits.was_wrong();
        }
        assert_eq!(admitted(&limits, (0..100).map(|n| visit("198.51.100.2", n))), 5);
        clock.advance(STORM + Duration::from_secs(1));
        assert_eq!(admitted(&limits, (100..200).map(|n| visit("198.51.100.3", n))), 20);
    }
}
