//! The names of two policies, numbered alike, and what each gives to whom.

use crate::analysis::Analysis;
use crate::intern::{Map, Set};
use crate::ledger::{EVERY, Holder, Link, Objects, Row, Texts};
use crate::object::matches;
use crate::rules::Effect;

/// Every name of two policies.
#[derive(Default)]
pub(crate) struct Universe {
    pub(crate) roles: Texts,
    pub(crate) users: Texts,
    pub(crate) domains: Texts,
    pub(crate) objects: Objects,
    pub(crate) actions: Texts,
    /// In words.
    conditions: Texts,
}

/// What holds for someone: a rule without its line and subject, in the numbers of the universe.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Clause {
    pub(crate) domain: u32,
    pub(crate) object: u32,
    pub(crate) action: u32,
    pub(crate) denies: bool,
    /// What has to be met, if anything.
    pub(crate) condition: Option<u32>,
}

/// How many rules are looked at in the time of one decision.
const LOOKS: usize = 16;

/// A step of inheritance without its line.
type Step = (u32, u32);

/// One of the two policies.
pub(crate) struct Side<'a> {
    pub(crate) analysis: &'a Analysis,
    /// The number of each of its roles in the universe.
    roles: Vec<u32>,
    domains: Vec<u32>,
    objects: Vec<u32>,
    actions: Vec<u32>,
    /// By line.
    conditions: Map<u32, u32>,
    rows: Map<Holder, Vec<Row>>,
    special: Vec<u32>,
}

impl Universe {
    pub(crate) fn add<'a>(&mut self, analysis: &'a Analysis) -> Side<'a> {
        let ledger = &analysis.ledger;
        let mut rows: Map<Holder, Vec<Row>> = Map::default();
        let mut conditions = Map::default();
        for row in &ledger.rows {
            rows.entry(row.subject).or_default().push(*row);
            if let Some(condition) = analysis.snapshot().condition(row.line) {
                conditions.insert(row.line, self.conditions.number(&condition.to_string()));
            }
        }
        for user in ledger.users.iter() {
            self.users.number(user);
        }
        let objects = ledger.objects.keys().zip(ledger.objects.iter());
        Side {
            analysis,
            rows,
            conditions,
            roles: ledger.roles.iter().map(|name| self.roles.number(name)).collect(),
            domains: ledger.domains.iter().map(|name| self.domains.number(name)).collect(),
            objects: objects.map(|(key, text)| self.objects.number(key, text)).collect(),
            actions: ledger.actions.iter().map(|name| self.actions.number(name)).collect(),
            special: ledger.special_domains(),
        }
    }

    /// An object that no rule but those for every object matches, as far as there is one.
    pub(crate) fn unnamed_object(&self) -> String {
        const SHAPES: [&str; 8] = ["~", "/~", "~/~", "/~/~", "~/~/~", "/~/~/~", "~/~/~/~", "/~/~/~/~"];
        let free = |shape: &&&str| !self.objects.iter().any(|object| object != "*" && matches(object, shape));
        SHAPES.iter().find(free).unwrap_or(&"~").to_string()
    }

    pub(crate) fn unnamed_action(&self) -> String {
        let mut action = "~".to_owned();
        while self.actions.get(&action).is_some() {
            action.push('~');
        }
        action
    }
}

impl Side<'_> {
    /// What a role says itself, and whom it inherits from.
    fn own(&self, role: u32) -> (Set<Clause>, Set<Step>) {
        let local = Holder::Role(role);
        let clauses = self.rows.get(&local).into_iter().flatten().map(|row| self.clause(row));
        let links = self.analysis.ledger.links();
        let start = links.partition_point(|link| link.child < role);
        let of_role = links.iter().skip(start).take_while(|link| link.child == role);
        (clauses.collect(), of_role.map(|link| self.step(link)).collect())
    }

    fn step(&self, link: &Link) -> Step {
        (number(&self.roles, link.parent), number(&self.domains, link.domain))
    }

    fn clause(&self, row: &Row) -> Clause {
        Clause {
            domain: number(&self.domains, row.domain),
            object: number(&self.objects, row.object),
            action: number(&self.actions, row.action),
            denies: row.effect == Effect::Deny,
            condition: self.conditions.get(&row.line).copied(),
        }
    }

    /// The steps of inheritance, as child and parent in the numbers of the universe.
    fn steps(&self) -> impl Iterator<Item = Step> {
        let links = self.analysis.ledger.links().iter();
        links.map(|link| (number(&self.roles, link.child), number(&self.roles, link.parent)))
    }

    /// All that holds for a user by rules that name the user.
    pub(crate) fn of_user(&self, user: &str) -> Set<Clause> {
        let user = self.analysis.ledger.users.get(user).map(Holder::User);
        let rows = user.and_then(|user| self.rows.get(&user));
        rows.into_iter().flatten().map(|row| self.clause(row)).collect()
    }

    /// All that holds for a role, inherited or not. What is inherited in one domain holds there.
    /// `None` when it takes more work than is left.
    pub(crate) fn of_role(&self, role: &str, work: &mut usize) -> Option<Set<Clause>> {
        let mut clauses = Set::default();
        let ledger = &self.analysis.ledger;
        let Some(role) = ledger.roles.get(role) else { return Some(clauses) };
        let rows = |role: u32| self.rows.get(&Holder::Role(role)).into_iter().flatten();
        let general = ledger.reach([role], None);
        for row in general.order.iter().flat_map(|role| rows(*role)) {
            clauses.insert(self.clause(row));
        }
        for domain in &self.special {
            let reach = ledger.reach([role], Some(*domain));
            *work = work.checked_sub(1 + reach.order.len() / LOOKS)?;
            let more = reach.order.iter().filter(|role| !general.by.contains_key(role));
            for row in more.flat_map(|role| rows(*role)).filter(|row| [EVERY, *domain].contains(&row.domain))
            {
                *work = work.checked_sub(1)?;
                clauses.insert(Clause { domain: number(&self.domains, *domain), ..self.clause(row) });
            }
        }
        *work = work.checked_sub(clauses.len() / LOOKS)?;
        Some(clauses)
    }
}

/// The roles for which anything may differ: what a changed role gives, and all that inherit from it.
pub(crate) fn touched(universe: &Universe, old: &Side<'_>, new: &Side<'_>) -> Vec<u32> {
    let mut children: Map<u32, Vec<u32>> = Map::default();
    for (child, parent) in old.steps().chain(new.steps()) {
        children.entry(parent).or_default().push(child);
    }
    let own = |side: &Side<'_>, name: &str| side.analysis.ledger.roles.get(name).map(|role| side.own(role));
    let changed = |name: &str| own(old, name).unwrap_or_default() != own(new, name).unwrap_or_default();
    let numbered = (0..).zip(universe.roles.iter());
    let mut touched: Vec<u32> = numbered.filter(|(_, name)| changed(name)).map(|(role, _)| role).collect();
    let mut seen: Set<u32> = touched.iter().copied().collect();
    let mut next = 0;
    while let Some(role) = touched.get(next).copied() {
        next += 1;
        let below = children.get(&role).into_iter().flatten();
        touched.extend(below.copied().filter(|child| seen.insert(*child)));
    }
    touched.sort_unstable();
    touched
}

fn number(numbers: &[u32], local: u32) -> u32 {
    numbers.get(local as usize).copied().unwrap_or(EVERY)
}
