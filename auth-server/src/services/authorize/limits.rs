//! How many browser flows one network may begin: each is a row, kept until it expires, that anybody can ask for.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::clock::Clock;
use crate::domain::secret::{Digest32, Entropy};
use crate::services::buckets::{Buckets, Key, network_of};

/// Cells of a table: a megabyte in all.
const BITS: u32 = 15;

/// Counts flows per network.
#[derive(Clone)]
pub(crate) struct FlowLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    begun: Buckets,
    /// By handle: it lives for less than the hour in which one is taken.
    opened: Buckets,
}

impl FlowLimits {
    pub(crate) fn new(limits: &Limits, clock: &Clock, entropy: &Entropy) -> Self {
        let most = NonZeroU32::new(limits.flows_per_address_per_minute).unwrap_or(NonZeroU32::MIN);
        let begun = Buckets::new(Quota::per_minute(most), BITS, clock);
        let opened = Buckets::new(Quota::per_hour(NonZeroU32::MIN), BITS, clock);
        Self(Arc::new(Inner { seed: entropy.bytes(), begun, opened }))
    }

    /// Counts a flow, or says how long to wait.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let key = Key::new(&self.0.seed, b'i', &[&network_of(address)]);
        self.0.begun.take(key, NonZeroU32::MIN)
    }

    /// The same for a request that was counted when it was pushed: that counted for the first flow, and who comes back begins another.
    pub(crate) fn admit_counted(&self, handle: &Digest32, address: IpAddr) -> Result<(), Duration> {
        let key = Key::new(&self.0.seed, b'h', &[handle.as_bytes()]);
        self.0.opened.take(key, NonZeroU32::MIN).or_else(|_| self.admit(address))
    }
}
