//! How often those who are not signed in may have letters written, and try what is in them.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one, network_of, region_of};

/// So many sign-ins may be tried for each of these.
const SIGN_INS: u32 = 6;
/// How much the networks of one region have together.
const REGION_NETWORKS: NonZeroU32 = at_least_one(4);
const BITS: u32 = 13;

/// Counts per network, and per region of many.
#[derive(Clone)]
pub(crate) struct LetterLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    network: Buckets,
    region: Buckets,
}

impl LetterLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        let each = at_least_one(limits.login_per_address_per_minute / SIGN_INS);
        Self(Arc::new(Inner {
            seed: entropy.bytes(),
            network: Buckets::new(Quota::per_minute(each), BITS, clock),
            region: Buckets::new(Quota::per_minute(each.saturating_mul(REGION_NETWORKS)), BITS, clock),
        }))
    }

    /// Counts one, or says how long to wait.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let Inner { seed, network, region } = &*self.0;
        network.take(Key::new(seed, b'n', &[&network_of(address)]), NonZeroU32::MIN)?;
        match region_of(address) {
            Some(place) => region.take(Key::new(seed, b'r', &[&place]), NonZeroU32::MIN),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;

    #[test]
    fn a_network_and_a_region_of_many_networks_are_held() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits { login_per_address_per_minute: 60, ..Limits::default() };
        let limits = LetterLimits::new(&settings, &clock, &Entropy::seeded(1));
        let admitted = |addresses: &dyn Fn(u32) -> String| {
            (0..500).filter(|n| limits.admit(addresses(*n).parse().unwrap()).is_ok()).count()
        };
        assert_eq!(admitted(&|_| "192.0.2.1".to_owned()), 10);
        assert_eq!(admitted(&|n| format!("2001:db8::{n:x}")), 10, "one household");
        assert_eq!(admitted(&|n| format!("2001:db8:1:{n:x}::1")), 40);
        clock.advance(Duration::from_secs(6));
        assert_eq!(admitted(&|_| "192.0.2.1".to_owned()), 1);
    }
}
