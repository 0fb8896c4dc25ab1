//! Whether rules and routes fit: routes that no rule opens, and rules that neither a route nor its handler asks for.

use serde::Serialize;

use crate::analysis::{Analysis, Grantee, RuleEffect};
use crate::intern::{Map, Set};
use crate::ledger::{EVERY, Holder, Row};
use crate::object::{Object, is_canonical, overlap};
use crate::request::{Decision, Request, Roles};
use crate::routes::{Need, Route};
use crate::rules::Effect;
use crate::trie::Trie;

/// How many entries of a list are told.
const MAX_TOLD: usize = 10_000;

/// How many requests are decided, and how many rules are looked at in the time of one decision.
const MAX_WORK: usize = 1_000_000;
const LOOKS: usize = 16;

/// How routes and rules fit together.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fit {
    /// What routes need, or their handlers ask for, and no rule could allow to anybody, in the order of the routes.
    pub unruled: Vec<UnruledNeed>,
    /// Rules that say nothing about what a route needs or its handler asks for, in the order of their lines.
    pub unrouted: Vec<UnroutedRule>,
    /// Whether these are all. False when there are more than 10,000 of a kind, or when routes and rules are so many that
    /// not every one could be looked at: then each entry is right, and more may be missing.
    pub complete: bool,
}

/// A permission that a route needs and that nobody could have.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UnruledNeed {
    /// The methods of the route.
    pub methods: Vec<String>,
    /// Its path.
    pub path: String,
    /// The object of the permission.
    pub object: String,
    /// Its action.
    pub action: String,
    /// The line of a rule that denies it to everybody to whom another allows it. `None` when no rule allows it.
    pub denied_by: Option<u32>,
    /// Whether the route serves nobody for it. False where something else opens it, by an `or`.
    pub closed: bool,
}

/// A rule that no route asks for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UnroutedRule {
    /// The line in the rules, from 1.
    pub line: u32,
    /// What it says.
    pub effect: RuleEffect,
    /// Whom it names.
    pub grantee: Grantee,
    /// The domain, or `*`.
    pub domain: String,
    /// The object: a name, a template or `*`.
    pub object: String,
    /// The action, or `*`.
    pub action: String,
}

/// What the rules say of a permission, whoever asks for it.
#[derive(Clone, Copy)]
enum Prospect {
    /// Some caller has it, by some token.
    Allowed,
    /// A rule allows it, and this line denies it to all whom one allows it.
    Denied(u32),
    /// No rule allows it.
    Silent,
}

impl Analysis {
    /// Holds the rules against the routes of a service.
    ///
    /// A permission is without a rule when there is no caller at all to whom [`Snapshot::decide`](crate::Snapshot::decide)
    /// allows it, whatever the roles, the domain and the sign-in. Where a route needs several permissions at once each is looked at by
    /// itself.
    pub fn fit<'r>(&self, routes: impl IntoIterator<Item = &'r Route>) -> Fit {
        let mut search = Search::of(self);
        let mut fit = Fit { complete: true, ..Fit::default() };
        for route in routes {
            let mut unruled = Vec::new();
            let Some(opens) = search.judge(&route.requires, &mut unruled) else {
                // What a later route would have asked for is not known, so no rule can be said to be in vain.
                fit.complete = false;
                return fit;
            };
            fit.unruled.extend(unruled.into_iter().map(|(object, action, denied_by)| UnruledNeed {
                methods: route.methods.clone(),
                path: route.path.clone(),
                object: object.to_owned(),
                action: action.to_owned(),
                denied_by,
                closed: !opens,
            }));
            let Some(in_vain) = search.hear(&route.asks) else {
                fit.complete = false;
                return fit;
            };
            fit.unruled.extend(in_vain.into_iter().map(|(object, action)| UnruledNeed {
                methods: route.methods.clone(),
                path: route.path.clone(),
                object: object.to_owned(),
                action: action.to_owned(),
                denied_by: None,
                // It serves people whatever the answer to its handler is.
                closed: false,
            }));
        }
        let idle = self.ledger.rows.iter().filter(|row| !search.asked.contains(&row.line));
        fit.unrouted = idle.take(MAX_TOLD + 1).map(|row| self.unrouted(row)).collect();
        fit.complete = fit.unruled.len() <= MAX_TOLD && fit.unrouted.len() <= MAX_TOLD;
        fit.unruled.truncate(MAX_TOLD);
        fit.unrouted.truncate(MAX_TOLD);
        fit
    }

    fn unrouted(&self, row: &Row) -> UnroutedRule {
        UnroutedRule {
            line: row.line,
            effect: row.effect.into(),
            grantee: self.grantee(row),
            domain: self.ledger.domains.text(row.domain).to_owned(),
            object: self.ledger.objects.text(row.object).to_owned(),
            action: self.ledger.actions.text(row.action).to_owned(),
        }
    }
}

