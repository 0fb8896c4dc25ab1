//! What a policy says about a grant.

use std::fmt;

use serde::Serialize;

use crate::analysis::{Analysis, Grantee};
use crate::diff::Example;
use crate::request::{Request, Roles};

/// How many bytes of conditions are held and compared in the time of one decision.
const BYTES: usize = 32;

/// What a policy says about a grant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Standing {
    /// It is allowed.
    Allowed {
        /// The line of the first rule that says so.
        line: u32,
    },
    /// It is allowed to whoever meets a condition.
    Conditional {
        /// The line of the first rule that says so.
        line: u32,
        /// What has to be met, in words.
        condition: String,
    },
    /// It is denied, whatever other roles the caller has.
    Denied {
        /// The line of the first rule that says so.
        line: u32,
    },
    /// No rule speaks of it: another role may allow it.
    Silent,
}

impl Standing {
    /// What it says but for where: of two that differ in this, one is a change.
    pub(super) fn kind(&self) -> Kind<'_> {
        match self {
            Self::Allowed { .. } => (0, ""),
            Self::Denied { .. } => (1, ""),
            Self::Silent => (2, ""),
            Self::Conditional { condition, .. } => (3, condition),
        }
    }

    /// What it costs to hold and to compare, in decisions.
    pub(super) fn weight(&self) -> usize {
        self.kind().1.len() / BYTES
    }

    /// How much it allows.
    pub(super) const fn reach(&self) -> u8 {
        match self {
            Self::Allowed { .. } => 2,
            Self::Conditional { .. } => 1,
            Self::Denied { .. } | Self::Silent => 0,
        }
    }
}

/// A kind of standing, and its condition.
pub(super) type Kind<'a> = (u8, &'a str);

pub(super) fn standing(analysis: &Analysis, grantee: &Grantee, example: &Example) -> Standing {
    let Example { domain, object, action } = example;
    let (subject, held) = match grantee {
        Grantee::Role(role) => (analysis.nobody(), Some(role.as_str())),
        Grantee::User(user) => (user.as_str(), None),
    };
    let roles = Roles::from(held.as_slice());
    let request = Request { subject, roles, domain, object, action };
    let decision = analysis.decide(&request);
    match decision.rule {
        Some(rule) if decision.allowed => Standing::Allowed { line: rule.line },
        Some(rule) if analysis.may_allow(decision) => Standing::Conditional {
            line: rule.line,
            condition: analysis.snapshot().terms(&request).to_string(),
        },
        Some(rule) => Standing::Denied { line: rule.line },
        None => Standing::Silent,
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { line } => write!(out, "allowed by line {line}"),
            Self::Conditional { line, condition } => write!(out, "allowed by line {line} if {condition}"),
            Self::Denied { line } => write!(out, "denied by line {line}"),
            Self::Silent => write!(out, "no rule"),
        }
    }
}
