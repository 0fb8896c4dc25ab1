//! How often one network may do something that costs, whoever is there.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one, network_of, region_of};

/// How much the networks of one region have together, as a provider's customer may have many.
const REGION_NETWORKS: u32 = 4;

/// Counts per network, and per region of many.
#[derive(Clone)]
pub(crate) struct NetworkLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    networks: Buckets,
    regions: Buckets,
}

impl NetworkLimits {
    /// So many a minute, at least one, counted in tables of two to the power of `bits` cells.
    pub(crate) fn new(per_minute: u32, bits: u32, clock: &Clock, entropy: &Entropy) -> Self {
        let buckets = |most: u32| Buckets::new(Quota::per_minute(at_least_one(most)), bits, clock);
        let (networks, regions) = (buckets(per_minute), buckets(per_minute.saturating_mul(REGION_NETWORKS)));
        Self(Arc::new(Inner { seed: entropy.bytes(), networks, regions }))
    }

    /// Counts one, or says how long to wait.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let Inner { seed, networks, regions } = &*self.0;
        networks.take(Key::new(seed, b'n', &[&network_of(address)]), NonZeroU32::MIN)?;
        match region_of(address) {
            Some(region) => regions.take(Key::new(seed, b'r', &[&region]), NonZeroU32::MIN),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;

    #[test]
    fn a_network_and_a_customer_of_many_networks_have_their_share() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let limits = NetworkLimits::new(2, 13, &clock, &Entropy::seeded(1));
        let admitted = |address: &str| limits.admit(address.parse().unwrap()).is_ok();
        assert_eq!([(); 3].map(|()| admitted("192.0.2.1")), [true, true, false]);
        assert!(admitted("192.0.2.2"));
        let of_one = (0..20).filter(|network| admitted(&format!("2001:db8:1:{network:x}::1"))).count();
        assert_eq!(of_one, 8);
        assert!(admitted("2001:db8:2::1"));
        clock.advance(Duration::from_secs(30));
        assert!(admitted("192.0.2.1"));
    }
}