/// Finds what the rules say of permissions, each once.
struct Search<'a, 'r> {
    analysis: &'a Analysis,
    rows: Map<u32, Vec<&'a Row>>,
    templates: Trie,
    known: Map<(&'r str, &'r str), Prospect>,
    /// The lines of the rules that speak of something that was asked for.
    asked: Set<u32>,
    work: usize,
}

impl<'a, 'r> Search<'a, 'r> {
    fn of(analysis: &'a Analysis) -> Self {
        let mut rows: Map<u32, Vec<&Row>> = Map::default();
        for row in &analysis.ledger.rows {
            rows.entry(row.object).or_default().push(row);
        }
        let mut templates = Trie::default();
        for (number, text) in (0..).zip(analysis.ledger.objects.iter()) {
            if let Ok(Object::Template(template)) = Object::parse(text) {
                templates.insert(&template, number);
            }
        }
        Self { analysis, rows, templates, known: Map::default(), asked: Set::default(), work: MAX_WORK }
    }

    /// Whether some caller could meet a need, and the permissions in it that none could have. `None` when it takes more work
    /// than is left.
    fn judge(&mut self, need: &'r Need, unruled: &mut Vec<(&'r str, &'r str, Option<u32>)>) -> Option<bool> {
        Some(match need {
            // Every part is looked at: one that is met does not hide another that cannot be.
            Need::All(needs) => {
                needs.iter().try_fold(true, |met, need| Some(self.judge(need, unruled)? && met))?
            }
            Need::Any(needs) => {
                needs.iter().try_fold(false, |met, need| Some(self.judge(need, unruled)? || met))?
            }
            Need::Authenticated
            | Need::Details(_)
            | Need::Dpop
            | Need::Issuer(_)
            | Need::Mtls
            | Need::Optional
            | Need::Public
            | Need::Scope(_)
            | Need::SignIn { .. } => true,

            Need::Rbac { action, object } => match self.prospect(object, action)? {
                Prospect::Allowed => true,
                Prospect::Denied(line) => {
                    unruled.push((object, action, Some(line)));
                    false
                }
                Prospect::Silent => {
                    unruled.push((object, action, None));
                    false
                }
            },
            Need::Unstated => false,
        })
    }

    /// Notes the rules that speak of what a handler asks, and gives what no rule allows. The object may be a template: then every rule
    /// speaks of it that could about one of the objects for which it stands.
    fn hear(&mut self, asks: &'r [Need]) -> Option<Vec<(&'r str, &'r str)>> {
        let ledger = &self.analysis.ledger;
        let mut in_vain = Vec::new();
        for need in asks {
            let Need::Rbac { action: asked, object } = need else { continue };
            self.work = self.work.checked_sub(1 + ledger.rows.len() / LOOKS)?;
            let action = ledger.actions.get(asked.as_str());
            let speaks = |row: &&Row| {
                (row.action == EVERY || Some(row.action) == action)
                    && (row.object == EVERY || overlap(ledger.objects.text(row.object), object))
            };
            let rows: Vec<&Row> = ledger.rows.iter().filter(speaks).collect();
            self.asked.extend(rows.iter().map(|row| row.line));
            if !rows.iter().any(|row| row.effect == Effect::Allow) {
                in_vain.push((object.as_str(), asked.as_str()));
            }
        }
        Some(in_vain)
    }

