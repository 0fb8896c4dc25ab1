//! A policy compiled for decisions.

use std::fmt;

use crate::batch::Batch;
use crate::condition::{Assurance, Condition, Terms};
use crate::conditional::{Conditional, Lines};
use crate::coverage::Coverage;
use crate::general::{self, General};
use crate::index::{Index, Numbers, Question, Target, Verdict, selectors};
use crate::intern::{Names, UNNAMED};
use crate::kinds::KindSet;
use crate::object::has_control;
use crate::options::Options;
use crate::report::{Findings, Report};
use crate::request::{Decision, EnforceError, Request, RuleRef};
use crate::rules::{self, USER_PREFIX};
use crate::source::PolicySource;
use crate::subjects::Subjects;
use crate::typos::{self, KnownNames};
use crate::unmet;
use crate::{consistency, model};

/// One revision of a policy, checked and compiled. It never changes, and under the default model it
/// decides without allocating.
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
    /// The rules that have conditions, which the index has not.
    conditional: Option<Box<Conditional>>,
    /// In place of all of these, a policy under another model than the default.
    general: Option<Box<General>>,
    /// What it was compiled from, if that is kept.
    #[cfg(feature = "casbin")]
    pub(crate) text: Option<Box<PolicySource>>,
}

/// Finds everything that is wrong with a policy.
pub fn lint(source: &PolicySource) -> Report {
    lint_with(source, &KnownNames::default())
}

/// Finds everything that is wrong with a policy, by these names too: a rule for another that is near one of them was
/// probably meant for it, and one that asks for classes of sign-in that nobody gives allows nothing.
pub fn lint_with(source: &PolicySource, known: &KnownNames) -> Report {
    let report = match compile(&source.model, &source.rules, 0) {
        Ok(snapshot) => snapshot.warnings,
        Err(report) => report,
    };
    // Under another model, a field may be a pattern.
    if !source.has_default_model() {
        return report;
    }
    let rules = rules::parse(&source.rules, &mut Findings::default());
    let mut findings = Findings::from(report);
    typos::check(&source.rules, &rules, known, &mut findings);
    unmet::check(&rules, known, &mut findings);
    findings.into_report()
}

impl Snapshot {
    /// Checks and compiles a policy. The report holds every finding if one of them is an error.
    pub fn compile(source: &PolicySource, revision: u64) -> Result<Self, Report> {
        compile(&source.model, &source.rules, revision)
    }

    /// Checks and compiles a policy as [`Snapshot::compile`] does, with options.
    pub fn compile_with(source: &PolicySource, revision: u64, options: Options) -> Result<Self, Report> {
        compile_with(&source.model, &source.rules, revision, options)
    }

