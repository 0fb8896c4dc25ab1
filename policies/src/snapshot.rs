//! A policy compiled for decisions.

use std::fmt;

use crate::index::{Index, Numbers, Question, Target, Verdict, selectors};
use crate::intern::{Names, UNNAMED};
use crate::object::has_control;
use crate::report::Report;
use crate::request::{Decision, Request, RuleRef};
use crate::rules::{self, Rules};
use crate::source::PolicySource;
use crate::subjects::Subjects;
use crate::{consistency, model};

/// How many subjects are looked at in one pass; a request with more roles takes more passes.
const AT_ONCE: usize = 16;

/// One revision of a policy, checked and compiled. It never changes and decides without allocating.
///
/// Share it behind an `Arc`; to change the policy, compile another and swap.
pub struct Snapshot {
    revision: u64,
    rule_count: usize,
    warnings: Report,
    subjects: Subjects,
    domains: Names,
    actions: Names,
    index: Index,
}

/// Finds everything that is wrong with a policy.
pub fn lint(source: &PolicySource) -> Report {
    match compile(&source.model, &source.rules, 0) {
        Ok(snapshot) => snapshot.warnings,
        Err(report) => report,
    }
}

impl Snapshot {
    /// Checks and compiles a policy. The report holds every finding if one of them is an error.
    pub fn compile(source: &PolicySource, revision: u64) -> Result<Self, Report> {
        compile(&source.model, &source.rules, revision)
    }

    /// Decides a request.
    ///
    /// Allowed is what a rule allows and no rule denies to the subject, to one of its roles, or to a
    /// role that one of them inherits in this domain. Everything else is denied, and so is a request
    /// without subject, object or action, and one whose text no rule could have: with control
    /// characters, or an object with an empty, `.` or `..` segment.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let verdict = self.judge(request).unwrap_or_default();
        let allowed = verdict.allow.is_some() && verdict.deny.is_none();
        let rule = verdict.deny.or(verdict.allow).map(|line| RuleRef { line });
        Decision { allowed, rule, revision: self.revision }
    }

    /// The number of this revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many rules it has.
    pub fn rule_count(&self) -> usize {
        self.rule_count
    }

    /// What is doubtful about it.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// Every role that its rules name.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.subjects.names()
    }

    /// `None` when the request cannot be compared with rules at all.
    fn judge(&self, request: &Request<'_>) -> Option<Verdict> {
        let Request { subject, domain, object, action, .. } = *request;
        if subject.is_empty() || object.is_empty() || action.is_empty() || has_control(subject) {
            return None;
        }
        let question =
            Question { domain: known(&self.domains, domain)?, action: known(&self.actions, action)? };
        let target = self.index.target(object)?;
        Some(self.judge_subjects(request, target, question))
    }

    /// Asks for a few subjects at a time, so that no list of them is ever allocated.
    fn judge_subjects(&self, request: &Request<'_>, target: Target<'_>, question: Question) -> Verdict {
        let mut verdict = Verdict::default();
        let mut subjects: [&[u32]; AT_ONCE] = [&[]; AT_ONCE];
        let user = std::iter::once(self.subjects.user(request.subject));
        let roles = request.roles.iter().map(|role| self.subjects.closure(role, question.domain));
        let mut known = user.chain(roles).filter(|closure| !closure.is_empty()).peekable();
        while known.peek().is_some() {
            let mut count = 0;
            for (slot, closure) in subjects.iter_mut().zip(known.by_ref()) {
                *slot = closure;
                count += 1;
            }
            self.index.judge(target, question, subjects.get(..count).unwrap_or_default(), &mut verdict);
        }
        verdict
    }
}

/// The number of a name, [`UNNAMED`] if no rule has it. `None` for a name that no rule could have.
fn known(names: &Names, name: &str) -> Option<u32> {
    names.get(name).or_else(|| (!has_control(name)).then_some(UNNAMED))
}

pub(crate) fn compile(model: &str, rules: &str, revision: u64) -> Result<Snapshot, Report> {
    let mut report = Report::default();
    model::check(model, &mut report);
    let rules = rules::parse(rules, &mut report);
    consistency::check(&rules, &mut report);
    let snapshot = Snapshot::index(&rules, revision, &mut report);
    let warnings = report.sorted();
    if warnings.has_errors() { Err(warnings) } else { Ok(Snapshot { warnings, ..snapshot }) }
}

impl Snapshot {
    fn index(rules: &Rules<'_>, revision: u64, report: &mut Report) -> Self {
        let (mut domains, mut actions) = (selectors(), selectors());
        let subjects = Subjects::compile(rules, &mut domains, report);
        let mut numbers = Numbers { subjects: &subjects, domains: &mut domains, actions: &mut actions };
        let index = Index::compile(rules, &mut numbers, report);
        let rule_count = rules.permissions.len() + rules.inheritances.len();
        Self { revision, rule_count, warnings: Report::default(), subjects, domains, actions, index }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (revision, rules) = (self.revision, self.rule_count);
        out.debug_struct("Snapshot")
            .field("revision", &revision)
            .field("rules", &rules)
            .finish_non_exhaustive()
    }
}