    fn prospect(&mut self, object: &'r str, action: &'r str) -> Option<Prospect> {
        if let Some(known) = self.known.get(&(object, action)) {
            return Some(*known);
        }
        let rows = self.speaking_of(object, action)?;
        self.asked.extend(rows.iter().map(|row| row.line));
        let mut prospect = Prospect::Silent;
        for row in rows.iter().filter(|row| row.effect == Effect::Allow) {
            self.work = self.work.checked_sub(1)?;
            let decision = self.analysis.decide_at_best(row, object, action);
            let may_allow = self.analysis.may_allow(decision);
            prospect = match (may_allow, decision.rule) {
                (true, _) => Prospect::Allowed,
                (false, Some(rule)) => Prospect::Denied(rule.line),
                (false, None) => prospect,
            };
            if may_allow {
                break;
            }
        }
        self.known.insert((object, action), prospect);
        Some(prospect)
    }

    /// The rules about an object and an action, as the index finds them.
    fn speaking_of(&mut self, object: &str, action: &str) -> Option<Vec<&'a Row>> {
        if !is_canonical(object) {
            return Some(Vec::new());
        }
        let ledger = &self.analysis.ledger;
        let mut objects: Vec<u32> = vec![EVERY];
        objects.extend(ledger.objects.get(object));
        self.templates.find(object, &mut |number| objects.push(number));
        objects.sort_unstable();
        objects.dedup();
        let action = ledger.actions.get(action);
        let mut found = Vec::new();
        for rows in objects.iter().filter_map(|object| self.rows.get(object)) {
            self.work = self.work.checked_sub(1 + rows.len() / LOOKS)?;
            let speaks = |row: &&&Row| row.action == EVERY || Some(row.action) == action;
            found.extend(rows.iter().filter(speaks).copied());
        }
        Some(found)
    }
}

