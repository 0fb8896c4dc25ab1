//! The permissions, by object, then by domain and action, then by role.

use crate::intern::{Map, Names, Run, index};
use crate::kinds::KindSet;
use crate::object::{Object, is_canonical};
use crate::report::{Finding, Findings, Place};
use crate::rules::{Effect, Permission, Selector};
use crate::subjects::Subjects;
use crate::trie::Trie;

/// The number of `*` among domains and actions.
const EVERY: u32 = 0;

/// How many pairs of a known object and a template that matches it are kept.
const MAX_OVERLAPS: usize = 8_000_000;

/// How many nodes of the tree of templates one request may visit, and the texts of all rules together.
const MAX_WALK: usize = 1_000;
const MAX_WALKS: usize = 50_000_000;

/// How long the object of a request may be.
pub(crate) const MAX_OBJECT_BYTES: usize = 4096;

/// Above this many cells an object is searched instead of read through.
const READ_THROUGH: usize = 8;

/// Domains or actions of a policy as numbers.
pub(crate) fn selectors() -> Names {
    let mut names = Names::default();
    names.intern("*");
    names
}

/// All permissions of a policy.
#[derive(Default)]
pub(crate) struct Index {
    /// Per name or template in the rules, what matches a request for that very text.
    known: Map<Box<str>, Known>,
    overlaps: Vec<u32>,
    templates: Trie,
    /// The object `*`.
    any: Option<u32>,
    /// Per object, its cells, sorted by key.
    objects: Vec<Run>,
    cells: Vec<Cell>,
    grants: Vec<Grant>,
}

/// The objects that match a text in the rules.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// The cells of one of them. Most texts have no other.
    cells: Run,
    /// The others, in `overlaps`.
    others: Run,
}

/// A domain and an action, or all of either.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    domain: u32,
    action: u32,
}

/// What the rules say about one object, one domain (or all) and one action (or all).
struct Cell {
    key: Key,
    allow: Run,
    deny: Run,
}

/// That a rule names a subject. Sorted by subject within a cell.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Grant {
    subject: u32,
    line: u32,
}

/// The lines of the first rules that speak for and against a request.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    allow: u32,
    deny: u32,
}

/// The line of no rule.
const NONE: u32 = u32::MAX;

impl Default for Verdict {
    fn default() -> Self {
        Self { allow: NONE, deny: NONE }
    }
}

impl Verdict {
    /// A deny wins.
    pub(crate) fn allows(self) -> bool {
        self.allow != NONE && self.deny == NONE
    }

    /// The line that decided.
    pub(crate) fn rule(self) -> Option<u32> {
        let line = if self.deny == NONE { self.allow } else { self.deny };
        (line != NONE).then_some(line)
    }
}

/// The object of a request, found to be comparable with rules.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// The rules have this very text: what matches it is known.
    Known(Known),
    Other(&'a str),
}

/// The domain and the action of a request; `UNNAMED` where no rule names it.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) domain: u32,
    pub(crate) action: u32,
}

