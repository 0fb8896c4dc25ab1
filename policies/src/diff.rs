//! What changes between two policies, in grants instead of lines.

mod standing;
mod widest;

use std::fmt;

use serde::Serialize;

use crate::analysis::{Analysis, Grantee};
pub use crate::diff::standing::Standing;
use crate::diff::standing::{Kind, standing};
use crate::diff::widest::widest;
use crate::intern::Set;
use crate::ledger::{EVERY, Objects};
use crate::object::meet;
use crate::universe::{Clause, Side, Universe, touched};

/// How many changes are told.
const MAX_CHANGES: usize = 10_000;

/// How many changes of one role or user are held before those that others cover are left out.
const MAX_FOUND: usize = 100_000;

/// How many requests are decided, and how many names are compared in the time of one decision.
const MAX_WORK: usize = 1_000_000;
const LOOKS: usize = 16;

/// What one policy gives that another does not.
///
/// It holds for callers with several roles too: they are denied what one of their roles is denied, and
/// allowed what one of them is allowed.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Each change: roles first, then users, the widest grants first.
    pub changes: Vec<GrantChange>,
    /// Whether these are all. False when there are more than 10,000, or when the policies are so large
    /// and so different that not every rule could be looked at, or have more to tell of conditions than can be held.
    pub complete: bool,
}

/// A grant that is decided otherwise under the new policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GrantChange {
    /// Who has the grant: whoever holds this one role, or this user.
    pub grantee: Grantee,
    /// The domain, or `*` for every domain.
    pub domain: String,
    /// The object or a template, or `*` for every object.
    pub object: String,
    /// The action, or `*` for every action.
    pub action: String,
    /// Whether something within that does not change like this, because a rule of this grantee, old or new, names it: it stays
    /// as it was, or has a change of its own.
    pub exceptions: bool,
    /// What the old policy says.
    pub before: Standing,
    /// What the new policy says.
    pub after: Standing,
    /// A request that shows it.
    pub example: Example,
}

/// The parts of a request that is decided otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// The domain. Empty stands for one that no rule names.
    pub domain: String,
    /// The object.
    pub object: String,
    /// The action.
    pub action: String,
}

impl Analysis {
    /// Finds the grants that are gained and lost, and the denials that come and go, under a new policy.
    ///
    /// Order, comments and the names of parameters make no difference. A change of inheritance shows as
    /// the grants that it brings.
    pub fn diff(&self, new: &Self) -> Difference {
        let mut universe = Universe::default();
        universe.domains.number("*");
        universe.actions.number("*");
        universe.objects.number("*", "*");
        let (old, new) = (universe.add(self), universe.add(new));
        let unnamed = Unnamed { object: universe.unnamed_object(), action: universe.unnamed_action() };
        let mut comparison =
            Comparison { universe: &universe, old, new, unnamed, work: MAX_WORK, looks: MAX_WORK };
        let mut difference = Difference { changes: Vec::new(), complete: true };
        if comparison.run(&mut difference.changes).is_none() {
            difference.complete = false;
            difference.changes.truncate(MAX_CHANGES);
        }
        difference
    }
}

impl GrantChange {
    /// Whether the new policy allows what the old one did not, if only under a condition, or whether no condition is left.
    pub fn is_gain(&self) -> bool {
        self.after.reach() > self.before.reach()
    }

    /// Whether the old policy allowed what the new one does not, or whether it does so under a condition now.
    pub fn is_loss(&self) -> bool {
        self.after.reach() < self.before.reach()
    }
}

/// What stands for all that no rule names. For domains this is the empty one.
struct Unnamed {
    object: String,
    action: String,
}

struct Comparison<'a> {
    universe: &'a Universe,
    old: Side<'a>,
    new: Side<'a>,
    unnamed: Unnamed,
    /// How much more may be looked at.
    work: usize,
    /// How many more names may be compared to find exceptions.
    looks: usize,
}

