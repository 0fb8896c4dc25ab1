//! What was decided about a request, under a name that logs, answers and people can share.

use std::sync::Arc;

use http::Method;

use crate::authorize::Grant;
use crate::decision_id::DecisionId;
use crate::token::Principal;

/// Why a request was let through: an extension of every request that reaches a handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    id: DecisionId,
    grant: Grant,
}

impl Decision {
    pub(crate) const fn new(id: DecisionId, grant: Grant) -> Self {
        Self { id, grant }
    }

    /// The name of the decision. Refusals carry theirs in the body.
    pub const fn id(&self) -> DecisionId {
        self.id
    }

    /// The revision of the policy that decided, if one was asked.
    pub const fn revision(&self) -> Option<u64> {
        self.grant.revision
    }

    /// The line of the rule that decided, in the text of the rules.
    pub fn rule_line(&self) -> Option<u32> {
        self.grant.rule.map(|rule| rule.line)
    }
}

/// Whom a request was refused to although the token was good, and what was missing: an extension of the response, for
/// an application that keeps a trail of such attempts.
#[derive(Clone, Debug)]
pub struct AccessDenied {
    pub(crate) denied: Denied,
    pub(crate) place: Option<Place>,
}

/// What was decided against whom.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    pub(crate) decision: Decision,
    pub(crate) needed: Arc<str>,
    pub(crate) principal: Principal,
}

/// Where a request was refused: the template of the route, where it is known, and the method.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) route: Option<Arc<str>>,
    pub(crate) method: Method,
}

impl Place {
    /// The method as `OpenTelemetry` names it: one that nobody knows could be any text.
    pub(crate) fn method_name(&self) -> &str {
        match self.method {
            Method::CONNECT
            | Method::DELETE
            | Method::GET
            | Method::HEAD
            | Method::OPTIONS
            | Method::PATCH
            | Method::POST
            | Method::PUT
            | Method::TRACE => self.method.as_str(),
            _ => "_OTHER",
        }
    }
}

impl AccessDenied {
    /// The decision, by the name that the caller was told.
    pub const fn decision(&self) -> Decision {
        self.denied.decision
    }

    /// What the route requires, such as `rbac(orders, read)`.
    pub fn needed(&self) -> &str {
        &self.denied.needed
    }

    /// Who asked.
    pub const fn principal(&self) -> &Principal {
        &self.denied.principal
    }

    /// The template of the path of the route, such as `/orders/{id}`, where it is known: a route of a
    /// [`RouteTable`](crate::RouteTable) or a [`GuardedRouter`](crate::GuardedRouter), or one that a router of axum has found.
    pub fn route(&self) -> Option<&str> {
        self.place.as_ref()?.route.as_deref()
    }

    /// The method of the request.
    pub fn method(&self) -> Option<&Method> {
        self.place.as_ref().map(|place| &place.method)
    }
}
