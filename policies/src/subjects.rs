//! The subjects of a policy, and which roles a role stands for in each organisation.

use std::collections::BTreeMap;

use crate::inherit::{Closer, Closure, Edge, Fault, Layer, MAX_STEPS};
use crate::intern::{Map, Names, index};
use crate::report::{Finding, Findings, Place, quoted};
use crate::rules::{Inheritance, Rules, Selector, Subject};

/// The subjects of a policy as numbers, with roles closed over inheritance.
#[derive(Default)]
pub(crate) struct Subjects {
    numbers: Names,
    /// By number.
    names: Vec<Box<str>>,
    /// By the subject of the token. A map of its own, so a role can never be taken for a user.
    users: Map<Box<str>, u32>,
    closed: Vec<u32>,
    general: Vec<Closure>,
    /// Per organisation with inheritance of its own, the roles for which more holds there.
    special: Map<u32, Special>,
}

/// The roles for which more holds in one organisation than in every one.
pub(crate) type Special = Map<u32, Closure>;

impl Subjects {
    /// Numbers all subjects, and closes the roles.
    pub(crate) fn compile(rules: &Rules<'_>, domains: &mut Names, findings: &mut Findings) -> Self {
        let mut this = Self::default();
        let mut general = Layer::default();
        let mut special: BTreeMap<u32, Layer> = BTreeMap::new();
        for inheritance in &rules.inheritances {
            let edge = this.edge(inheritance);
            match inheritance.domain {
                Selector::Any => general.add(edge),
                Selector::Named(name) => special.entry(domains.intern(name)).or_default().add(edge),
            }
        }
        this.number_subjects(rules);
        if let Err(fault) = this.close(&general, &special) {
            findings.push(this.describe(&fault));
        }
        this
    }

    /// All roles, in the order in which the rules first name them: inheritance first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    pub(crate) fn number(&self, subject: Subject<'_>) -> Option<u32> {
        match subject {
            Subject::Role(name) => self.numbers.get(name),
            Subject::User(name) => self.users.get(name).copied(),
        }
    }

    /// What holds in this domain beyond what holds in every one.
    pub(crate) fn special(&self, domain: u32) -> Option<&Special> {
        if self.special.is_empty() { None } else { self.special.get(&domain) }
    }

    /// The role itself and all that it inherits, sorted. Empty for an unknown role.
    pub(crate) fn closure(&self, role: &str, special: Option<&Special>) -> &[u32] {
        let Some(role) = self.numbers.get(role) else { return &[] };
        let special = special.and_then(|roles| roles.get(&role));
        let closure = special.or_else(|| self.general.get(role as usize));
        closure.map_or(&[], |closure| closure.run.of(&self.closed))
    }

    /// The subject of the rules that name this user, as a closure of one. Empty if none do.
    pub(crate) fn user(&self, subject: &str) -> &[u32] {
        if self.users.is_empty() {
            return &[];
        }
        self.users.get(subject).map_or(&[], std::slice::from_ref)
    }

    fn edge(&mut self, inheritance: &Inheritance<'_>) -> Edge {
        Edge {
            child: self.number_role(inheritance.child),
            parent: self.number_role(inheritance.parent),
            line: inheritance.line,
            column: inheritance.parent_column,
        }
    }

    fn number_role(&mut self, name: &str) -> u32 {
        let number = self.numbers.intern(name);
        if number as usize == self.names.len() {
            self.names.push(name.into());
        }
        number
    }

    /// Users get the numbers after the roles: no rule lets a user inherit or be inherited.
    fn number_subjects(&mut self, rules: &Rules<'_>) {
        for permission in &rules.permissions {
            if let Subject::Role(name) = permission.subject {
                self.number_role(name);
            }
        }
        for permission in &rules.permissions {
            if let Subject::User(name) = permission.subject {
                let next = index(self.names.len() + self.users.len());
                self.users.entry(name.into()).or_insert(next);
            }
        }
    }

    fn close(&mut self, general: &Layer, special: &BTreeMap<u32, Layer>) -> Result<(), Fault> {
        let mut closer = Closer::new(general, index(self.names.len()))?;
        for (domain, layer) in special {
            self.special.insert(*domain, closer.close(layer)?);
        }
        self.closed = closer.closed;
        self.general = closer.roles;
        Ok(())
    }

    fn describe(&self, fault: &Fault) -> Finding {
        let name = |role: u32| self.names.get(role as usize).map_or_else(String::new, |name| quoted(name));
        let at = |edge: &Edge| Place::rules(edge.line, edge.column);
        match fault {
            Fault::Cycle(edges) => {
                const SHOWN: usize = 8;
                let last = edges.iter().max_by_key(|edge| edge.line);
                let mut path: Vec<_> = edges.iter().take(SHOWN).map(|edge| name(edge.child)).collect();
                path.extend(edges.get(SHOWN).map(|_| "…".to_owned()));
                path.extend(edges.first().map(|edge| name(edge.child)));
                let message = format!("roles inherit in a circle: {}", path.join(" → "));
                Finding::error(last.map_or(Place::rules(1, 1), at), "role-cycle", message)
            }
            Fault::Depth(edge) => {
                let (child, parent) = (name(edge.child), name(edge.parent));
                let message = format!(
                    "with {child} inheriting {parent}, a role is more than {MAX_STEPS} steps from one that it inherits"
                );
                Finding::error(at(edge), "role-depth", message)
            }
            Fault::Size(edge) => {
                let message = "roles inherit more from each other than an index can hold";
                Finding::error(at(edge), "role-size", message)
            }
        }
    }
}
