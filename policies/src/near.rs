//! What is nearly allowed: the rules that would allow a request if little were otherwise.

use std::fmt;

use serde::Serialize;

use crate::analysis::Analysis;
use crate::condition::Condition;
use crate::intern::Map;
use crate::ledger::{EVERY, Holder, Reach, Row};
use crate::object::{distance, matches};
use crate::request::{Decision, Part, Request, Roles};
use crate::rules::Effect;

/// How many near misses are named.
const MAX_MISSES: usize = 10;

/// How many candidates are tried, best first.
const MAX_TRIED: usize = 500;

/// In how many domains a role that is not held is looked for.
const MAX_DOMAINS: usize = 1_000;

/// How many parts of a request may be otherwise in a near miss.
const MAX_CHANGES: usize = 2;

/// A rule that would allow the request if something were otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NearMiss {
    /// The line in the rules, from 1.
    pub line: u32,
    /// What would have to be otherwise. All of it: two at most.
    pub changes: Vec<Change>,
    /// What would have to be met beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// One thing that would have to be otherwise.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Change {
    /// The action were this.
    Action(String),
    /// The organisation were this.
    Domain(String),
    /// The object were this, or one that matches this template.
    Object(String),
    /// The caller had this role.
    Role(String),
    /// The caller were this user.
    User(String),
}

impl fmt::Display for NearMiss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        let condition = self.condition.as_ref().map(|condition| format!(", if {condition}"));
        let condition = condition.unwrap_or_default();
        if let [Change::Role(role)] = self.changes.as_slice() {
            return write!(out, "role {role} has it by line {line}{condition}; the caller does not hold it");
        }
        if let [Change::User(user)] = self.changes.as_slice() {
            return write!(out, "user {user} has it by line {line}{condition}; the caller is another");
        }
        write!(out, "line {line} would match if ")?;
        for (position, change) in self.changes.iter().enumerate() {
            let and = if position > 0 { " and " } else { "" };
            write!(out, "{and}{change}")?;
        }
        self.condition.as_ref().map_or(Ok(()), |condition| write!(out, " and {condition}"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(action) => write!(out, "the action were {action}"),
            Self::Domain(domain) => write!(out, "the domain were {domain}"),
            Self::Object(object) => write!(out, "the object were {object}"),
            Self::Role(role) => write!(out, "the caller held {role}"),
            Self::User(user) => write!(out, "the caller were {user}"),
        }
    }
}

/// The first rule that allows the request, whatever denies it: the first without a condition if there is one.
pub(crate) fn allowing_line(analysis: &Analysis, request: &Request<'_>, reach: &Reach) -> Option<u32> {
    let mut comparison = Comparison::new(analysis, request, reach);
    let mut conditional = None;
    for row in analysis.ledger.rows.iter().filter(|row| row.effect == Effect::Allow) {
        if comparison.misses(row).count > 0 {
            continue;
        }
        if analysis.snapshot().condition(row.line).is_none() {
            return Some(row.line);
        }
        conditional = conditional.or(Some(row.line));
    }
    conditional
}

/// The near misses of a request that is denied, nearest first.
pub(crate) fn misses(analysis: &Analysis, request: &Request<'_>, reach: &Reach) -> Vec<NearMiss> {
    let mut comparison = Comparison::new(analysis, request, reach);
    let mut candidates: Vec<(Misses, &Row)> = Vec::new();
    for row in analysis.ledger.rows.iter().filter(|row| row.effect == Effect::Allow) {
        let misses = comparison.misses(row);
        if (1..=MAX_CHANGES).contains(&misses.count) {
            candidates.push((misses, row));
        }
    }
    candidates.sort_unstable_by_key(|(misses, row)| (misses.count, misses.cost, row.line));
    // Whoever could have it by a condition as it is learns nothing from another one.
    let is_conditional = analysis.may_allow(analysis.decide(request));
    let mut found: Vec<NearMiss> = Vec::new();
    for (misses, row) in candidates.into_iter().take(MAX_TRIED) {
        for changes in comparison.ways(misses, row) {
            if found.len() == MAX_MISSES {
                return found;
            }
            // What needs more than a change that is told already says nothing new.
            let told = found.iter().any(|miss| miss.changes.iter().all(|change| changes.contains(change)));
            if told {
                continue;
            }
            let decision = changed(analysis, request, &changes);
            let condition = analysis.snapshot().condition(row.line);
            match decision.rule.filter(|_| decision.allowed) {
                // Another rule may allow it without a condition.
                Some(rule) => {
                    let line = if condition.is_some() { rule.line } else { row.line };
                    found.push(NearMiss { line, changes, condition: None });
                }
                None if !is_conditional && analysis.may_allow(decision) => {
                    found.push(NearMiss { line: row.line, changes, condition: condition.cloned() });
                }
                None => {}
            }
        }
    }
    found
}

/// What is decided of the request with these changes: a rule that a denial stops is no help.
fn changed(analysis: &Analysis, request: &Request<'_>, changes: &[Change]) -> Decision {
    let mut other = *request;
    let mut roles: Vec<&str> = request.roles.iter().collect();
    for change in changes {
        match change {
            Change::Action(action) => other.action = action,
            Change::Domain(domain) => other.domain = domain,
            Change::Object(object) => other.object = object,
            Change::Role(role) => roles.push(role),
            Change::User(user) => other.subject = user,
        }
    }
    analysis.decide(&Request { roles: Roles::from(roles.as_slice()), ..other })
}

