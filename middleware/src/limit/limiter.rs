//! One limit at work.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::fields::{Exceeded, Reading};
use super::key::{Counted, Key, Numbering};
use super::local::{Left, Local, Scope, Settled, Short};
use super::quota::Period;
use super::{Limit, LimitError, Shared, Sharing, Uncounted};
use crate::clock::Clock;
use crate::token::Principal;

/// A limit at work.
pub(super) struct Limiter {
    limit: Limit,
    counter: Counter,
    ground: Arc<Ground>,
}

/// What the limits of a guard have in common.
pub(super) struct Ground {
    pub(super) numbering: Numbering,
    pub(super) shows_partitions: bool,
    pub(super) max_keys: usize,
    pub(super) clock: Clock,
    /// Where counts are shared with other replicas, if they are.
    pub(super) sharing: Option<Sharing>,
}

enum Counter {
    Local(Local),
    /// Counts nothing and lets nothing through.
    Closed,
    Shared(Arc<Shared>),
}

/// Why a request does not go on for now.
pub(crate) enum Halt {
    /// A limit that cannot be kept.
    Closed,
    Exceeded(Exceeded),
    /// Where it is shared cannot be reached.
    Uncounted,
    Wait(Loan),
}

impl From<Uncounted> for Halt {
    fn from(_: Uncounted) -> Self {
        Self::Uncounted
    }
}

/// What has to be asked for elsewhere before a request may go on.
pub(crate) struct Loan {
    limiter: Arc<Limiter>,
    shared: Arc<Shared>,
    number: u128,
    cost: NonZeroU32,
    /// Who is named in the log if there is too little.
    address: Option<IpAddr>,
    caller: Option<Principal>,
}

impl Limiter {
    pub(super) fn new(limit: Limit, ground: &Arc<Ground>) -> Result<Self, LimitError> {
        let scope = Scope { name: limit.name, max_keys: ground.max_keys, clock: &ground.clock };
        let counter = match &ground.sharing {
            None => Local::new(limit.quota, scope).map(Counter::Local),
            Some(sharing) => Shared::new(&limit, scope, sharing).map(Arc::new).map(Counter::Shared),
        };
        let counter = counter.ok_or(LimitError::Empty(limit.name))?;
        Ok(Self { limit, counter, ground: Arc::clone(ground) })
    }

    /// A limit that cannot be kept lets nothing through.
    pub(super) fn closed(limit: Limit, ground: &Arc<Ground>) -> Self {
        Self { limit, counter: Counter::Closed, ground: Arc::clone(ground) }
    }

    pub(super) const fn limit(&self) -> &Limit {
        &self.limit
    }

    pub(super) const fn key(&self) -> Key {
        self.limit.key
    }

    /// Whether it does not refuse all requests for now.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(&self.counter, Counter::Shared(shared) if shared.is_closed())
    }

    /// What a request costs that is to cost `cost`: never more than there can be.
    pub(super) fn affordable(&self, cost: NonZeroU32) -> NonZeroU32 {
        self.limit.quota.affordable(cost)
    }

    /// Counts a request; nothing comes back if the limit does not concern it, or concerns strangers too.
    pub(super) fn spend(
        self: &Arc<Self>,
        who: Counted<'_>,
        cost: NonZeroU32,
    ) -> Result<Option<Reading>, Halt> {
        let Some(number) = self.ground.numbering.number(self.limit.key, who) else { return Ok(None) };
        let quota = self.limit.quota;
        let settled = match &self.counter {
            Counter::Local(local) => Settled { outcome: local.spend(number, cost), quota },
            Counter::Closed => return Err(Halt::Closed),
            Counter::Shared(shared) => shared.take(number, cost).ok_or_else(|| {
                let (address, caller) = (who.address, who.caller.cloned());
                let (limiter, shared) = (Arc::clone(self), Arc::clone(shared));
                Halt::Wait(Loan { limiter, shared, number, cost, address, caller })
            })??,
        };
        self.told(number, settled, who.address, who.caller)
    }

    /// What a request that was counted is told. Whom a limit holds up is said at `debug`: strangers cause it as often as they like.
    fn told(
        &self,
        number: u128,
        settled: Settled,
        address: Option<IpAddr>,
        caller: Option<&Principal>,
    ) -> Result<Option<Reading>, Halt> {
        match self.read(number, settled) {
            Ok(reading) => Ok(self.shown(reading)),
            Err(exceeded) => {
                tracing::debug!(
                    limit = self.limit.name,
                    client.address = address.map(tracing::field::display),
                    subject = caller.map(Principal::subject),
                    "somebody is over a limit"
                );
                Err(Halt::Exceeded(exceeded))
            }
        }
    }

    fn shown(&self, reading: Reading) -> Option<Reading> {
        (!self.limit.key.is_among_strangers()).then_some(reading)
    }

    /// Takes more of what a request has spent already, as far as there is more.
    pub(super) fn drain(&self, who: Counted<'_>, most: u32) -> Option<Left> {
        let number = self.ground.numbering.number(self.limit.key, who)?;
        match &self.counter {
            Counter::Local(local) => local.drain(number, most),
            Counter::Closed => None,
            Counter::Shared(shared) => shared.drain(number, most),
        }
    }

    fn read(&self, number: u128, Settled { outcome, quota }: Settled) -> Result<Reading, Exceeded> {
        let (remaining, reset) = match outcome {
            Ok(Left { remaining, reset }) => (remaining, reset),
            Err(Short(wait)) => (0, wait),
        };
        let window_secs = match quota.period() {
            Period::Calendar(calendar) => calendar.window(self.ground.clock.unix_secs()).secs,
            Period::Rolling(period) => period.as_secs(),
        };
        let high = || u64::try_from(number >> 64).ok();
        let reading = Reading {
            name: self.limit.name,
            amount: quota.amount(),
            window_secs,
            remaining,
            reset,
            partition: self.ground.shows_partitions.then(high).flatten(),
        };
        match outcome {
            Ok(_) => Ok(reading),
            Err(_) => Err(Exceeded { reading, is_reduced: quota != self.limit.quota }),
        }
    }
}

impl Loan {
    /// Asks, and waits a few milliseconds at most.
    pub(crate) async fn settle(self) -> Result<Option<Reading>, Halt> {
        let Self { limiter, shared, number, cost, address, caller } = self;
        let settled = shared.borrow(number, cost).await?;
        limiter.told(number, settled, address, caller.as_ref())
    }
}
