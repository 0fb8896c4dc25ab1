//! Where the feature `casbin` is off, no decision is compared: none of this can exist.

use std::future::Ready;
use std::marker::PhantomData;
use std::sync::Arc;

use portcullis_policy::{Decision, Request, Snapshot};

use crate::clock::Clock;
use crate::decision_id::DecisionId;
use crate::status::ComparisonStatus;

#[derive(Clone, Copy, Debug)]
pub(crate) enum OneIn {}

pub(crate) enum Comparison {}

#[derive(Clone, Copy)]
pub(crate) struct Compared<'a>(OneIn, PhantomData<&'a ()>);

impl Comparison {
    pub(crate) fn new(one_in: OneIn, _: Clock) -> Self {
        match one_in {}
    }

    pub(crate) const fn of<'a>(&'a self, _: &'a Arc<Snapshot>, _: DecisionId) -> Compared<'a> {
        match *self {}
    }

    pub(crate) const fn status(&self) -> ComparisonStatus {
        match *self {}
    }

    pub(crate) const fn spawn(&self) {
        match *self {}
    }

    pub(crate) const fn catch_up(&self) -> Ready<()> {
        match *self {}
    }
}

impl Compared<'_> {
    pub(crate) const fn note(self, _: &Request<'_>, _: Decision) {
        match self.0 {}
    }
}
