//! How often those who are not signed in may have letters written, and try what is in them.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Limits;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::network_limits::NetworkLimits;

/// So many sign-ins may be tried for each of these.
const SIGN_INS: u32 = 6;
/// Cells of a table.
const BITS: u32 = 13;

/// Counts per network, and per region of many.
#[derive(Clone)]
pub(crate) struct LetterLimits(NetworkLimits);

impl LetterLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        Self(NetworkLimits::new(limits.login_per_address_per_minute / SIGN_INS, BITS, clock, entropy))
    }

    /// Counts one, or says how long to wait.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        self.0.admit(address)
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