    /// Decides a request.
    ///
    /// Allowed is what a rule allows and no rule denies to the subject, to one of its roles, or to a
    /// role that one of them inherits in this domain. Everything else is denied, and so is a request
    /// without subject, object or action, and one whose text no rule could have: with control
    /// characters, or an object with an empty, `.` or `..` segment.
    ///
    /// Under another model than the default, the subjects that it compares are `user:` with the
    /// subject, and each role. What matches one of them counts, before the effect.
    ///
    /// Nothing is known of the sign-in here, so a rule with a condition does not allow: see
    /// [`Snapshot::decide_with`].
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_with(request, &Assurance::NOTHING)
    }

    /// Decides a request as [`Snapshot::decide`] does, by what its token shows.
    ///
    /// A rule with a condition allows what meets it. If nothing else allows the request, and nothing denies it, it is
    /// refused with the first rule whose condition would have to be met: [`Snapshot::wanting`] gives that.
    pub fn decide_with(&self, request: &Request<'_>, shown: &Assurance<'_>) -> Decision {
        if let Some(general) = &self.general {
            return self.decision(general.decide(request));
        }
        let verdict = self.judge(request).unwrap_or_default();
        match (verdict.rule(), &self.conditional) {
            (None, Some(conditional)) => self.decision(self.decide_conditional(conditional, request, shown)),
            (line, _) => self.decision((verdict.allows(), line)),
        }
    }

    /// What would have to be met for a request to be allowed that this snapshot refused.
    ///
    /// `None` for every other decision: what is allowed wants nothing, and nothing helps against a denial.
    pub fn wanting(&self, decision: Decision) -> Option<&Condition> {
        let rule = decision.rule.filter(|_| !decision.allowed && decision.revision == self.revision)?;
        self.condition(rule.line)
    }

    /// What the rule in this line asks of whomever it allows. `None` for a rule without a condition.
    pub fn condition(&self, line: u32) -> Option<&Condition> {
        self.conditional.as_ref()?.of(line)
    }

    /// Whether a rule has a condition of which `asks` says so.
    pub fn has_condition(&self, asks: impl Fn(&Condition) -> bool) -> bool {
        self.conditional.as_ref().is_some_and(|conditional| conditional.any(asks))
    }

    /// Under what a request is allowed.
    ///
    /// ```
    /// use portcullis_policy::{PolicySource, Request, Roles, Snapshot};
    ///
    /// let rules = "p, clerk, *, payments, create, allow, acr=phr\np, user:ada, *, payments, create, allow, max_age=60";
    /// let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1)?;
    /// let roles = Roles::from(&["clerk"]);
    /// let request = Request { subject: "ada", roles, domain: "", object: "payments", action: "create" };
    /// let said = snapshot.terms(&request).to_string();
    /// assert_eq!(said, "the user signed in within 60 s, or the user signed in by phr");
    /// # Ok::<(), portcullis_policy::Report>(())
    /// ```
    pub fn terms(&self, request: &Request<'_>) -> Terms<'_> {
        let decision = self.decide(request);
        if decision.allowed {
            return Terms::Always;
        }
        let Some(conditional) = self.conditional.as_ref().filter(|_| self.wanting(decision).is_some()) else {
            return Terms::Never;
        };
        let mut found = KindSet::default();
        if let Some((target, question)) = self.place(conditional, request) {
            self.each_batch(request, question, |subjects| {
                conditional.collect((target, question), subjects, &mut found);
            });
        }
        conditional.kinds.terms(found)
    }

    /// Decides a request with these values, in the order in which the model defines them.
    ///
    /// This is Casbin's own `enforce`, so the subject is a name like any other: a role, or `user:` with
    /// a user. Whatever the error, the request is denied.
    pub fn enforce(&self, values: &[&str]) -> Result<Decision, EnforceError> {
        let answer = match &self.general {
            Some(general) => general.enforce(values)?,
            None => self.enforce_default(values)?,
        };
        Ok(self.decision(answer))
    }

    /// How its rules are found.
    pub fn coverage(&self) -> Coverage {
        let all = Coverage { indexed: self.rule_count, read_through: 0, interpreted: 0 };
        self.general.as_ref().map_or(all, |general| general.coverage())
    }

    pub(crate) fn has_default_model(&self) -> bool {
        self.general.is_none()
    }

    /// The number of this revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many rules it has.
    pub fn rule_count(&self) -> usize {
        self.rule_count
    }

    /// What is doubtful about it. [`lint`] also says which names are probably mistyped.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// Every role that its rules name.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let general = self.general.iter().flat_map(|general| general.roles.iter());
        self.subjects.names().chain(general.map(AsRef::as_ref))
    }

    fn decision(&self, (allowed, line): general::Answer) -> Decision {
        Decision { allowed, rule: line.map(|line| RuleRef { line }), revision: self.revision }
    }

    fn enforce_default(&self, values: &[&str]) -> Result<general::Answer, EnforceError> {
        let [subject, domain, object, action] = values else {
            return Err(EnforceError::FieldCount { expected: 4, given: values.len() });
        };
        if values.iter().any(|value| has_control(value)) {
            return Err(EnforceError::ControlCharacter);
        }
        let number = |names: &Names, name: &str| names.get(name).unwrap_or(UNNAMED);
        let question =
            Question { domain: number(&self.domains, domain), action: number(&self.actions, action) };
        let special = self.subjects.special(question.domain);
        let closure = match subject.strip_prefix(USER_PREFIX) {
            Some(user) => self.subjects.user(user),
            None => self.subjects.closure(subject, special),
        };
        let is_whole = !object.is_empty() && !action.is_empty();
        let mut verdict = Verdict::default();
        if let Some(target) = self.index.target(object).filter(|_| is_whole) {
            self.index.judge(target, question, &[closure], &mut verdict);
        }
        let conditional = self.conditional.as_ref().filter(|_| is_whole && verdict.rule().is_none());
        let mut lines = Lines::default();
        if let Some((conditional, target)) = conditional.and_then(|all| Some((all, all.target(object)?))) {
            conditional.judge((target, question), &[closure], &Assurance::NOTHING, &mut lines);
        }
        Ok((verdict.allows(), verdict.rule().or(lines.unmet)))
    }

    /// `None` when the request cannot be compared with rules at all.
    fn judge(&self, request: &Request<'_>) -> Option<Verdict> {
        let question = self.question(request)?;
        let target = self.index.target(request.object)?;
        let mut verdict = Verdict::default();
        self.each_batch(request, question, |subjects| {
            self.index.judge(target, question, subjects, &mut verdict);
        });
        Some(verdict)
    }

    fn question(&self, request: &Request<'_>) -> Option<Question> {
        let Request { subject, domain, object, action, .. } = *request;
        if subject.is_empty() || object.is_empty() || action.is_empty() || has_control(subject) {
            return None;
        }
        Some(Question { domain: known(&self.domains, domain)?, action: known(&self.actions, action)? })
    }

    /// Calls `ask` with a few subjects at a time, so that no list of them is ever allocated.
    fn each_batch(&self, request: &Request<'_>, question: Question, mut ask: impl FnMut(&[&[u32]])) {
        let mut batch = Batch::of(self.subjects.user(request.subject));
        let special = self.subjects.special(question.domain);
        request.roles.iter().for_each(|role| {
            if batch.is_full() {
                ask(batch.closures());
                batch.clear();
            }
            batch.push(self.subjects.closure(role, special));
        });
        ask(batch.closures());
    }

    /// What the rules with conditions say of a request that no other rule decides.
    fn decide_conditional(
        &self,
        conditional: &Conditional,
        request: &Request<'_>,
        shown: &Assurance<'_>,
    ) -> general::Answer {
        let mut lines = Lines::default();
        if let Some((target, question)) = self.place(conditional, request) {
            self.each_batch(request, question, |subjects| {
                conditional.judge((target, question), subjects, shown, &mut lines);
            });
        }
        (lines.met.is_some(), lines.met.or(lines.unmet))
    }

    fn place<'r>(&self, conditional: &Conditional, request: &Request<'r>) -> Option<(Target<'r>, Question)> {
        Some((conditional.target(request.object)?, self.question(request)?))
    }
}

