//! What no line shows alone: rules that repeat, contradict or miss each other.

use crate::condition::Condition;
use crate::intern::{Map, Set};
use crate::kinds::MAX_KINDS;
use crate::object::Object;
use crate::report::{Finding, Findings, Place, closest, quoted};
use crate::rules::{Effect, Permission, Rules, Selector, Subject};
use crate::superfluous;

/// For how many unknown roles a close one is looked for: each is compared with all.
const MAX_SUGGESTIONS: usize = 20;

/// Adds warnings about the rules as a whole.
pub(crate) fn check(rules: &Rules<'_>, findings: &mut Findings) {
    too_many_conditions(rules, findings);
    nobody_may(rules, findings);
    repeated_permissions(rules, findings);
    repeated_inheritance(rules, findings);
    catch_alls(rules, findings);
    roles_without_rules(rules, findings);
}

/// Each that a request may have to meet is looked at, and told where policies are compared.
fn too_many_conditions(rules: &Rules<'_>, findings: &mut Findings) {
    let mut known: Set<&Condition> = Set::default();
    for rule in &rules.permissions {
        let is_new = rule.condition.as_deref().is_some_and(|condition| known.insert(condition));
        if is_new && known.len() > MAX_KINDS {
            let message = format!("a policy has at most {MAX_KINDS} different conditions");
            findings.push(Finding::error(Place::rules(rule.line, 1), "too-many-conditions", message));
            return;
        }
    }
}

fn nobody_may(rules: &Rules<'_>, findings: &mut Findings) {
    // A line that could not be read may have allowed something.
    if !findings.has_errors() && rules.permissions.iter().all(|rule| rule.effect == Effect::Deny) {
        let message = "no rule allows anything: every request is refused";
        findings.push(Finding::warning(Place::rules(1, 1), "nobody-may", message));
    }
}

#[derive(Eq, Hash, PartialEq)]
struct Scope<'a> {
    subject: Subject<'a>,
    domain: Selector<'a>,
    object: String,
    action: Selector<'a>,
}

impl<'a> Scope<'a> {
    fn of(permission: &Permission<'a>) -> Self {
        let Permission { subject, domain, action, .. } = *permission;
        Self { subject, domain, object: permission.object.key(), action }
    }
}

/// The first lines that allow and deny the same.
#[derive(Default)]
struct Said<'a> {
    allow: Option<u32>,
    deny: Option<u32>,
    /// Those that allow it under conditions, each once.
    conditional: Vec<u32>,
    conditions: Map<&'a Condition, u32>,
}

fn repeated_permissions(rules: &Rules<'_>, findings: &mut Findings) {
    let mut said: Map<Scope<'_>, Said<'_>> = Map::default();
    for permission in &rules.permissions {
        let said = said.entry(Scope::of(permission)).or_default();
        if let Some(line) = said.add(permission) {
            findings.push(repeated(permission.line, line));
        }
    }
    let mut may_be_superfluous: Vec<u32> = Vec::new();
    for Said { allow, deny, conditional, .. } in said.values() {
        if let Some(deny) = deny {
            let message = format!("this never allows anything: line {deny} denies the same, and a deny wins");
            for line in allow.iter().chain(conditional) {
                findings.push(Finding::warning(Place::rules(*line, 1), "shadowed-allow", message.clone()));
            }
        } else {
            may_be_superfluous.extend(conditional);
        }
    }
    may_be_superfluous.sort_unstable();
    superfluous::check(rules, &may_be_superfluous, findings);
}

impl<'a> Said<'a> {
    /// The line that says the same already, if there is one.
    fn add(&mut self, permission: &'a Permission<'_>) -> Option<u32> {
        let first = match (&permission.condition, permission.effect) {
            (Some(condition), _) => {
                if let Some(line) = self.conditions.get(condition.as_ref()) {
                    return Some(*line);
                }
                self.conditions.insert(condition, permission.line);
                self.conditional.push(permission.line);
                return None;
            }
            (None, Effect::Allow) => &mut self.allow,
            (None, Effect::Deny) => &mut self.deny,
        };
        if first.is_none() {
            *first = Some(permission.line);
            return None;
        }
        *first
    }
}

fn repeated_inheritance(rules: &Rules<'_>, findings: &mut Findings) {
    let mut said: Map<(&str, &str, Selector<'_>), u32> = Map::default();
    for rule in &rules.inheritances {
        let first = *said.entry((rule.child, rule.parent, rule.domain)).or_insert(rule.line);
        if first != rule.line {
            findings.push(repeated(rule.line, first));
        }
    }
}

fn repeated(line: u32, first: u32) -> Finding {
    Finding::warning(Place::rules(line, 1), "duplicate-rule", format!("line {first} says the same"))
}

fn catch_alls(rules: &Rules<'_>, findings: &mut Findings) {
    for rule in &rules.permissions {
        let everything = rule.object == Object::Any && rule.action == Selector::Any;
        if everything && rule.effect == Effect::Allow {
            let message = "this allows every action on every object, also on those that are added later";
            findings.push(Finding::warning(Place::rules(rule.line, 1), "catch-all", message));
        }
    }
}

/// A role that is inherited but neither has rules nor inherits any grants nothing: likely a typo.
fn roles_without_rules(rules: &Rules<'_>, findings: &mut Findings) {
    let mut useful: Set<&str> = rules.inheritances.iter().map(|rule| rule.child).collect();
    for permission in &rules.permissions {
        if let Subject::Role(role) = permission.subject {
            useful.insert(role);
        }
    }
    let mut names: Vec<&str> = useful.iter().copied().collect();
    names.sort_unstable();
    let mut told: Set<&str> = Set::default();
    for rule in rules.inheritances.iter().filter(|rule| !useful.contains(rule.parent)) {
        if !told.insert(rule.parent) {
            continue;
        }
        let message = format!("no rule gives {} anything to inherit", quoted(rule.parent));
        let others = names.iter().copied().filter(|name| *name != rule.child);
        let fix = if told.len() <= MAX_SUGGESTIONS { closest(rule.parent, others) } else { None };
        let place = Place::rules(rule.line, rule.parent_column);
        findings.push(Finding::warning(place, "role-unknown", message).with_fix(fix));
    }
}
