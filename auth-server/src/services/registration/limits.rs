//! How often one network may have a client made or a document fetched.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, network_of, region_of};

/// Cells of a table: half a megabyte in all.
const BITS: u32 = 15;
/// How many networks of one provider's customer may do it at once.
const NETWORKS: u32 = 4;

/// Counts per network.
#[derive(Clone)]
pub(crate) struct ArrivalLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    networks: Buckets,
    regions: Buckets,
}

impl ArrivalLimits {
    pub(crate) fn new(per_minute: u32, clock: &Clock, entropy: &Entropy) -> Self {
        let buckets = |most: u32| {
            let most = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
            Buckets::new(Quota::per_minute(most), BITS, clock)
        };
        let (networks, regions) = (buckets(per_minute), buckets(per_minute.saturating_mul(NETWORKS)));
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
        let limits = ArrivalLimits::new(2, &clock, &Entropy::seeded(1));
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