impl Index {
    /// Of the lines that give one thing to one subject, the first of each kind is kept.
    pub(crate) fn compile<'r>(
        permissions: impl Iterator<Item = &'r Permission<'r>> + Clone,
        kind: impl Fn(u32) -> u8,
        numbers: &mut Numbers<'_>,
        findings: &mut Findings,
    ) -> Self {
        let mut this = Self::default();
        let mut rows: Vec<Row> = Vec::with_capacity(permissions.clone().count());
        let mut names = Map::default();
        for permission in permissions.clone() {
            let object = this.number_object(&permission.object, &mut names);
            rows.extend(numbers.row(permission, object));
        }
        rows.sort_unstable();
        this.fill(&rows, &kind);
        if let Err(message) = this.relate(permissions, rows.len(), &names) {
            findings.push(Finding::error(Place::rules(1, 1), "object-overlap", message));
        }
        this
    }

    /// The object of a request, unless it is written in a way that no rule is.
    pub(crate) fn target<'a>(&self, object: &'a str) -> Option<Target<'a>> {
        if let Some(known) = self.known.get(object) {
            return Some(Target::Known(*known));
        }
        (object.len() <= MAX_OBJECT_BYTES && is_canonical(object)).then_some(Target::Other(object))
    }

    /// Adds to the verdict what the rules say about these subjects.
    pub(crate) fn judge(
        &self,
        target: Target<'_>,
        question: Question,
        subjects: &[&[u32]],
        verdict: &mut Verdict,
    ) {
        self.visit(target, question, &mut |cell| {
            for closure in subjects {
                verdict.allow = verdict.allow.min(first_common(cell.allow.of(&self.grants), closure));
                verdict.deny = verdict.deny.min(first_common(cell.deny.of(&self.grants), closure));
            }
        });
    }

    /// Calls `found` with the lines of the rules that allow it to one of these subjects: in each cell and for each subject, the
    /// first of each kind.
    pub(crate) fn each_line(
        &self,
        target: Target<'_>,
        question: Question,
        subjects: &[&[u32]],
        found: &mut impl FnMut(u32),
    ) {
        self.visit(target, question, &mut |cell| {
            for closure in subjects {
                common_lines(cell.allow.of(&self.grants), closure, found);
            }
        });
    }

    fn visit(&self, target: Target<'_>, question: Question, found: &mut impl FnMut(&Cell)) {
        match target {
            Target::Known(known) => {
                self.visit_cells(known.cells, question, found);
                for object in known.others.of(&self.overlaps) {
                    self.visit_object(*object, question, found);
                }
            }
            Target::Other(path) => {
                self.templates.find(path, &mut |object| self.visit_object(object, question, found));
            }
        }
        if let Some(object) = self.any {
            self.visit_object(object, question, found);
        }
    }

    fn visit_object(&self, object: u32, question: Question, found: &mut impl FnMut(&Cell)) {
        if let Some(cells) = self.objects.get(object as usize) {
            self.visit_cells(*cells, question, found);
        }
    }

    fn visit_cells(&self, cells: Run, question: Question, found: &mut impl FnMut(&Cell)) {
        let cells = cells.of(&self.cells);
        if cells.len() <= READ_THROUGH {
            cells.iter().filter(|cell| question.concerns(cell.key)).for_each(found);
            return;
        }
        for key in question.keys() {
            let place = cells.binary_search_by_key(&key, |cell| cell.key).ok();
            if let Some(cell) = place.and_then(|position| cells.get(position)) {
                found(cell);
            }
        }
    }

    /// Numbers an object: one number for all spellings that match the same requests.
    fn number_object<'r>(&mut self, object: &Object<'r>, names: &mut Map<&'r str, u32>) -> u32 {
        let next = index(self.objects.len());
        let number = match object {
            Object::Any => *self.any.get_or_insert(next),
            Object::Name(name) => *names.entry(name).or_insert(next),
            Object::Template(template) => self.templates.insert(template, next),
        };
        if number == next {
            self.objects.push(Run::default());
        }
        number
    }

    fn fill(&mut self, rows: &[Row], kind: &impl Fn(u32) -> u8) {
        for of_object in rows.chunk_by(|a, b| a.object == b.object) {
            let start = self.cells.len();
            let mut cells = Vec::new();
            for of_cell in of_object.chunk_by(|a, b| a.key == b.key) {
                let split = of_cell.partition_point(|row| !row.deny);
                let (allow, deny) = of_cell.split_at_checked(split).unwrap_or((of_cell, &[]));
                let allow = Run::append(&mut self.grants, grants(allow, kind));
                let deny = Run::append(&mut self.grants, grants(deny, kind));
                cells.extend(of_cell.first().map(|row| Cell { key: row.key, allow, deny }));
            }
            let run = Run::append(&mut self.cells, cells);
            debug_assert!(self.cells.len() > start, "every row is in a cell");
            let object = of_object.first().and_then(|row| self.objects.get_mut(row.object as usize));
            if let Some(slot) = object {
                *slot = run;
            }
        }
    }

    /// Finds, for every text in the rules, the objects that match it, unless that takes too long.
    fn relate<'r>(
        &mut self,
        permissions: impl Iterator<Item = &'r Permission<'r>>,
        count: usize,
        names: &Map<&str, u32>,
    ) -> Result<(), String> {
        let walk = self.templates.longest_walk();
        if walk > MAX_WALK || walk.saturating_mul(count) > MAX_WALKS {
            return Err(format!(
                "for one request, {walk} parts of templates would be compared: too many templates differ only in \
                 which of their segments are parameters"
            ));
        }
        for permission in permissions {
            let (text, own) = match &permission.object {
                Object::Any => continue,
                Object::Name(name) => (*name, names.get(name).copied()),
                Object::Template(template) => (template.text, None),
            };
            if self.known.contains_key(text) {
                continue;
            }
            let mut matching: Vec<u32> = own.into_iter().collect();
            self.templates.find(text, &mut |object| matching.push(object));
            let first = matching.pop().and_then(|object| self.objects.get(object as usize));
            let cells = first.copied().unwrap_or_default();
            let others = Run::append(&mut self.overlaps, matching);
            if self.overlaps.len() > MAX_OVERLAPS {
                return Err("more templates match each other's objects than an index can hold".to_owned());
            }
            self.known.insert(text.into(), Known { cells, others });
        }
        Ok(())
    }
}

