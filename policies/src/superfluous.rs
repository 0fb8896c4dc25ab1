//! Conditions that nobody has to meet, because a rule without one gives the same subject as much.

use crate::intern::Map;
use crate::object::{Object, covers};
use crate::report::{Finding, Findings, Place};
use crate::rules::{Effect, Permission, Rules, Selector, Subject};

/// How many objects are compared. What is left then is not warned of.
const MAX_LOOKS: usize = 1_000_000;

/// Whom a rule names, where, and what for.
type Scope<'a> = (Subject<'a>, Selector<'a>, Selector<'a>);

/// The objects that rules without conditions allow, with the first line of each.
#[derive(Default)]
struct Allowed<'a> {
    same: Map<String, u32>,
    /// Those that stand for more than one.
    open: Vec<(&'a str, u32)>,
}

/// Warns of the rules in these lines whose condition nobody has to meet.
pub(crate) fn check(rules: &Rules<'_>, lines: &[u32], findings: &mut Findings) {
    if lines.is_empty() {
        return;
    }
    let mut plain: Map<Scope<'_>, Allowed<'_>> = Map::default();
    for rule in
        rules.permissions.iter().filter(|rule| rule.effect == Effect::Allow && rule.condition.is_none())
    {
        plain.entry((rule.subject, rule.domain, rule.action)).or_default().add(rule);
    }
    let mut looks = MAX_LOOKS;
    for rule in rules.permissions.iter().filter(|rule| lines.binary_search(&rule.line).is_ok()) {
        let scopes = [
            (rule.subject, rule.domain, rule.action),
            (rule.subject, rule.domain, Selector::Any),
            (rule.subject, Selector::Any, rule.action),
            (rule.subject, Selector::Any, Selector::Any),
        ];
        let mut wider = scopes.iter().filter_map(|scope| plain.get(scope));
        if let Some(line) = wider.find_map(|allowed| allowed.covering(rule, &mut looks)) {
            let message =
                format!("nobody has to meet this condition: line {line} allows the same without one");
            findings.push(Finding::warning(Place::rules(rule.line, 1), "superfluous-condition", message));
        }
    }
}

impl<'a> Allowed<'a> {
    fn add(&mut self, rule: &Permission<'a>) {
        self.same.entry(rule.object.key()).or_insert(rule.line);
        if !matches!(rule.object, Object::Name(_)) {
            self.open.push((rule.object.text(), rule.line));
        }
    }

    /// The line that allows all that a rule does.
    fn covering(&self, rule: &Permission<'_>, looks: &mut usize) -> Option<u32> {
        if let Some(line) = self.same.get(&rule.object.key()) {
            return Some(*line);
        }
        *looks = looks.checked_sub(self.open.len())?;
        let mut open = self.open.iter();
        open.find(|(wide, _)| covers(wide, rule.object.text())).map(|(_, line)| *line)
    }
}
