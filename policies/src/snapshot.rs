//! A policy compiled for decisions.

use std::fmt;

use crate::index::{Index, Numbers, Question, Target, Verdict, selectors};
use crate::intern::{Names, UNNAMED};
use crate::object::has_control;
use crate::report::{Findings, Report};
use crate::request::{Decision, Request, RuleRef};
use crate::rules;
use crate::source::PolicySource;
use crate::subjects::Subjects;
use crate::{consistency, model};

/// How many subjects are looked at in one pass; a request with more roles takes more passes.
const AT_ONCE: usize = 8;

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
        let rule = verdict.rule().map(|line| RuleRef { line });
        Decision { allowed: verdict.allows(), rule, revision: self.revision }
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
        let mut batch = Batch::of(self.subjects.user(request.subject));
        let special = self.subjects.special(question.domain);
        request.roles.iter().for_each(|role| {
            if batch.is_full() {
                self.index.judge(target, question, batch.closures(), &mut verdict);
                batch.count = 0;
            }
            batch.push(self.subjects.closure(role, special));
        });
        self.index.judge(target, question, batch.closures(), &mut verdict);
        verdict
    }
}

/// A few subjects, each with all that it stands for.
struct Batch<'a> {
    closures: [&'a [u32]; AT_ONCE],
    count: usize,
}

impl<'a> Batch<'a> {
    fn of(first: &'a [u32]) -> Self {
        let mut batch = Self { closures: [&[]; AT_ONCE], count: 0 };
        batch.push(first);
        batch
    }

    fn is_full(&self) -> bool {
        self.count == AT_ONCE
    }

    /// Adds a closure, unless no rule names anything in it.
    fn push(&mut self, closure: &'a [u32]) {
        if let Some(slot) = self.closures.get_mut(self.count).filter(|_| !closure.is_empty()) {
            *slot = closure;
            self.count += 1;
        }
    }

    fn closures(&self) -> &[&'a [u32]] {
        self.closures.get(..self.count).unwrap_or_default()
    }
}

/// The number of a name, [`UNNAMED`] if no rule has it. `None` for a name that no rule could have.
fn known(names: &Names, name: &str) -> Option<u32> {
    names.get(name).or_else(|| (!has_control(name)).then_some(UNNAMED))
}

pub(crate) fn compile(model: &str, rules: &str, revision: u64) -> Result<Snapshot, Report> {
    let mut findings = Findings::default();
    model::check(model, &mut findings);
    let rules = rules::parse(rules, &mut findings);
    consistency::check(&rules, &mut findings);
    let (mut domains, mut actions) = (selectors(), selectors());
    let subjects = Subjects::compile(&rules, &mut domains, &mut findings);
    if findings.has_errors() {
        return Err(findings.into_report());
    }
    let mut numbers = Numbers { subjects: &subjects, domains: &mut domains, actions: &mut actions };
    let index = Index::compile(&rules, &mut numbers, &mut findings);
    let warnings = findings.into_report();
    if warnings.has_errors() {
        return Err(warnings);
    }
    let rule_count = rules.permissions.len() + rules.inheritances.len();
    Ok(Snapshot { revision, rule_count, warnings, subjects, domains, actions, index })
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
