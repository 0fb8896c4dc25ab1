//! A policy under any model that is held to cases and asked why: with all reasons under the default model, with the rule that
//! decided under another.

use std::fmt;

use crate::analysis::Analysis;
use crate::cases::{Cases, Outcome, run};
use crate::condition::Assurance;
use crate::explain::{Explanation, Incomparable, Reason};
use crate::report::{Findings, Report};
use crate::request::Request;
use crate::snapshot::Snapshot;
use crate::source::PolicySource;

/// A policy that can be explained and tested, whatever its model.
///
/// Under the default model it is an [`Analysis`]. Under another a field of a rule may be a pattern, which names nobody: then a
/// decision is told with its rule, without how the caller comes by it and without what would be allowed.
pub struct Examiner(Kind);

enum Kind {
    Analysis(Box<Analysis>),
    Plain(Box<Plain>),
}

/// A policy under another model.
struct Plain {
    snapshot: Snapshot,
    /// A subject and a domain that no rule names as such; a pattern may match them, as it does any other.
    nobody: String,
    nowhere: String,
}

impl Examiner {
    /// Checks and compiles a policy. The report holds every finding if one of them is an error.
    pub fn of(source: PolicySource) -> Result<Self, Report> {
        let snapshot = Snapshot::compile(&source, 0)?;
        if snapshot.has_default_model() {
            return Ok(Self(Kind::Analysis(Box::new(Analysis::with(source, snapshot)))));
        }
        // One more than ever follows the word.
        let unnamed = |name: &str| {
            let after = [&source.rules, &source.model].into_iter().flat_map(|text| text.split(name).skip(1));
            let longest = after.map(|rest| rest.bytes().take_while(|byte| *byte == b'_').count() + 1).max();
            format!("{name}{}", "_".repeat(longest.unwrap_or_default()))
        };
        let (nobody, nowhere) = (unnamed("nobody"), unnamed("nowhere"));
        Ok(Self(Kind::Plain(Box::new(Plain { snapshot, nobody, nowhere }))))
    }

    /// The compiled form.
    pub fn snapshot(&self) -> &Snapshot {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.snapshot(),
            Kind::Plain(plain) => &plain.snapshot,
        }
    }

    /// The compiled form, without the rest.
    pub fn into_snapshot(self) -> Snapshot {
        match self.0 {
            Kind::Analysis(analysis) => analysis.into_snapshot(),
            Kind::Plain(plain) => plain.snapshot,
        }
    }

    /// A subject that no rule names.
    pub fn nobody(&self) -> &str {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.nobody(),
            Kind::Plain(plain) => &plain.nobody,
        }
    }

    /// Whether no rule can be meant for this role. Under another model a pattern may be.
    pub fn knows_nothing_of(&self, role: &str) -> bool {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.snapshot().roles().all(|known| known != role),
            Kind::Plain(_) => false,
        }
    }

    /// Says why a request is allowed or denied, as far as the model lets it be said.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.explain(request),
            Kind::Plain(plain) => plain.explain(request),
        }
    }

    /// The same to whoever shows this. Under another model than the default no rule has a condition, and nothing has to be shown.
    pub fn explain_with(&self, request: &Request<'_>, shown: &Assurance<'_>) -> Explanation {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.explain_with(request, shown),
            Kind::Plain(plain) => plain.explain(request),
        }
    }

    /// Decides every case. Each that is decided otherwise than expected is explained.
    pub fn test(&self, cases: &Cases) -> Outcome {
        self.test_within(cases, usize::MAX)
    }

    /// Decides every case, and explains at most so many.
    pub fn test_within(&self, cases: &Cases, most_explained: usize) -> Outcome {
        match &self.0 {
            Kind::Analysis(analysis) => analysis.test_within(cases, most_explained),
            Kind::Plain(plain) => plain.test_within(cases, most_explained),
        }
    }
}

impl Plain {
    fn explain(&self, request: &Request<'_>) -> Explanation {
        let decision = self.snapshot.decide(request);
        // What cannot be compared is denied under every model; which fields there are is the model's.
        let fault = Incomparable::find(request).filter(|_| !decision.allowed && decision.rule.is_none());
        let reason = match fault {
            Some(fault) => Reason::NotComparable { fault },
            None => Reason::OtherModel { line: decision.rule.map(|rule| rule.line) },
        };
        Explanation { allowed: decision.allowed, reason, near_misses: Vec::new() }
    }

    fn test_within(&self, cases: &Cases, most_explained: usize) -> Outcome {
        // No rule of another model has a condition.
        let explain = |request: &Request<'_>, _: &Assurance<'_>| self.explain(&self.placed(request));
        let decide =
            |request: &Request<'_>, _: &Assurance<'_>| self.snapshot.decide(&self.placed(request)).allowed;
        run(cases, most_explained, &self.nobody, (&decide, &explain), Findings::default())
    }

    /// In a case, `*` is a domain that no rule names. Here a rule may name it.
    fn placed<'r>(&'r self, request: &Request<'r>) -> Request<'r> {
        let domain = if request.domain == "*" { self.nowhere.as_str() } else { request.domain };
        Request { domain, ..*request }
    }
}

impl fmt::Debug for Examiner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Examiner").field("snapshot", self.snapshot()).finish_non_exhaustive()
    }
}