impl Analysis {
    /// Decides for the caller to whom a rule allows it if it does so to anybody: with its role and no other, in a domain of
    /// which no rule speaks if it speaks of every one. Whoever has more is denied more.
    fn decide_at_best(&self, row: &Row, object: &str, action: &str) -> Decision {
        let domain = if row.domain == EVERY { "" } else { self.ledger.domains.text(row.domain) };
        let (subject, role) = match row.subject {
            Holder::Role(role) => (self.nobody(), Some(self.ledger.roles.text(role))),
            Holder::User(user) => (self.ledger.users.text(user), None),
        };
        let roles = Roles::from(role.as_slice());
        self.decide(&Request { subject, roles, domain, object, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::PolicySource;

    fn analysis(rules: &str) -> Analysis {
        Analysis::of(PolicySource::with_default_model(rules)).unwrap()
    }

    fn rbac(object: &str, action: &str) -> Need {
        Need::Rbac { action: action.to_owned(), object: object.to_owned() }
    }

    fn fit(rules: &str, needs: Vec<Need>) -> Fit {
        let routes: Vec<Route> =
            (0..).zip(needs).map(|(at, need)| Route::every_method(format!("/{at}"), need)).collect();
        analysis(rules).fit(&routes)
    }

    fn unruled(fit: &Fit) -> Vec<(&str, &str, &str, Option<u32>, bool)> {
        let told = |it: &'_ UnruledNeed| (it.denied_by, it.closed);
        let named = fit.unruled.iter().map(|it| {
            let (denied_by, closed) = told(it);
            (it.path.as_str(), it.object.as_str(), it.action.as_str(), denied_by, closed)
        });
        named.collect()
    }

    fn idle(fit: &Fit) -> Vec<u32> {
        fit.unrouted.iter().map(|rule| rule.line).collect()
    }

    #[test]
    fn routes_without_a_rule_and_rules_without_a_route_are_found() {
        let rules = "p, viewer, *, orders, read\np, clerk, acme, orders, create\np, clerk, *, stock, read\n\
                     p, user:17, *, orders, read, deny\np, user:18, *, bills, read\np, root, *, *, audit";
        let found =
            fit(rules, vec![rbac("orders", "read"), rbac("orders", "create"), rbac("orders", "delete")]);
        assert_eq!(unruled(&found), [("/2", "orders", "delete", None, true)]);
        assert_eq!(idle(&found), [3, 5, 6]);
        assert!(found.complete);
        let rule = &found.unrouted[1];
        assert_eq!((rule.grantee.to_string().as_str(), rule.object.as_str()), ("user:18", "bills"));
    }

    #[test]
    fn rules_about_what_handlers_ask_are_of_use_and_what_no_rule_allows_them_is_found() {
        let rules = "p, a, *, files/public, read\np, a, *, files/{name}, rename\np, a, *, other, read\n\
                     p, b, *, files/old, read, deny\np, c, *, *, audit\np, a, *, files/a/b, read\np, a, *, *, list";
        let asks =
            [("files/{folder}", "read"), ("files/{folder}", "rename"), ("reports", "read"), ("*", "list")];
        let asks = asks.map(|(object, action)| rbac(object, action));
        let route = Route::every_method("/graphql", Need::Authenticated).asking(asks);
        let found = analysis(rules).fit([&route]);
        assert_eq!(idle(&found), [3, 5, 6]);
        assert_eq!(unruled(&found), [("/graphql", "reports", "read", None, false)]);
        assert_eq!(
            idle(&analysis(rules).fit([&Route::every_method("/graphql", Need::Authenticated)])).len(),
            7
        );
    }

    #[test]
    fn templates_match_as_they_do_when_a_request_is_decided() {
        let rules = "p, a, *, /orders/{id}, read\np, a, *, /docs/*, read\np, a, *, /x/{y}/z, read";
        let needs = ["/orders/{order}", "/orders/17", "/docs/a/b", "/docs", "/orders/../x", "/orders/{id}/*"];
        let found = fit(rules, needs.iter().map(|object| rbac(object, "read")).collect());
        let missing: Vec<&str> = unruled(&found).iter().map(|it| it.1).collect();
        assert_eq!(missing, ["/docs", "/orders/../x", "/orders/{id}/*"]);
        assert_eq!(idle(&found), [3]);
    }

    #[test]
    fn what_is_denied_to_all_whom_it_is_allowed_is_without_a_rule_too() {
        let rules = "p, viewer, *, orders, read\np, viewer, *, *, *, deny\np, clerk, acme, bills, read\n\
                     g, clerk, viewer, *\ng, chief, viewer, *\np, user:17, *, bills, pay\np, user:17, x, *, *, deny";
        let found = fit(rules, vec![rbac("orders", "read"), rbac("bills", "read"), rbac("bills", "pay")]);
        assert_eq!(
            unruled(&found),
            [("/0", "orders", "read", Some(2), true), ("/1", "bills", "read", Some(2), true)]
        );
    }

    #[test]
    fn a_route_with_another_way_in_is_not_closed_and_one_that_needs_both_is() {
        let needs = vec![
            Need::Any(vec![rbac("orders", "read"), Need::Scope("o".to_owned())]),
            Need::All(vec![Need::Scope("o".to_owned()), rbac("orders", "read")]),
            Need::Public,
            Need::Authenticated,
            Need::All(vec![rbac("stock", "read"), Need::Unstated]),
        ];
        let found = fit("p, a, *, stock, read", needs);
        assert_eq!(
            unruled(&found),
            [("/0", "orders", "read", None, false), ("/1", "orders", "read", None, true)]
        );
        assert_eq!(idle(&found), [0; 0]);
    }

    #[test]
    fn what_takes_too_long_is_left_off_and_said_to_be() {
        let each = |at| format!("p, r{at}, *, *, read\np, r{at}, *, *, *, deny\n");
        let rules = (0..3_000).map(each).collect::<Vec<_>>().concat();
        let found = fit(&rules, (0..2_000).map(|at| rbac(&format!("o{at}"), "read")).collect());
        assert!(!found.complete && found.unrouted.is_empty() && !found.unruled.is_empty());
        let rules = (0..=MAX_TOLD).map(|at| format!("p, a, *, o{at}, read\n")).collect::<Vec<_>>().concat();
        let found = fit(&rules, Vec::new());
        assert_eq!((found.complete, found.unrouted.len()), (false, MAX_TOLD));
    }
}
