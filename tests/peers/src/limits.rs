//! Limits by address: the guard beside tower_governor.

use axum::Router;

use crate::apps;
use crate::calls::REQUESTS;
use crate::cost::{Table, of};

/// Addresses that the limits tell apart.
const ADDRESSES: u32 = 100_000;

const GUARD: &str = "limit by address: guard, all it does, RateLimit fields";
const IDLE: &str = "no limit: guard, public route";
const GOVERNOR: &str = "limit by address: tower_governor, x-ratelimit fields";
const GOVERNOR_BARE: &str = "limit by address: tower_governor, no fields";

pub(crate) struct Limiters {
    guard: Router,
    idle: Router,
    governor: Router,
    governor_bare: Router,
}

impl Limiters {
    pub(crate) async fn new() -> Self {
        let (guard, idle) = (apps::limited(1_000_000).await, apps::unlimited().await);
        Self { guard, idle, governor: apps::governor(), governor_bare: apps::governor_without_fields() }
    }

    pub(crate) async fn round(&self, floor: f64, table: &mut Table) {
        // Far apart, so that no cache of the processor helps more than it does in a service.
        let from = |n: usize| apps::from((n as u32 * 7_919) % ADDRESSES);
        table.add(GUARD, of(&self.guard, REQUESTS, from).await - floor);
        table.add(IDLE, of(&self.idle, REQUESTS, from).await - floor);
        table.add(GOVERNOR, of(&self.governor, REQUESTS, from).await - floor);
        table.add(GOVERNOR_BARE, of(&self.governor_bare, REQUESTS, from).await - floor);
    }

    pub(crate) fn hold(table: &mut Table) {
        let [fields, bare] = [GOVERNOR, GOVERNOR_BARE].map(|governor| table.ratio(GUARD, governor));
        table.hold(
            "limit by address, beside tower_governor with fields",
            fields,
            1.0,
            "ratio; all that the guard does",
        );
        table.hold("limit by address, beside tower_governor without fields", bare, 1.0, "the same");
        let limit = table.median(GUARD) - table.median(IDLE);
        let at_most = table.median(GOVERNOR);
        table.hold(
            "limit alone",
            limit,
            at_most,
            "us; tower_governor with fields. The guard less one without a limit",
        );
    }
}
