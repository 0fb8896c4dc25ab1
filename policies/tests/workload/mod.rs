//! Policies of any size, and requests that are spread over them: what is counted and timed.

use portcullis_policy::{PolicySource, Request, Roles, Snapshot};

/// How many requests of each kind there are.
pub(crate) const QUESTIONS: u32 = 1_000;

/// Who asks: no rule names them, as it is with nearly every caller.
const SUBJECT: &str = "0191f2a4-6c1e-7d3a-9c55-8a1e4f0b2d17";
const DOMAIN: &str = "acme";

/// A policy of `count` rules under the default model.
///
/// There is a group for every ten rules, and half of the groups are inherited from. Of the other rules two fifths are about
/// templates, and some deny; half hold in every domain.
pub(crate) fn source(count: u32) -> PolicySource {
    let rule = |n: u32| {
        let role = n % groups(count);
        match n % KINDS_OF_RULES {
            0 => format!("p, r{role}, *, /v1/things{n}/{{id}}, read\n"),
            1 => format!("p, r{role}, *, thing{n}, read\n"),
            2 => format!("p, r{role}, acme, /v1/things{n}/{{id}}/parts, write\n"),
            3 => format!("p, r{role}, acme, thing{n}, write\n"),
            _ => format!("p, blocked, *, thing{}, write, deny\n", n - 1),
        }
    };
    let inherits = (0..groups(count)).step_by(2).map(|n| format!("g, manager{n}, r{n}, *\n"));
    PolicySource::with_default_model((0..permissions(count)).map(rule).chain(inherits).collect::<String>())
}

const KINDS_OF_RULES: u32 = 5;

fn groups(rules: u32) -> u32 {
    (rules / 10).max(1)
}

fn permissions(rules: u32) -> u32 {
    rules - groups(rules).div_ceil(2)
}

/// A request, and how it is to be decided.
pub(crate) struct Question {
    roles: Vec<String>,
    object: String,
    action: &'static str,
    allowed: bool,
}

impl Question {
    /// The request.
    pub(crate) fn request(&self) -> Request<'_> {
        let Self { roles, object, action, .. } = self;
        Request { subject: SUBJECT, roles: Roles::from(roles), domain: DOMAIN, object, action }
    }

    /// Asks, and says whether the answer was the expected one.
    pub(crate) fn is_answered_by(&self, snapshot: &Snapshot) -> bool {
        snapshot.decide(&self.request()).allowed == self.allowed
    }
}

/// Requests of one kind.
pub(crate) struct Kind {
    /// What they have in common.
    pub(crate) name: &'static str,
    /// Each of them.
    pub(crate) questions: Vec<Question>,
}

/// Every way through a decision: names and templates, allowed and denied.
pub(crate) fn kinds(rules: u32) -> Vec<Kind> {
    let blocks = permissions(rules) / KINDS_OF_RULES;
    let kind = |name: &'static str, remainder: u32, question: &dyn Fn(u32) -> Question| Kind {
        name,
        questions: (0..QUESTIONS).map(|n| question(n * 97 % blocks * KINDS_OF_RULES + remainder)).collect(),
    };
    let held = |n: u32| vec![format!("r{}", n % groups(rules)), "viewer".to_owned()];
    let by = |roles: Vec<String>, object: String, action: &'static str, allowed: bool| Question {
        roles,
        object,
        action,
        allowed,
    };
    let path = |n: u32| format!("/v1/things{n}/17");
    vec![
        kind("name, allowed", 1, &|n| by(held(n), format!("thing{n}"), "read", true)),
        kind("template as text, allowed", 0, &|n| by(held(n), format!("/v1/things{n}/{{id}}"), "read", true)),
        kind("path, allowed", 0, &|n| by(held(n), path(n), "read", true)),
        kind("path, allowed by inheritance", 0, &|n| {
            let group = n % groups(rules);
            by(vec![format!("manager{}", group / 2 * 2)], path(n), "read", group.is_multiple_of(2))
        }),
        kind("name, another action, denied", 1, &|n| by(held(n), format!("thing{n}"), "write", false)),
        kind("unknown name, denied", 1, &|n| by(held(n), format!("other{n}"), "read", false)),
        kind("path, strange role, denied", 0, &|n| by(vec!["stranger".to_owned()], path(n), "read", false)),
        kind("name, denied by a rule", 3, &|n| {
            let with_blocked = held(n).into_iter().chain(["blocked".to_owned()]).collect();
            by(with_blocked, format!("thing{n}"), "write", false)
        }),
    ]
}