/// A place where something may have changed: domain, object and action.
type Point<'a> = [&'a str; 3];

impl Comparison<'_> {
    /// `None` when not all could be looked at.
    fn run(&mut self, changes: &mut Vec<GrantChange>) -> Option<()> {
        let universe = self.universe;
        for role in touched(universe, &self.old, &self.new) {
            let name = universe.roles.text(role);
            let old = self.old.of_role(name, &mut self.work)?;
            let new = self.new.of_role(name, &mut self.work)?;
            self.compare(&Grantee::Role(name.to_owned()), &old, &new, changes)?;
        }
        for user in universe.users.iter() {
            let (old, new) = (self.old.of_user(user), self.new.of_user(user));
            self.compare(&Grantee::User(user.to_owned()), &old, &new, changes)?;
        }
        Some(())
    }

    fn compare(
        &mut self,
        grantee: &Grantee,
        old: &Set<Clause>,
        new: &Set<Clause>,
        changes: &mut Vec<GrantChange>,
    ) -> Option<()> {
        let mut differing: Vec<Clause> = old.symmetric_difference(new).copied().collect();
        differing.sort_unstable();
        let clauses = old.union(new);
        let named = Named::of(&clauses, &self.universe.objects);
        let mut found = Vec::new();
        let collected = self.collect(grantee, &differing, &named, &mut found);
        if collected.is_none() {
            // What was found so far is told, with a little more work than was left.
            self.work = MAX_WORK / 4;
        }
        for mut change in widest(found, &mut self.work)? {
            change.exceptions = self.has_exceptions(&change, clauses.clone());
            changes.push(change);
        }
        collected.filter(|()| changes.len() <= MAX_CHANGES)
    }

    /// Decides at every place where one of these clauses may make a difference.
    fn collect(
        &mut self,
        grantee: &Grantee,
        differing: &[Clause],
        named: &Named,
        found: &mut Vec<GrantChange>,
    ) -> Option<()> {
        let mut seen = Set::default();
        for clause in differing {
            for object in self.objects(clause.object, named)? {
                for domain in choices(clause.domain, &named.domains) {
                    for action in choices(clause.action, &named.actions) {
                        self.work = self.work.checked_sub(1)?;
                        if seen.insert((domain, object.clone(), action)) {
                            let (domains, actions) = (&self.universe.domains, &self.universe.actions);
                            let point = [domains.text(domain), &object, actions.text(action)];
                            let decided = self.decide(grantee, point);
                            self.work = self.work.checked_sub(decided.weight())?;
                            found.extend(decided.change(grantee, point));
                        }
                    }
                }
                if found.len() > MAX_FOUND {
                    return None;
                }
            }
        }
        Some(())
    }

    /// The object of a rule, and where it meets the objects of others.
    fn objects(&mut self, of: u32, named: &Named) -> Option<Vec<String>> {
        let text = |object: u32| self.universe.objects.text(object);
        // Two names never meet.
        let others = if is_open(text(of)) { &named.objects } else { &named.open };
        self.work = self.work.checked_sub(others.len() / LOOKS)?;
        let meets = others.iter().filter(|other| **other != of);
        Some(meets.filter_map(|other| meet(text(of), text(*other))).chain([text(of).to_owned()]).collect())
    }

    /// Whether one of the clauses is about a part of a change and has that part decided otherwise. What takes too long to look
    /// at may have some.
    fn has_exceptions<'c>(
        &mut self,
        change: &GrantChange,
        mut clauses: impl Iterator<Item = &'c Clause>,
    ) -> bool {
        let names = self.universe;
        let [domain, object, action] = [&*change.domain, &*change.object, &*change.action];
        if domain != "*" && action != "*" && !is_open(object) {
            return false;
        }
        clauses.any(|clause| {
            let domain = within(domain, names.domains.text(clause.domain));
            let action = within(action, names.actions.text(clause.action));
            let object = meet(object, names.objects.text(clause.object));
            let place = domain.zip(object.as_deref()).zip(action);
            let Some(left) = self.looks.checked_sub(if place.is_some() { LOOKS } else { 1 }) else {
                return true;
            };
            self.looks = left;
            place.is_some_and(|((domain, object), action)| {
                let decided = self.decide(&change.grantee, [domain, object, action]);
                self.looks = self.looks.saturating_sub(decided.weight().saturating_mul(LOOKS));
                decided.kinds() != [change.before.kind(), change.after.kind()]
            })
        })
    }

    /// What both policies say at a place, and a request that shows it.
    fn decide(&self, grantee: &Grantee, [domain, object, action]: Point<'_>) -> Decided {
        let example = Example {
            domain: if domain == "*" { String::new() } else { domain.to_owned() },
            object: self.example(object),
            action: if action == "*" { self.unnamed.action.clone() } else { action.to_owned() },
        };
        let before = standing(self.old.analysis, grantee, &example);
        let after = standing(self.new.analysis, grantee, &example);
        Decided { example, before, after }
    }

    /// An object that this one matches, and as few others as can be.
    fn example(&self, object: &str) -> String {
        if object == "*" {
            return self.unnamed.object.clone();
        }
        // A parameter matches no empty segment, so only what is open matches this.
        let below = object.strip_suffix('*').filter(|below| !self.universe.objects.contains(below));
        below.unwrap_or(object).to_owned()
    }
}

