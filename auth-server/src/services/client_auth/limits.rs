//! How often a client may fail to authenticate from one network before it is told to slow down, and how many tokens it may
//! ask for.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::client::Client;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, network_of};

/// Cells of a table: half a megabyte in all.
const BITS: u32 = 15;

/// Counts failures per client and network.
#[derive(Clone)]
pub(crate) struct ClientLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    failures: Buckets,
    tokens: Buckets,
}

impl ClientLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        let most = NonZeroU32::new(limits.client_failures_per_address_per_minute).unwrap_or(NonZeroU32::MIN);
        let failures = Buckets::new(Quota::per_minute(most), BITS, clock);
        let most = NonZeroU32::new(limits.token_per_client_per_minute).unwrap_or(NonZeroU32::MIN);
        let tokens = Buckets::new(Quota::per_minute(most), BITS, clock);
        Self(Arc::new(Inner { seed: entropy.bytes(), failures, tokens }))
    }

    /// Counts a token request, or says how long to wait. A client without a secret is counted for each network: anybody can
    /// name it, and must not use up what others may ask for. So is one whose assertion may be a copy: it is `proven` once that is used up.
    pub(crate) fn admit(&self, client: &Client, address: IpAddr, proven: bool) -> Result<(), Duration> {
        let network = if client.is_confidential() && proven { Vec::new() } else { network_of(address) };
        let parts = [client.id.as_str().as_bytes(), b" ", &network];
        self.0.tokens.take(Key::new(&self.0.seed, b't', &parts), NonZeroU32::MIN)
    }

    /// Counts a failure, and says whether there were too many.
    pub(crate) fn is_exceeded(&self, client_id: &str, address: IpAddr) -> bool {
        let parts = [client_id.as_bytes(), b" ", &network_of(address)];
        self.0.failures.take(Key::new(&self.0.seed, b'c', &parts), NonZeroU32::MIN).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_authentication::{ClientAuthentication, ClientSecret};
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::ClientId;
    use crate::domain::secret::Digest32;

    #[test]
    fn failures_of_one_client_from_one_network_are_counted_together() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits { client_failures_per_address_per_minute: 3, ..Limits::default() };
        let limits = ClientLimits::new(&settings, &clock, &Entropy::seeded(1));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!((0..3).all(|_| !limits.is_exceeded("a", one)));
        assert!(limits.is_exceeded("a", one));
        assert!(!limits.is_exceeded("a", other), "another network has its own count");
        assert!(!limits.is_exceeded("b", one), "so has another client");
        clock.advance(Duration::from_secs(20));
        assert!(!limits.is_exceeded("a", one));
    }

    #[test]
    fn a_client_that_anybody_can_name_is_counted_for_each_network() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits { token_per_client_per_minute: 2, ..Limits::default() };
        let limits = ClientLimits::new(&settings, &clock, &Entropy::seeded(1));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let public = Client::sample();
        let wait = Err(Duration::from_secs(30));
        assert_eq!([(); 3].map(|()| limits.admit(&public, one, true)), [Ok(()), Ok(()), wait]);
        assert_eq!(limits.admit(&public, other, true), Ok(()));
        let secret = ClientSecret { digest: Digest32::of(b"x"), created_at: Timestamp::from_secs(1) };
        let secret = ClientAuthentication::secret(secret);
        let id = ClientId::generate(Timestamp::from_secs(2), &Entropy::seeded(2));
        let confidential = Client { id, authentication: secret, ..Client::sample() };
        let answers = [one, other, other].map(|address| limits.admit(&confidential, address, true));
        assert_eq!(answers, [Ok(()), Ok(()), wait], "a client with a secret has one count");
        let answers = [one, one, one, other].map(|address| limits.admit(&confidential, address, false));
        assert_eq!(
            answers,
            [Ok(()), Ok(()), wait, Ok(())],
            "copies of what it signed take nothing from it elsewhere"
        );
    }
}
