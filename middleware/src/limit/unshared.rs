//! Where the feature `redis` is off, nothing is shared: none of this can exist.

use std::future::Ready;
use std::num::NonZeroU32;

use super::Limit;
use super::local::{Left, Scope, Settled};

/// Where counts are shared.
pub(super) enum Sharing {}

impl Sharing {
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

/// That nobody can count.
pub(super) enum Uncounted {}

/// A count that is shared.
pub(super) enum Shared {}

impl Shared {
    pub(super) const fn new(_: &Limit, _: Scope<'_>, sharing: &Sharing) -> Option<Self> {
        match *sharing {}
    }

    pub(super) const fn take(&self, _: u128, _: NonZeroU32) -> Option<Result<Settled, Uncounted>> {
        match *self {}
    }

    pub(super) const fn borrow(&self, _: u128, _: NonZeroU32) -> Ready<Result<Settled, Uncounted>> {
        match *self {}
    }

    pub(super) const fn is_closed(&self) -> bool {
        match *self {}
    }

    pub(super) const fn drain(&self, _: u128, _: u32) -> Option<Left> {
        match *self {}
    }
}
