//! What was decided about a request, under a name that logs, answers and people can share.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

use crate::authorize::Grant;
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

/// The name of a decision: unique among the decisions of all guards, and nothing more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecisionId {
    guard: u64,
    number: u64,
}

/// What begins each name.
const PREFIX: &str = "dec_";

impl DecisionId {
    /// The name, without the machinery of formatting: each refusal has it twice.
    pub(crate) fn text(self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + 32);
        text.push_str(PREFIX);
        push_hex::<16>(&mut text, self.guard);
        match u32::try_from(self.number) {
            Ok(_) => push_hex::<8>(&mut text, self.number),
            Err(_) => push_hex::<16>(&mut text, self.number),
        }
        text
    }
}

/// Appends the last so many hexadecimal digits of a number.
fn push_hex<const DIGITS: usize>(text: &mut String, number: u64) {
    let digit = |place: usize| {
        let value = (number >> (4 * (DIGITS - 1 - place)) & 0xf) as u8;
        value + if value < 10 { b'0' } else { b'a' - 10 }
    };
    let digits: [u8; DIGITS] = std::array::from_fn(digit);
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

impl fmt::Display for DecisionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

/// Names decisions, without drawing randomness for each.
pub(crate) struct DecisionIds {
    guard: u64,
    next: AtomicU64,
}

impl DecisionIds {
    pub(crate) fn new() -> Self {
        // The seeds of the standard library's hasher differ between processes and instances.
        Self { guard: RandomState::new().hash_one(()), next: AtomicU64::new(1) }
    }

    /// What tells this guard from every other.
    pub(crate) const fn guard(&self) -> u64 {
        self.guard
    }

    pub(crate) fn next(&self) -> DecisionId {
        DecisionId { guard: self.guard, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_within_a_guard_and_between_guards() {
        let (one, other) = (DecisionIds::new(), DecisionIds::new());
        let names = [one.next(), one.next(), other.next()].map(|id| id.to_string());
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2], "{names:?}");
    }

    #[test]
    fn a_name_is_hexadecimal_of_full_width_and_grows_where_the_number_does() {
        let name = |guard, number| DecisionId { guard, number }.to_string();
        assert_eq!(name(0xab, 0x1f), "dec_00000000000000ab0000001f");
        assert_eq!(name(u64::MAX, 0), "dec_ffffffffffffffff00000000");
        assert_eq!(name(1, 0x1_2345_6789), "dec_00000000000000010000000123456789");
    }
}
