//! The rules that allow under a condition. They are looked at when no other rule decides.

use crate::condition::{Assurance, Condition};
use crate::index::{Index, Keep, Numbers, Question, Target};
use crate::report::Findings;
use crate::rules::Permission;

/// All of them, and what each asks for.
pub(crate) struct Conditional {
    index: Index,
    /// By line.
    conditions: Vec<(u32, Condition)>,
}

/// The lines of the first rules whose condition is met, and is not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) met: Option<u32>,
    pub(crate) unmet: Option<u32>,
}

impl Conditional {
    /// `None` if there are no such rules.
    pub(crate) fn compile(
        permissions: &[Permission<'_>],
        numbers: &mut Numbers<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let condition =
            |rule: &Permission<'_>| Some((rule.line, Condition::clone(rule.condition.as_deref()?)));
        let conditions: Vec<_> = permissions.iter().filter_map(condition).collect();
        if conditions.is_empty() {
            return None;
        }
        let rules = permissions.iter().filter(|rule| rule.condition.is_some());
        Some(Self { index: Index::compile(rules, Keep::Every, numbers, findings), conditions })
    }

    /// The object of a request, as these rules have it.
    pub(crate) fn target<'a>(&self, object: &'a str) -> Option<Target<'a>> {
        self.index.target(object)
    }

    /// What the rule in this line asks for.
    pub(crate) fn of(&self, line: u32) -> Option<&Condition> {
        let place = self.conditions.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        self.conditions.get(place).map(|(_, condition)| condition)
    }

    /// Whether some rule asks for what `asks` says.
    pub(crate) fn any(&self, asks: impl Fn(&Condition) -> bool) -> bool {
        self.conditions.iter().any(|(_, condition)| asks(condition))
    }

    /// Holds the rules about these subjects against what is shown.
    pub(crate) fn judge(
        &self,
        (target, question): (Target<'_>, Question),
        subjects: &[&[u32]],
        shown: &Assurance<'_>,
        lines: &mut Lines,
    ) {
        self.index.each_line(target, question, subjects, &mut |line| {
            let is_met = self.of(line).is_some_and(|condition| condition.is_met_by(shown));
            let first = if is_met { &mut lines.met } else { &mut lines.unmet };
            *first = Some(first.map_or(line, |first| first.min(line)));
        });
    }

    /// Adds what the rules about these subjects ask for.
    pub(crate) fn collect<'a>(
        &'a self,
        (target, question): (Target<'_>, Question),
        subjects: &[&[u32]],
        found: &mut Vec<&'a Condition>,
    ) {
        self.index.each_line(target, question, subjects, &mut |line| found.extend(self.of(line)));
    }
}
