//! Who may do something, and what someone may do.

use serde::Serialize;

use crate::analysis::{Analysis, Grantee, RuleEffect, Ruling};
use crate::intern::{Map, Set};
use crate::ledger::{EVERY, Holder, Row};
use crate::object::{covers, overlap};
use crate::request::{Request, Roles};
use crate::rules::Effect;

/// The most entries of one page.
const MAX_PAGE: usize = 1_000;

/// How many denials are named beside one permission.
const MAX_EXCEPTIONS: usize = 20;

/// A part of a long answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// How many entries are passed over.
    pub offset: usize,
    /// How many are wanted. At most 1,000 are given.
    pub limit: usize,
}

impl Page {
    /// The first 1,000 entries.
    pub const FIRST: Self = Self { offset: 0, limit: MAX_PAGE };

    fn of<T>(self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.skip(self.offset).take(self.limit.min(MAX_PAGE))
    }
}

/// Who may do something.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Allowed {
    /// Each role that gives it, and each user to whom a rule gives it: roles first, in the order in
    /// which the rules name them. Of these, the page that was asked for.
    pub allowed: Vec<Access>,
    /// How many there are in all.
    pub allowed_total: usize,
    /// Roles and users to whom a rule denies it, whatever other roles they have. The same page.
    pub denied: Vec<Access>,
    /// How many there are in all.
    pub denied_total: usize,
}

/// A role or a user, and the rule that decides for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Access {
    /// The role or the user.
    pub grantee: Grantee,
    /// The rule, and the way from the role to it.
    pub rule: Ruling,
}

/// What someone may do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Permissions {
    /// The rules that concern the caller, in the order of their lines. Of these, a page.
    pub permissions: Vec<EffectivePermission>,
    /// How many there are in all.
    pub total: usize,
}

/// A rule that concerns someone, and what is left of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EffectivePermission {
    /// The domain, or `*`.
    pub domain: String,
    /// The object: a name, a template or `*`.
    pub object: String,
    /// The action, or `*`.
    pub action: String,
    /// What holds in the end: a rule that allows what others deny altogether has the effect `deny`, one with a
    /// condition otherwise `conditional`.
    pub effect: RuleEffect,
    /// The rule, and the way to it.
    pub rule: Ruling,
    /// The lines of rules that deny some or all of what this one allows. At most twenty.
    pub denied_by: Vec<u32>,
}

impl Analysis {
    /// Finds the roles that allow this, and the users to whom rules allow it.
    ///
    /// A role is in the answer if [`Snapshot::decide`](crate::Snapshot::decide) allows the request to a
    /// caller with this one role; a user, if it does to a caller without roles. So are those that would have to meet a
    /// condition: the rule of each says which.
    pub fn who_can(&self, object: &str, action: &str, domain: &str, page: Page) -> Allowed {
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        let nobody = self.nobody();
        let roles = self.ledger.roles.iter().map(|role| (nobody, Some(role)));
        for (subject, role) in roles.chain(self.ledger.users.iter().map(|user| (user, None))) {
            let roles = role.as_slice();
            let request = Request { subject, roles: Roles::from(roles), domain, object, action };
            let decision = self.decide(&request);
            if let Some(rule) = decision.rule {
                let list = if self.may_allow(decision) { &mut allowed } else { &mut denied };
                list.push((subject, role, rule.line));
            }
        }
        let access = |&(subject, role, line): &(&str, Option<&str>, u32)| {
            let request = Request { subject, roles: Roles::from(role.as_slice()), domain, object, action };
            let user = || Grantee::User(subject.to_owned());
            let grantee = role.map_or_else(user, |role| Grantee::Role(role.to_owned()));
            Some(Access { grantee, rule: self.ruling(line, &self.reach(&request))? })
        };
        Allowed {
            allowed: page.of(allowed.iter()).filter_map(access).collect(),
            allowed_total: allowed.len(),
            denied: page.of(denied.iter()).filter_map(access).collect(),
            denied_total: denied.len(),
        }
    }

    /// Finds the rules that concern a caller in a domain. Without a subject: a user whom no rule names.
    pub fn what_can(&self, subject: Option<&str>, roles: Roles<'_>, domain: &str, page: Page) -> Permissions {
        let subject = subject.unwrap_or(self.nobody());
        let reach = self.reach(&Request { subject, roles, domain, object: "", action: "" });
        let (user, number) = (self.ledger.users.get(subject), self.domain(domain));
        let concerns = |row: &&Row| {
            (row.domain == EVERY || Some(row.domain) == number)
                && match row.subject {
                    Holder::Role(role) => reach.by.contains_key(&role),
                    Holder::User(named) => Some(named) == user,
                }
        };
        let rows: Vec<&Row> = self.ledger.rows.iter().filter(concerns).collect();
        let denials = Denials::among(&rows);
        let effective = |row: &&Row| {
            let (denied_by, whole) = denials.against(self, row);
            let rule = self.ruling(row.line, &reach)?;
            let effect = match (whole || row.effect == Effect::Deny, &rule.condition) {
                (true, _) => RuleEffect::Deny,
                (false, Some(_)) => RuleEffect::Conditional,
                (false, None) => RuleEffect::Allow,
            };
            Some(EffectivePermission {
                domain: self.ledger.domains.text(row.domain).to_owned(),
                object: self.ledger.objects.text(row.object).to_owned(),
                action: self.ledger.actions.text(row.action).to_owned(),
                effect,
                rule,
                denied_by,
            })
        };
        Permissions { permissions: page.of(rows.iter()).filter_map(effective).collect(), total: rows.len() }
    }
}

/// The rules that deny, by action. Domains need no look: all concern the one that is asked for.
struct Denials<'a> {
    by_action: Map<u32, Vec<&'a Row>>,
}

impl<'a> Denials<'a> {
    fn among(rows: &[&'a Row]) -> Self {
        let mut by_action: Map<u32, Vec<&'a Row>> = Map::default();
        let mut told: Set<(u32, u32)> = Set::default();
        for row in rows.iter().filter(|row| row.effect == Effect::Deny) {
            if told.insert((row.object, row.action)) {
                by_action.entry(row.action).or_default().push(row);
            }
        }
        Self { by_action }
    }

    /// The lines that deny some of what a rule allows, and whether one of them denies all of it.
    fn against(&self, analysis: &Analysis, row: &Row) -> (Vec<u32>, bool) {
        if row.effect == Effect::Deny {
            return (Vec::new(), false);
        }
        let object = |row: &Row| analysis.ledger.objects.text(row.object);
        let of = |action: u32| self.by_action.get(&action).into_iter().flatten();
        let same = of(row.action).chain(of(EVERY).filter(|_| row.action != EVERY));
        if let Some(whole) = same.clone().find(|deny| covers(object(deny), object(row))) {
            return (vec![whole.line], true);
        }
        let others = self.by_action.iter().filter(|(action, _)| row.action == EVERY && **action != EVERY);
        let partly = same.chain(others.flat_map(|(_, rows)| rows));
        let mut lines: Vec<u32> =
            partly.filter(|deny| overlap(object(deny), object(row))).map(|deny| deny.line).collect();
        lines.sort_unstable();
        lines.truncate(MAX_EXCEPTIONS);
        (lines, false)
    }
}