/// What both policies say at a place.
struct Decided {
    example: Example,
    before: Standing,
    after: Standing,
}

impl Decided {
    fn kinds(&self) -> [Kind<'_>; 2] {
        [self.before.kind(), self.after.kind()]
    }

    /// What it costs in decisions, besides itself.
    fn weight(&self) -> usize {
        self.before.weight() + self.after.weight()
    }

    fn change(self, grantee: &Grantee, [domain, object, action]: Point<'_>) -> Option<GrantChange> {
        let Self { example, before, after } = self;
        (before.kind() != after.kind()).then(|| GrantChange {
            grantee: grantee.clone(),
            domain: domain.to_owned(),
            object: object.to_owned(),
            action: action.to_owned(),
            exceptions: false,
            before,
            after,
            example,
        })
    }
}

/// The names in what holds for someone.
struct Named {
    domains: Vec<u32>,
    objects: Vec<u32>,
    /// Those of the objects that are no names.
    open: Vec<u32>,
    actions: Vec<u32>,
}

impl Named {
    fn of<'a>(clauses: &(impl Iterator<Item = &'a Clause> + Clone), texts: &Objects) -> Self {
        let sorted = |part: fn(&Clause) -> u32| {
            let mut names: Vec<u32> = clauses.clone().map(part).chain([EVERY]).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let objects = sorted(|clause| clause.object);
        let open = objects.iter().copied().filter(|object| is_open(texts.text(*object))).collect();
        Self {
            domains: sorted(|clause| clause.domain),
            objects,
            open,
            actions: sorted(|clause| clause.action),
        }
    }
}

/// Whether an object is no name: whether it can match more than one request.
fn is_open(object: &str) -> bool {
    object.contains(['*', '{'])
}

/// What two names have in common, each of which may be `*`.
fn within<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    match (one, other) {
        ("*", name) | (name, "*") => Some(name),
        (one, other) => (one == other).then_some(one),
    }
}

/// Every name for `*`, else the name itself.
fn choices(of: u32, named: &[u32]) -> impl Iterator<Item = u32> {
    let all = if of == EVERY { named } else { &[] };
    all.iter().copied().chain((of != EVERY).then_some(of))
}

impl fmt::Display for GrantChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grantee, domain, object, action, .. } = self;
        let exceptions = if self.exceptions { ", with exceptions" } else { "" };
        write!(out, "{grantee} in {domain}: {action} {object}: {} -> {}{exceptions}", self.before, self.after)
    }
}