/// In what a rule differs from a request.
#[derive(Clone, Copy, Default)]
struct Misses {
    /// As many as there may be: those beyond are only counted.
    parts: [Option<Part>; MAX_CHANGES],
    count: usize,
    /// How far away the rule is.
    cost: u32,
}

impl Misses {
    fn add(&mut self, part: Part, cost: u32) {
        if let Some(slot) = self.parts.get_mut(self.count) {
            *slot = Some(part);
        }
        self.count += 1;
        self.cost += cost;
    }
}

/// A request beside the rules, with what was found out about each name.
struct Comparison<'a> {
    analysis: &'a Analysis,
    request: &'a Request<'a>,
    domain: Option<u32>,
    action: Option<u32>,
    user: Option<u32>,
    reach: &'a Reach,
    /// Per object of the rules, how far it is from the object of the request: 0 if it matches.
    objects: Vec<u32>,
    elsewhere: Elsewhere,
}

/// What the caller reaches in other domains than that of the request.
struct Elsewhere {
    /// The domains in which more is inherited than in every one, sorted.
    special: Vec<u32>,
    /// What is reached in them, as far as it was asked for.
    reached: Map<u32, Reach>,
    /// What is reached in any other.
    general: Reach,
}

/// How far away another action, domain or subject is; an object is as far as its segments say.
const ACTION_COST: u32 = 2;
const DOMAIN_COST: u32 = 4;
const OBJECT_COST: u32 = 3;
const ROLE_COST: u32 = 5;
const USER_COST: u32 = 20;

impl<'a> Comparison<'a> {
    fn new(analysis: &'a Analysis, request: &'a Request<'a>, reach: &'a Reach) -> Self {
        let ledger = &analysis.ledger;
        let asked = request.object;
        let far = |rule: &str| if matches(rule, asked) { 0 } else { distance(rule, asked).max(1) };
        let special = ledger.special_domains();
        let general = analysis.reach(&Request { domain: "", ..*request });
        Self {
            analysis,
            request,
            domain: analysis.domain(request.domain),
            action: ledger.actions.get(request.action).filter(|action| *action != EVERY),
            user: ledger.users.get(request.subject),
            reach,
            objects: ledger.objects.iter().map(far).collect(),
            elsewhere: Elsewhere { special, reached: Map::default(), general },
        }
    }

    fn misses(&mut self, row: &Row) -> Misses {
        let mut misses = Misses::default();
        let far = self.objects.get(row.object as usize).copied().unwrap_or(1);
        if far > 0 {
            misses.add(Part::Object, far * OBJECT_COST);
        }
        if row.action != EVERY && Some(row.action) != self.action {
            misses.add(Part::Action, ACTION_COST);
        }
        let other_domain = row.domain != EVERY && Some(row.domain) != self.domain;
        if other_domain {
            misses.add(Part::Domain, DOMAIN_COST);
        }
        if misses.count <= MAX_CHANGES && !self.holds(row, other_domain) {
            let cost = if matches!(row.subject, Holder::User(_)) { USER_COST } else { ROLE_COST };
            misses.add(Part::Subject, cost);
        }
        misses
    }

    fn holds(&mut self, row: &Row, in_its_domain: bool) -> bool {
        let role = match row.subject {
            Holder::User(user) => return Some(user) == self.user,
            Holder::Role(role) => role,
        };
        let reach = if in_its_domain { self.reach_in(row.domain) } else { self.reach };
        reach.by.contains_key(&role)
    }

    fn reach_in(&mut self, domain: u32) -> &Reach {
        let Self { analysis, request, .. } = *self;
        if self.elsewhere.special.binary_search(&domain).is_err() {
            return &self.elsewhere.general;
        }
        let reach = || {
            let domain = analysis.ledger.domains.text(domain);
            analysis.reach(&Request { domain, ..*request })
        };
        self.elsewhere.reached.entry(domain).or_insert_with(reach)
    }

    /// The changes that make the rule match. More than one way if a role that is not held here is
    /// inherited in another domain.
    fn ways(&mut self, misses: Misses, row: &Row) -> Vec<Vec<Change>> {
        let ledger = &self.analysis.ledger;
        let mut changes = Vec::new();
        for part in misses.parts.into_iter().flatten() {
            changes.push(match part {
                Part::Action => Change::Action(ledger.actions.text(row.action).to_owned()),
                Part::Domain => Change::Domain(ledger.domains.text(row.domain).to_owned()),
                Part::Object => Change::Object(ledger.objects.text(row.object).to_owned()),
                Part::Subject => match row.subject {
                    Holder::Role(role) => Change::Role(ledger.roles.text(role).to_owned()),
                    Holder::User(user) => Change::User(ledger.users.text(user).to_owned()),
                },
            });
        }
        let mut ways = vec![changes];
        if let (Some(Change::Role(_)), Holder::Role(role)) = (ways.iter().flatten().last(), row.subject)
            && row.domain == EVERY
            && let Some(domain) = self.domain_of(role)
        {
            let domain = Change::Domain(ledger.domains.text(domain).to_owned());
            let others = ways.iter().flatten().filter(|change| !matches!(change, Change::Role(_))).cloned();
            ways.insert(0, others.chain([domain]).collect());
        }
        ways
    }

    /// A domain in which the caller reaches this role.
    fn domain_of(&mut self, role: u32) -> Option<u32> {
        let domains: Vec<u32> = self.elsewhere.special.iter().copied().take(MAX_DOMAINS).collect();
        domains.into_iter().find(|domain| self.reach_in(*domain).by.contains_key(&role))
    }
}
