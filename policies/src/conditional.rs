//! The rules that allow under a condition. They are looked at when no other rule decides.

use crate::condition::{Assurance, Condition};
use crate::index::{Index, Numbers, Question, Target};
use crate::kinds::{KindSet, Kinds, Met};
use crate::report::Findings;
use crate::rules::Permission;

/// All of them, and what each asks for.
pub(crate) struct Conditional {
    index: Index,
    pub(crate) kinds: Kinds,
    /// By line, the number of its condition.
    lines: Vec<(u32, u8)>,
}

/// The lines of the first rules whose condition is met, and is not. Of those that are not, the first one is told
/// only if none is met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) met: Option<u32>,
    pub(crate) unmet: Option<u32>,
    kinds: Met,
}

impl Conditional {
    /// `None` if there are no such rules.
    pub(crate) fn compile(
        permissions: &[Permission<'_>],
        numbers: &mut Numbers<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let kinds = Kinds::of(permissions.iter().filter_map(|rule| rule.condition.as_deref()));
        let line = |rule: &Permission<'_>| Some((rule.line, kinds.number(rule.condition.as_deref()?)?));
        let lines: Vec<_> = permissions.iter().filter_map(line).collect();
        if lines.is_empty() {
            return None;
        }
        let rules = permissions.iter().filter(|rule| rule.condition.is_some());
        let kind = |line| kind(&lines, line).unwrap_or_default();
        Some(Self { index: Index::compile(rules, kind, numbers, findings), kinds, lines })
    }

    /// The object of a request, as these rules have it.
    pub(crate) fn target<'a>(&self, object: &'a str) -> Option<Target<'a>> {
        self.index.target(object)
    }

    /// What the rule in this line asks for.
    pub(crate) fn of(&self, line: u32) -> Option<&Condition> {
        self.kinds.get(kind(&self.lines, line)?)
    }

    /// Whether some rule asks for what `asks` says.
    pub(crate) fn any(&self, asks: impl Fn(&Condition) -> bool) -> bool {
        self.kinds.iter().any(asks)
    }

    /// Holds the rules about these subjects against what is shown, which is the same whenever `lines` are.
    pub(crate) fn judge(
        &self,
        (target, question): (Target<'_>, Question),
        subjects: &[&[u32]],
        shown: &Assurance<'_>,
        lines: &mut Lines,
    ) {
        self.index.each_line(target, question, subjects, &mut |line| {
            if lines.met.is_some_and(|first| first <= line) {
                return;
            }
            let Some(kind) = kind(&self.lines, line) else { return };
            let is_met = self.kinds.is_met(kind, shown, &mut lines.kinds);
            let first = if is_met { &mut lines.met } else { &mut lines.unmet };
            *first = Some(first.map_or(line, |first| first.min(line)));
        });
    }

    /// Adds what the rules about these subjects ask for.
    pub(crate) fn collect(
        &self,
        (target, question): (Target<'_>, Question),
        subjects: &[&[u32]],
        found: &mut KindSet,
    ) {
        self.index.each_line(target, question, subjects, &mut |line| {
            if let Some(kind) = kind(&self.lines, line) {
                found.insert(kind);
            }
        });
    }
}

fn kind(lines: &[(u32, u8)], line: u32) -> Option<u8> {
    let place = lines.binary_search_by_key(&line, |(line, _)| *line).ok()?;
    lines.get(place).map(|(_, kind)| *kind)
}
