//! What stands for sign-ins and sessions where there are none: nobody can have any of it.

use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Response};

use crate::body::Body;
use crate::login_ground::LoginGround;
use crate::policy::Surroundings;
use crate::refusal::{Outage, Refusal};
use crate::status::StoreState;
use crate::token::{NotAHostCookie, Principal, Sharing, TokenFault};

#[derive(Clone)]
pub(crate) struct Sessions(Infallible);

#[derive(Debug)]
pub(crate) struct Login(Infallible);

pub(crate) struct Ticket(Infallible);

pub(crate) struct Found(Infallible);

pub(crate) struct Visit(Infallible);

pub(crate) struct Way(Infallible);

#[expect(dead_code, reason = "nobody sends one")]
pub(crate) enum Sent {
    Nobody,
    Known(Arc<Visit>),
    Unknown(Ticket),
}

impl Login {
    /// The error is any that a builder has.
    pub(crate) fn build(
        self,
        _: &mut Surroundings<'_>,
        _: &LoginGround<'_>,
    ) -> Result<Sessions, NotAHostCookie> {
        match self.0 {}
    }
}

impl Sessions {
    pub(crate) fn sent(&self, _: &Parts) -> Option<Sent> {
        match self.0 {}
    }

    pub(crate) fn note(&self, _: &mut Parts, _: Found) -> Result<(), Outage> {
        match self.0 {}
    }

    pub(crate) fn again(&self, _: &Visit, _: TokenFault) -> Option<Ticket> {
        match self.0 {}
    }

    pub(crate) fn anew(&self, _: &Visit, _: bool) -> Ticket {
        match self.0 {}
    }

    pub(crate) fn is_of(&self, _: &Visit, _: &Principal) -> bool {
        match self.0 {}
    }

    pub(crate) fn have_ended(&self, _: &Arc<Visit>) -> bool {
        match self.0 {}
    }

    pub(crate) fn forget(_: &mut Parts) {}

    pub(crate) fn sharing(&self, _: &HeaderMap) -> Sharing {
        match self.0 {}
    }

    pub(crate) fn way(&self, _: &Parts) -> Option<Way> {
        match self.0 {}
    }

    pub(crate) fn state(&self) -> StoreState {
        match self.0 {}
    }

    pub(crate) fn refresh(&self) -> Ready<()> {
        match self.0 {}
    }

    pub(crate) fn spawn_refresh(&self) {
        match self.0 {}
    }
}

impl Ticket {
    pub(crate) fn settle(self) -> Ready<Found> {
        match self.0 {}
    }
}

impl Found {
    pub(crate) fn visit(self) -> Result<Option<Arc<Visit>>, Outage> {
        match self.0 {}
    }
}

impl Visit {
    pub(crate) fn token(&self) -> &str {
        match self.0 {}
    }
}

impl Way {
    pub(crate) fn leads(&self, _: &Refusal) -> Option<Response<Body>> {
        match self.0 {}
    }
}
