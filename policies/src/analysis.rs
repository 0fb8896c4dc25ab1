//! A policy that is looked into: explained, searched and compared.

use std::fmt;

use serde::Serialize;

use crate::condition::{Assurance, Condition};
use crate::ledger::{EVERY, Holder, Ledger, Reach, Row};
use crate::report::{Finding, Findings, Place, Report};
use crate::request::{Decision, Request};
use crate::rules::{self, Effect};
use crate::snapshot::Snapshot;
use crate::source::PolicySource;

/// A policy with its text, its rules and its compiled form.
///
/// A [`Snapshot`] only decides, so that it stays small where every request is decided. This also says
/// why, and who else may: it is for the server, where policies are written, and for the command line.
pub struct Analysis {
    source: PolicySource,
    snapshot: Snapshot,
    pub(crate) ledger: Ledger,
    /// A subject that no rule names.
    nobody: String,
}

impl Analysis {
    /// Checks and compiles a policy. The report holds every finding if one of them is an error.
    ///
    /// Questions are answered under the default model only: another is refused.
    pub fn of(source: PolicySource) -> Result<Self, Report> {
        let snapshot = Snapshot::compile(&source, 0)?;
        if !snapshot.has_default_model() {
            let message = "this is answered under the default model only: fields of another may be patterns, which name nobody; \
                           requests are decided and explained, and cases run, under any model";
            let mut findings = Findings::default();
            findings.push(Finding::error(Place::model(1), "model-unsupported", message));
            return Err(findings.into_report());
        }
        Ok(Self::with(source, snapshot))
    }

    /// Of what was compiled from this text under the default model.
    pub(crate) fn with(source: PolicySource, snapshot: Snapshot) -> Self {
        let ledger = Ledger::of(&rules::parse(&source.rules, &mut Findings::default()));
        let mut nobody = "nobody".to_owned();
        while ledger.users.get(&nobody).is_some() {
            nobody.push('_');
        }
        Self { source, snapshot, ledger, nobody }
    }

    /// The text.
    pub fn source(&self) -> &PolicySource {
        &self.source
    }

    /// The compiled form.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The compiled form, without the rest.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }

    /// A subject that no rule names: who asks as this has what the roles give, and nothing else.
    pub fn nobody(&self) -> &str {
        &self.nobody
    }

    pub(crate) fn decide(&self, request: &Request<'_>) -> Decision {
        self.snapshot.decide(request)
    }

    pub(crate) fn decide_with(&self, request: &Request<'_>, shown: &Assurance<'_>) -> Decision {
        self.snapshot.decide_with(request, shown)
    }

    /// Whether some token gets the request allowed to whoever asks.
    pub(crate) fn may_allow(&self, decision: Decision) -> bool {
        decision.allowed || self.snapshot.wanting(decision).is_some()
    }

    /// The number of a domain, `None` if no rule names it.
    pub(crate) fn domain(&self, name: &str) -> Option<u32> {
        self.ledger.domains.get(name).filter(|domain| *domain != EVERY)
    }

    /// What the caller's roles reach in this domain.
    pub(crate) fn reach(&self, request: &Request<'_>) -> Reach {
        let roles = request.roles.iter().filter_map(|role| self.ledger.roles.get(role));
        self.ledger.reach(roles, self.domain(request.domain))
    }

    /// The rule in this line, and how a caller who reaches this comes by it.
    pub(crate) fn ruling(&self, line: u32, reach: &Reach) -> Option<Ruling> {
        let row = self.ledger.row_at(line)?;
        Some(Ruling {
            line,
            effect: row.effect.into(),
            grantee: self.grantee(row),
            path: self.path(row, reach),
            condition: self.snapshot.condition(line).cloned(),
        })
    }

    pub(crate) fn grantee(&self, row: &Row) -> Grantee {
        match row.subject {
            Holder::Role(role) => Grantee::Role(self.ledger.roles.text(role).to_owned()),
            Holder::User(user) => Grantee::User(self.ledger.users.text(user).to_owned()),
        }
    }

    fn path(&self, row: &Row, reach: &Reach) -> Option<RolePath> {
        let Holder::Role(mut role) = row.subject else { return None };
        let name = |role: u32| self.ledger.roles.text(role).to_owned();
        let mut steps = Vec::new();
        while let Some(link) = (*reach.by.get(&role)?).as_ref() {
            let domain = self.ledger.domains.text(link.domain).to_owned();
            steps.push(Step { parent: name(role), line: link.line, domain });
            role = link.child;
        }
        steps.reverse();
        Some(RolePath { role: name(role), steps })
    }
}

impl fmt::Debug for Analysis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Analysis").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// Whom a rule names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Grantee {
    /// Whoever has this role.
    Role(String),
    /// The user whose tokens have this subject.
    User(String),
}

impl fmt::Display for Grantee {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(out, "{role}"),
            Self::User(user) => write!(out, "user:{user}"),
        }
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RuleEffect {
    /// The rule allows.
    Allow,
    /// The rule allows whoever meets its condition: told where it is asked what holds in the end.
    Conditional,
    /// The rule denies, whatever else is allowed.
    Deny,
}

impl From<Effect> for RuleEffect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Allow => Self::Allow,
            Effect::Deny => Self::Deny,
        }
    }
}

/// A rule that speaks for or against a request, and how the caller comes by it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ruling {
    /// The line in the rules, from 1.
    pub line: u32,
    /// What it says.
    pub effect: RuleEffect,
    /// Whom it names.
    pub grantee: Grantee,
    /// From a role that the caller holds to the role that the rule names. `None` for a rule that names
    /// the user.
    pub path: Option<RolePath>,
    /// What it asks of whomever it allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

impl fmt::Display for Ruling {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(out, "line {}, by {path}", self.line),
            None => write!(out, "line {}, by {}", self.line, self.grantee),
        }?;
        self.condition.as_ref().map_or(Ok(()), |condition| write!(out, ", if {condition}"))
    }
}

/// A role that is held, and the steps of inheritance from it to another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RolePath {
    /// The role that the caller holds.
    pub role: String,
    /// The steps up. None if the rule names the role itself.
    pub steps: Vec<Step>,
}

/// One step of inheritance.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The role that is inherited.
    pub parent: String,
    /// The line of the rule that says so.
    pub line: u32,
    /// The domain in which it says so, or `*`.
    pub domain: String,
}

impl fmt::Display for RolePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.role)?;
        for step in &self.steps {
            write!(out, " -> {}", step.parent)?;
            if step.domain != "*" {
                write!(out, " (in {})", step.domain)?;
            }
        }
        Ok(())
    }
}
