//! The rules in numbers, in the order of their lines: what the index does not keep.

use crate::intern::{Map, Names, index};
use crate::rules::{Effect, Permission, Rules, Selector, Subject};

/// The number of `*` among names.
pub(crate) const EVERY: u32 = 0;

/// Every rule of a policy, a few bytes each, and every name once.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The `p` lines, in their order.
    pub(crate) rows: Vec<Row>,
    /// The `g` lines, by child and then in their order.
    links: Vec<Link>,
    pub(crate) roles: Texts,
    pub(crate) users: Texts,
    pub(crate) domains: Texts,
    pub(crate) objects: Objects,
    pub(crate) actions: Texts,
}

/// A `p` line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) line: u32,
    pub(crate) subject: Holder,
    pub(crate) domain: u32,
    pub(crate) object: u32,
    pub(crate) action: u32,
    pub(crate) effect: Effect,
}

/// Whom a rule names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Holder {
    Role(u32),
    User(u32),
}

/// A `g` line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) child: u32,
    pub(crate) parent: u32,
    pub(crate) domain: u32,
    pub(crate) line: u32,
}

/// Names by number and numbers by name.
#[derive(Default)]
pub(crate) struct Texts {
    numbers: Names,
    texts: Vec<Box<str>>,
}

/// Objects of rules. All spellings that match the same requests have one number, and the first text.
#[derive(Default)]
pub(crate) struct Objects {
    keys: Texts,
    texts: Vec<Box<str>>,
}

impl Ledger {
    pub(crate) fn of(rules: &Rules<'_>) -> Self {
        let mut this = Self::default();
        for names in [&mut this.domains, &mut this.actions] {
            names.number("*");
        }
        this.objects.number("*", "*");
        this.rows.reserve_exact(rules.permissions.len());
        for permission in &rules.permissions {
            let row = this.row(permission);
            this.rows.push(row);
        }
        for rule in &rules.inheritances {
            let (child, parent) = (this.roles.number(rule.child), this.roles.number(rule.parent));
            let domain = selector(&mut this.domains, rule.domain);
            this.links.push(Link { child, parent, domain, line: rule.line });
        }
        this.links.sort_by_key(|link| link.child);
        this
    }

    /// The `p` line with this number.
    pub(crate) fn row_at(&self, line: u32) -> Option<&Row> {
        let position = self.rows.binary_search_by_key(&line, |row| row.line).ok()?;
        self.rows.get(position)
    }

    /// Whom a role inherits from, in this domain or (if it is `None`) in every one.
    pub(crate) fn parents(&self, role: u32, domain: Option<u32>) -> impl Iterator<Item = &Link> {
        let start = self.links.partition_point(|link| link.child < role);
        let of_role = self.links.iter().skip(start).take_while(move |link| link.child == role);
        of_role.filter(move |link| link.domain == EVERY || Some(link.domain) == domain)
    }

    /// The `g` lines.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The domains in which more is inherited than in every one.
    pub(crate) fn special_domains(&self) -> Vec<u32> {
        let mut domains: Vec<u32> = self.links.iter().map(|link| link.domain).collect();
        domains.sort_unstable();
        domains.dedup();
        domains.retain(|domain| *domain != EVERY);
        domains
    }

    fn row(&mut self, permission: &Permission<'_>) -> Row {
        let Permission { line, effect, .. } = *permission;
        let subject = match permission.subject {
            Subject::Role(name) => Holder::Role(self.roles.number(name)),
            Subject::User(name) => Holder::User(self.users.number(name)),
        };
        let domain = selector(&mut self.domains, permission.domain);
        let object = self.objects.number(&permission.object.key(), permission.object.text());
        let action = selector(&mut self.actions, permission.action);
        Row { line, subject, domain, object, action, effect }
    }
}

fn selector(names: &mut Texts, selector: Selector<'_>) -> u32 {
    match selector {
        Selector::Any => EVERY,
        Selector::Named(name) => names.number(name),
    }
}

impl Texts {
    pub(crate) fn get(&self, text: &str) -> Option<u32> {
        self.numbers.get(text)
    }

    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", AsRef::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let number = self.numbers.intern(text);
        if number as usize == self.texts.len() {
            self.texts.push(text.into());
        }
        number
    }
}

impl Objects {
    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", AsRef::as_ref)
    }

    pub(crate) fn get(&self, key: &str) -> Option<u32> {
        self.keys.get(key)
    }

    /// Whether a rule names this very object.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.keys.get(name).is_some()
    }

    /// What is the same for all spellings of each object.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    pub(crate) fn number(&mut self, key: &str, text: &str) -> u32 {
        let number = self.keys.number(key);
        if number as usize == self.texts.len() {
            self.texts.push(text.into());
        }
        number
    }
}

/// What a role reaches by inheritance in one domain, with the link by which each was reached first.
pub(crate) struct Reach {
    /// Per role that is reached: from which link. `None` for where it starts.
    pub(crate) by: Map<u32, Option<Link>>,
    /// Nearest first.
    pub(crate) order: Vec<u32>,
}

impl Ledger {
    /// Goes up from all of these roles at once, so the shortest way to each is found first.
    pub(crate) fn reach(&self, from: impl IntoIterator<Item = u32>, domain: Option<u32>) -> Reach {
        let mut reach = Reach { by: Map::default(), order: Vec::new() };
        for role in from {
            if reach.by.insert(role, None).is_none() {
                reach.order.push(role);
            }
        }
        reach.order.dedup();
        let mut next = 0;
        while let Some(role) = reach.order.get(next).copied() {
            next += 1;
            for link in self.parents(role, domain) {
                if let std::collections::hash_map::Entry::Vacant(slot) = reach.by.entry(link.parent) {
                    slot.insert(Some(*link));
                    reach.order.push(link.parent);
                }
            }
        }
        debug_assert!(reach.order.len() == index(reach.by.len()) as usize, "each role once");
        reach
    }
}