/// Gives the parts of permissions their numbers.
pub(crate) struct Numbers<'a> {
    pub(crate) subjects: &'a Subjects,
    pub(crate) domains: &'a mut Names,
    pub(crate) actions: &'a mut Names,
}

impl Numbers<'_> {
    fn row(&mut self, permission: &Permission<'_>, object: u32) -> Option<Row> {
        let domain = selector(self.domains, permission.domain);
        let action = selector(self.actions, permission.action);
        Some(Row {
            object,
            key: Key { domain, action },
            deny: permission.effect == Effect::Deny,
            grant: Grant { subject: self.subjects.number(permission.subject)?, line: permission.line },
        })
    }
}

fn selector(names: &mut Names, selector: Selector<'_>) -> u32 {
    match selector {
        Selector::Any => EVERY,
        Selector::Named(name) => names.intern(name),
    }
}

/// A permission in numbers, in the order in which it is filed.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Row {
    object: u32,
    key: Key,
    deny: bool,
    grant: Grant,
}

fn grants(rows: &[Row], kind: &impl Fn(u32) -> u8) -> impl Iterator<Item = Grant> {
    let (mut subject, mut kept) = (None, KindSet::default());
    rows.iter().map(|row| row.grant).filter(move |grant| {
        if subject.replace(grant.subject) != Some(grant.subject) {
            kept = KindSet::default();
        }
        kept.insert(kind(grant.line))
    })
}

impl Question {
    fn concerns(self, key: Key) -> bool {
        (key.domain == EVERY || key.domain == self.domain)
            && (key.action == EVERY || key.action == self.action)
    }

    /// The keys of the cells that concern this question.
    fn keys(self) -> [Key; 4] {
        let Self { domain, action } = self;
        [
            Key { domain, action },
            Key { domain, action: EVERY },
            Key { domain: EVERY, action },
            Key { domain: EVERY, action: EVERY },
        ]
    }
}

/// The first line among the grants whose subject is in the closure, or [`NONE`]. Both are sorted: the
/// longer one is searched for each of the shorter.
fn first_common(grants: &[Grant], closure: &[u32]) -> u32 {
    if grants.len() <= closure.len() {
        let common = grants.iter().filter(|grant| closure.binary_search(&grant.subject).is_ok());
        return common.map(|grant| grant.line).min().unwrap_or(NONE);
    }
    let find = |role: &u32| grants.binary_search_by_key(role, |grant| grant.subject).ok();
    let lines = closure.iter().filter_map(|role| Some(grants.get(find(role)?)?.line));
    lines.min().unwrap_or(NONE)
}

/// The lines of all grants whose subject is in the closure. Both are sorted, and a subject may have several grants.
fn common_lines(grants: &[Grant], closure: &[u32], found: &mut impl FnMut(u32)) {
    if grants.len() <= closure.len() {
        let common = grants.iter().filter(|grant| closure.binary_search(&grant.subject).is_ok());
        common.for_each(|grant| found(grant.line));
        return;
    }
    for role in closure {
        let start = grants.partition_point(|grant| grant.subject < *role);
        let of_role = grants.iter().skip(start).take_while(|grant| grant.subject == *role);
        of_role.for_each(|grant| found(grant.line));
    }
}
