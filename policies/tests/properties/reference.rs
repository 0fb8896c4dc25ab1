//! What rules under the default model mean, written a second time, row by row and as slow as that is.

use std::collections::BTreeSet;

use portcullis_policy::Assurance;

use super::asked::{Asked, instance};

/// The rows of rules that are known to be sound, each with its line.
pub(super) struct Rows<'a> {
    rows: Vec<(u32, Vec<&'a str>)>,
}

impl<'a> Rows<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let fields = |line: &'a str| line.split(',').map(str::trim).collect();
        let lines = (1..).zip(text.split('\n')).map(|(number, line)| (number, line.trim()));
        let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        Self { rows: rows.map(|(number, line)| (number, fields(line))).collect() }
    }

    /// The rows as text, without anything that means nothing.
    pub(super) fn written(&self) -> String {
        self.lines(", ").join("\n")
    }

    pub(super) fn written_backwards(&self) -> String {
        let mut lines = self.lines(",");
        lines.reverse();
        lines.join("\n")
    }

    fn lines(&self, between: &str) -> Vec<String> {
        self.rows.iter().map(|(_, fields)| fields.join(between)).collect()
    }

    /// A request for each row, one that it matches.
    pub(super) fn asked(&self) -> impl Iterator<Item = Asked> {
        self.rows.iter().filter_map(|(_, fields)| {
            let ["p", subject, domain, object, action, ..] = fields.as_slice() else { return None };
            let object = instance(object);
            let (user, role) =
                subject.strip_prefix("user:").map_or(("somebody", *subject), |user| (user, ""));
            Some(Asked::new(&[user, role, domain, &object, action]))
        })
    }

    /// The actions, the roles and the users that the rows name, in the order of their bytes.
    pub(super) fn names(&self) -> [Vec<String>; 3] {
        let mut names = [const { BTreeSet::new() }; 3];
        let [actions, roles, users] = &mut names;
        for (_, fields) in &self.rows {
            match fields.as_slice() {
                ["p", subject, _, _, action, ..] => {
                    match subject.strip_prefix("user:") {
                        Some(user) => users.insert(user),
                        None => roles.insert(subject),
                    };
                    actions.extend((*action != "*").then_some(action));
                }
                ["g", child, parent, _] => roles.extend([child, parent]),
                _ => {}
            }
        }
        names.map(|names| names.into_iter().map(str::to_owned).collect())
    }

    /// Whether the request is allowed where nothing is shown, and the first line that decides it.
    pub(super) fn decide(&self, asked: &Asked) -> (bool, Option<u32>) {
        self.decide_with(asked, &Assurance::NOTHING)
    }

    /// The same of a token that shows this. A rule without a condition comes before one with a condition.
    pub(super) fn decide_with(&self, asked: &Asked, shown: &Assurance<'_>) -> (bool, Option<u32>) {
        if !is_comparable(asked) {
            return (false, None);
        }
        let held = self.held(asked);
        let user = format!("user:{}", asked.subject);
        let speaks = |fields: &[&str]| match fields {
            ["p", subject, domain, object, action, effect @ ..] => {
                let matches = (held.contains(subject) || *subject == user)
                    && is_any_or(domain, &asked.domain)
                    && is_any_or(action, &asked.action)
                    && matches(object, &asked.object);
                matches.then(|| match effect {
                    [] | ["allow"] => Says::Allow,
                    ["deny"] => Says::Deny,
                    [_, conditions @ ..] if conditions.iter().all(|one| is_met(one, shown)) => {
                        Says::AllowThis
                    }
                    _ => Says::AllowOthers,
                })
            }
            _ => None,
        };
        let first = |wanted: Says| {
            self.rows.iter().find(|(_, fields)| speaks(fields) == Some(wanted)).map(|(line, _)| *line)
        };
        let order =
            [(Says::Deny, false), (Says::Allow, true), (Says::AllowThis, true), (Says::AllowOthers, false)];
        let decided = order.into_iter().find_map(|(says, allowed)| Some((allowed, Some(first(says)?))));
        decided.unwrap_or((false, None))
    }

    /// The roles of the request, and all that they inherit in its domain.
    fn held<'b>(&'b self, asked: &'b Asked) -> BTreeSet<&'b str> {
        let mut held: BTreeSet<&str> =
            asked.roles.iter().map(String::as_str).filter(|role| !role.contains(':')).collect();
        loop {
            let before = held.len();
            for (_, fields) in &self.rows {
                if let ["g", child, parent, domain] = fields.as_slice()
                    && held.contains(child)
                    && is_any_or(domain, &asked.domain)
                {
                    held.insert(parent);
                }
            }
            if held.len() == before {
                return held;
            }
        }
    }
}

/// What a rule says to a request that it matches.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Says {
    Allow,
    /// To whoever meets its conditions, which this one does not.
    AllowOthers,
    /// As this one meets its conditions.
    AllowThis,
    Deny,
}

fn is_met(condition: &str, shown: &Assurance<'_>) -> bool {
    match condition.split_once('=').map_or((condition, ""), |(name, value)| (name.trim(), value.trim())) {
        ("acr", classes) => classes.split('|').any(|class| Some(class.trim()) == shown.acr),
        ("max_age", secs) => shown.age.is_some_and(|age| age <= secs.parse().expect("a number")),
        ("dpop", "") => shown.dpop,
        ("mtls", "") => shown.mtls,
        _ => panic!("a condition that is not known here: {condition}"),
    }
}

fn is_any_or(rule: &str, asked: &str) -> bool {
    rule == "*" || rule == asked
}

fn matches(rule: &str, asked: &str) -> bool {
    if rule == "*" || rule == asked {
        return true;
    }
    let asked: Vec<_> = asked.split('/').collect();
    let mut rule: Vec<_> = rule.split('/').collect();
    let is_open = rule.len() > 1 && rule.last() == Some(&"*");
    if is_open {
        rule.pop();
    }
    let is_long_enough = if is_open { asked.len() > rule.len() } else { asked.len() == rule.len() };
    let fits = |(rule, asked): (&&str, &&str)| rule == asked || (rule.starts_with('{') && !asked.is_empty());
    is_long_enough && rule.iter().zip(&asked).all(fits)
}

/// Whether a rule could have the texts of the request.
fn is_comparable(asked: &Asked) -> bool {
    let Asked { subject, domain, object, action, .. } = asked;
    let needed = [subject, object, action];
    let segments: Vec<_> = object.split('/').collect();
    let inner = segments.iter().skip(1).rev().skip(1);
    needed.iter().all(|text| !text.is_empty())
        && !needed.iter().chain([&domain]).any(|text| text.contains(char::is_control))
        && object.len() <= 4096
        && !segments.iter().any(|segment| [".", ".."].contains(segment))
        && inner.into_iter().all(|segment| !segment.is_empty())
        && object != "//"
}