/// The number of a name, [`UNNAMED`] if no rule has it. `None` for a name that no rule could have.
fn known(names: &Names, name: &str) -> Option<u32> {
    names.get(name).or_else(|| (!has_control(name)).then_some(UNNAMED))
}

pub(crate) fn compile(model: &str, rules: &str, revision: u64) -> Result<Snapshot, Report> {
    compile_with(model, rules, revision, Options::default())
}

pub(crate) fn compile_with(
    model: &str,
    rules: &str,
    revision: u64,
    options: Options,
) -> Result<Snapshot, Report> {
    let compiled = if model::is_default(model) {
        compile_default(rules, revision)
    } else {
        compile_general(model, rules, revision, options)
    };
    #[cfg(feature = "casbin")]
    let compiled = compiled.map(|snapshot| {
        let source = || Box::new(PolicySource { model: model.to_owned(), rules: rules.to_owned() });
        Snapshot { text: options.keep_text.then(source), ..snapshot }
    });
    compiled
}

fn compile_general(model: &str, rules: &str, revision: u64, options: Options) -> Result<Snapshot, Report> {
    let mut findings = Findings::default();
    let general = general::compile(model, rules, options, &mut findings);
    let warnings = findings.into_report();
    let Some(general) = general.filter(|_| !warnings.has_errors()) else { return Err(warnings) };
    Ok(Snapshot {
        revision,
        rule_count: general.rule_count,
        warnings,
        subjects: Subjects::default(),
        domains: Names::default(),
        actions: Names::default(),
        index: Index::default(),
        conditional: None,
        general: Some(Box::new(general)),
        #[cfg(feature = "casbin")]
        text: None,
    })
}

fn compile_default(rules: &str, revision: u64) -> Result<Snapshot, Report> {
    let mut findings = Findings::default();
    let rules = rules::parse(rules, &mut findings);
    consistency::check(&rules, &mut findings);
    let (mut domains, mut actions) = (selectors(), selectors());
    let subjects = Subjects::compile(&rules, &mut domains, &mut findings);
    if findings.has_errors() {
        return Err(findings.into_report());
    }
    let mut numbers = Numbers { subjects: &subjects, domains: &mut domains, actions: &mut actions };
    let unconditional = rules.permissions.iter().filter(|rule| rule.condition.is_none());
    let index = Index::compile(unconditional, |_| 0, &mut numbers, &mut findings);
    let conditional = Conditional::compile(&rules.permissions, &mut numbers, &mut findings).map(Box::new);
    let warnings = findings.into_report();
    if warnings.has_errors() {
        return Err(warnings);
    }
    let rule_count = rules.permissions.len() + rules.inheritances.len();
    Ok(Snapshot {
        revision,
        rule_count,
        warnings,
        subjects,
        domains,
        actions,
        index,
        conditional,
        general: None,
        #[cfg(feature = "casbin")]
        text: None,
    })
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
