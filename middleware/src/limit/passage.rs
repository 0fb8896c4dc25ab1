//! The limits that a request passes on its way to a route.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::fields::Standing;
use super::key::{Counted, Stage};
use super::limiter::{Halt, Limiter};
use crate::token::Principal;

/// The limits of a route, and what a request there costs.
#[derive(Clone)]
pub(crate) struct Passage {
    early: Box<[Toll]>,
    late: Box<[Toll]>,
    route: Box<str>,
    /// What a guess at a token costs beside the request.
    surcharge: u32,
}

#[derive(Clone)]
struct Toll {
    limiter: Arc<Limiter>,
    cost: NonZeroU32,
}

/// What a guess costs, until it is known whether there was one.
pub(crate) struct Fine<'p> {
    passage: &'p Passage,
    address: Option<IpAddr>,
    is_due: bool,
}

impl Fine<'_> {
    /// Somebody waited for the answer, and is judged by it.
    pub(crate) fn waive(fine: Option<Self>) {
        if let Some(mut fine) = fine {
            fine.is_due = false;
        }
    }
}

impl Drop for Fine<'_> {
    fn drop(&mut self) {
        if self.is_due {
            // Nobody is there any more to be told how they stand.
            self.passage.charge_guess(self.address, &mut Standing::default());
        }
    }
}

impl Passage {
    /// Through these limits, at this cost. The ones that come back soonest are spent first: whoever asks too often in a minute
    /// does not lose a month for it. Those that strangers share come last: whoever has nothing left takes nothing from others.
    pub(super) fn new(
        limiters: impl IntoIterator<Item = Arc<Limiter>>,
        route: &str,
        cost: NonZeroU32,
        surcharge: u32,
    ) -> Self {
        let mut limiters: Vec<_> = limiters.into_iter().collect();
        limiters.sort_by_key(|limiter| (limiter.key().is_among_strangers(), limiter.limit().quota().span()));
        let (early, late): (Vec<_>, Vec<_>) = limiters
            .into_iter()
            .map(|limiter| Toll { cost: limiter.affordable(cost), limiter })
            .partition(|toll| toll.limiter.key().stage() == Stage::Early);
        Self { early: early.into(), late: late.into(), route: route.into(), surcharge }
    }

    /// Whether a request whose address is not known cannot be counted.
    pub(crate) fn needs_address(&self) -> bool {
        self.early.iter().chain(&self.late).any(|toll| toll.limiter.key().counts_addresses())
    }

    /// Spends the limits of a stage that are not behind the request yet.
    pub(crate) fn spend(
        &self,
        stage: Stage,
        address: Option<IpAddr>,
        caller: Option<&Principal>,
        standing: &mut Standing,
    ) -> Result<(), Halt> {
        let who = Counted { address, caller, route: &self.route };
        for toll in self.of(stage).iter().skip(standing.passed(stage)) {
            let reading = toll.limiter.spend(who, toll.cost)?;
            standing.pass(stage, reading);
        }
        Ok(())
    }

    /// Makes a guess at a token cost more.
    pub(crate) fn charge_guess(&self, address: Option<IpAddr>, standing: &mut Standing) {
        let who = Counted { address, caller: None, route: &self.route };
        for toll in &self.early {
            if let Some(left) = toll.limiter.drain(who, self.surcharge) {
                standing.amend(toll.limiter.limit().name(), left.remaining, left.reset);
            }
        }
    }

    /// A guess that is charged unless it turns out to be none: whoever hangs up meanwhile had the issuer asked all the same.
    pub(crate) const fn fine(&self, address: Option<IpAddr>) -> Fine<'_> {
        Fine { passage: self, address, is_due: true }
    }

    const fn of(&self, stage: Stage) -> &[Toll] {
        match stage {
            Stage::Early => &self.early,
            Stage::Late => &self.late,
        }
    }
}
