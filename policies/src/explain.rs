//! Why a request is allowed or denied.

use std::fmt;

use serde::Serialize;

use crate::analysis::{Analysis, Ruling};
use crate::condition::{Assurance, Condition};
use crate::ledger::Reach;
use crate::near::{self, NearMiss};
use crate::object::{has_control, is_canonical};
use crate::request::{Part, Request};

/// A decision with its reason and, for a denial, what would have to be otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// As [`Snapshot::decide_with`](crate::Snapshot::decide_with) decides.
    pub allowed: bool,
    /// What decided.
    pub reason: Reason,
    /// For a denial: what would be allowed, nearest first, at most ten. Each is sure: the request with
    /// these changes is allowed, to whoever meets the condition if it has one.
    pub near_misses: Vec<NearMiss>,
}

/// What decided a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// A rule allows, and none denies.
    Allowed {
        /// The first rule that allows.
        rule: Ruling,
    },
    /// A rule allows whoever meets its condition, which was not shown. Nothing denies.
    Conditional {
        /// The first such rule.
        rule: Ruling,
    },
    /// A rule denies.
    Denied {
        /// The first rule that denies.
        rule: Ruling,
        /// The line of the first rule that would allow, were it not for the denial: of one without a condition, if there is one.
        otherwise: Option<u32>,
        /// The condition of that rule.
        #[serde(skip_serializing_if = "Option::is_none")]
        otherwise_if: Option<Condition>,
    },
    /// The request cannot be compared with rules.
    NotComparable {
        /// What is wrong with it.
        fault: Incomparable,
    },
    /// No rule speaks for the request.
    NoRule,
    /// The policy has another model than the default: the rule that decided is told, and nothing else.
    OtherModel {
        /// The line of the rule that decided, if one did and it is known.
        line: Option<u32>,
    },
}

/// What cannot be said under another model than the default.
const UNTOLD: &str = "(under another model than the default, neither how a caller comes by a rule nor what would be allowed is told)";

/// Why a request cannot be compared with rules. It is denied, whatever the rules say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Incomparable {
    /// A part has a control character.
    ControlCharacter(Part),
    /// A part that is needed is empty.
    Empty(Part),
    /// The object has an empty, `.` or `..` segment, or is too long.
    Path(Part),
}

impl Analysis {
    /// Says why a request is allowed or denied.
    ///
    /// This goes through all rules, so it is slower than a decision: some milliseconds for 100,000.
    ///
    /// Nothing is shown of the sign-in: of a rule with a condition that would allow it, the condition is told.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        self.explain_with(request, &Assurance::NOTHING)
    }

    /// Says why a request is allowed or denied to whoever shows this.
    pub fn explain_with(&self, request: &Request<'_>, shown: &Assurance<'_>) -> Explanation {
        if let Some(fault) = Incomparable::find(request) {
            let reason = Reason::NotComparable { fault };
            return Explanation { allowed: false, reason, near_misses: Vec::new() };
        }
        let decision = self.decide_with(request, shown);
        let reach = self.reach(request);
        let rule = decision.rule.and_then(|rule| self.ruling(rule.line, &reach));
        let reason = match rule {
            Some(rule) if decision.allowed => Reason::Allowed { rule },
            Some(rule) if self.may_allow(decision) => Reason::Conditional { rule },
            Some(rule) => {
                let otherwise = near::allowing_line(self, request, &reach);
                let otherwise_if = otherwise.and_then(|line| self.snapshot().condition(line)).cloned();
                Reason::Denied { rule, otherwise, otherwise_if }
            }
            None => Reason::NoRule,
        };
        let near_misses = self.near_misses(decision.allowed, request, &reach);
        Explanation { allowed: decision.allowed, reason, near_misses }
    }

    fn near_misses(&self, allowed: bool, request: &Request<'_>, reach: &Reach) -> Vec<NearMiss> {
        if allowed { Vec::new() } else { near::misses(self, request, reach) }
    }
}

impl Incomparable {
    pub(crate) fn find(request: &Request<'_>) -> Option<Self> {
        let Request { subject, domain, object, action, .. } = *request;
        let needed = [(Part::Subject, subject), (Part::Object, object), (Part::Action, action)];
        if let Some((part, _)) = needed.into_iter().find(|(_, text)| text.is_empty()) {
            return Some(Self::Empty(part));
        }
        let all = needed.into_iter().chain([(Part::Domain, domain)]);
        if let Some((part, _)) = all.into_iter().find(|(_, text)| has_control(text)) {
            return Some(Self::ControlCharacter(part));
        }
        let too_long = object.len() > crate::index::MAX_OBJECT_BYTES;
        (too_long || !is_canonical(object)).then_some(Self::Path(Part::Object))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Reason::OtherModel { line } = self.reason {
            let word = if self.allowed { "allowed" } else { "denied" };
            return match line {
                Some(line) => write!(out, "{word} by line {line}\n  {UNTOLD}"),
                None => write!(out, "{word}: no single rule decides it\n  {UNTOLD}"),
            };
        }
        write!(out, "{}", self.reason)?;
        self.near_misses.iter().try_for_each(|miss| write!(out, "\n  {miss}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { rule } => write!(out, "allowed by {rule}"),
            Self::Conditional { rule } => write!(out, "conditional: allowed by {rule}"),
            Self::Denied { rule, otherwise: None, .. } => write!(out, "denied by {rule}"),
            Self::Denied { rule, otherwise: Some(line), otherwise_if } => {
                write!(out, "denied by {rule}; without it, line {line} would allow")?;
                otherwise_if.as_ref().map_or(Ok(()), |condition| write!(out, ", if {condition}"))
            }
            Self::NotComparable { fault } => write!(out, "denied: {fault}"),
            Self::NoRule => write!(out, "denied: no rule allows it"),
            Self::OtherModel { line: Some(line) } => write!(out, "decided by line {line}"),
            Self::OtherModel { line: None } => write!(out, "no single rule decides it"),
        }
    }
}

impl fmt::Display for Incomparable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlCharacter(part) => write!(out, "the {part} has a control character"),
            Self::Empty(part) => write!(out, "the {part} is empty"),
            Self::Path(part) => {
                write!(
                    out,
                    "the {part} has an empty, `.` or `..` segment, or is longer than any rule can match"
                )
            }
        }
    }
}
