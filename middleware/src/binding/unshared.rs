//! Where the feature `redis` is off, each replica is alone: none of this can exist.

use std::future::Ready;

use super::replay::Name;
use super::{BindingFault, Instant};

/// Where used proofs are shared.
pub(super) enum Shared {}

impl Shared {
    pub(super) const fn claim(&self, _: Name, _: Instant) -> Result<Option<Claim>, BindingFault> {
        match *self {}
    }

    pub(super) const fn serves(&self) -> bool {
        match *self {}
    }

    pub(super) const fn is_up(&self) -> bool {
        match *self {}
    }

    pub(super) const fn refresh(&self) -> Ready<()> {
        match *self {}
    }

    pub(super) const fn spawn_refresh(&self) {
        match *self {}
    }
}

/// A proof that is to be taken elsewhere.
pub(crate) enum Claim {}

impl Claim {
    pub(crate) const fn settle(self) -> Ready<Result<(), BindingFault>> {
        match self {}
    }
}
