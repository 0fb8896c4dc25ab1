//! The index decides as Casbin's own enforcer does.
//!
//! Random policies, role graphs and requests are decided twice: by a [`Snapshot`], and by the
//! `casbin` crate running the text of `models/default.conf`. Casbin gets the rules as rows, never
//! through the reader under test. The roles of a request become `g` rows of a subject made for that
//! request, which also stands for the rules that name the user.
//!
//! Both answers must be equal except where we refuse on purpose:
//!
//! - An empty subject, object or action. Casbin allows the empty request under an empty policy.
//! - Control characters anywhere, and objects with an empty, `.` or `..` segment or of more than
//!   4096 bytes: other readers of the same request may see another object.
//! - Roles of a request that contain `:`. For Casbin they are names like any other, so a role could
//!   name a user; here no such role has rules.
//! - Role graphs with a circle, or more than eight steps deep, do not compile. Casbin follows a
//!   circle once and stops after ten levels, denying without a word.
//! - Casbin's built-in `keyMatch5` is replaced by a literal one. The built-in reads a rule as a
//!   regular expression: `.` matches any character, and an unbalanced parenthesis panics in every
//!   decision. `keyMatch` panics on a path whose characters are cut by the length of the rule.

use std::collections::BTreeSet;
use std::panic::{UnwindSafe, catch_unwind};

use casbin::function_map::{OperatorFunction, dynamic_to_str, key_match, key_match5};
use casbin::{CoreApi, DefaultModel, Enforcer, MgmtApi};
use portcullis_policy::{DEFAULT_MODEL, PolicySource, Request, Roles, Snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const ROLES: [&str; 12] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "alice", "rôle 11"];
const DOMAINS: [&str; 4] = ["*", "acme", "münchen", "umbrella corp"];
const USERS: [&str; 4] = ["alice", "bob", "r0", "a:b"];
const ACTIONS: [&str; 5] = ["*", "GET", "get", "read", "naïve"];
const OBJECTS: [&str; 24] = [
    "*",
    "orders",
    "orders 2",
    "{name}",
    "/*",
    "/{a}",
    "/{a}/*",
    "/{a}/{b}",
    "/{a}/lines",
    "/orders",
    "/orders/",
    "/orders/*",
    "/orders/{id}",
    "/orders/{order}",
    "/orders/{id}/lines",
    "/orders/{id}/*",
    "/orders/17",
    "/v1.0/x",
    "/v1.0/{x}",
    "/docs/%2f/{id}",
    "/ünï/{id}",
    "/{a}/ünï",
    "a/{b}",
    "a/*",
];
const ASKED: [&str; 29] = [
    "",
    ".",
    "..",
    "//",
    "/",
    "/orders/1/lines",
    "/orders/1/lines/2",
    "/orders/é",
    "/orders/%2f",
    "/orders/1%2flines",
    "/orders/..",
    "/orders/../docs",
    "/./orders",
    "//orders",
    "/orders//1",
    "/orders/1/",
    "/orders/a\nb",
    "/orders/\u{0}",
    "/orders/\u{85}",
    "/v1X0/x",
    "/docs/%2f/9",
    "/ünï/ünï",
    "/un/ünï",
    "/ünï/",
    "/orders/17?x=1",
    "/orders/{",
    "a/b",
    "a/",
    "ORDERS",
];

/// A `p` row: subject, domain, object, action, effect.
type Permission = [String; 5];
/// A `g` row: child, parent, domain.
type Inheritance = [String; 3];

#[derive(Clone, Debug)]
struct Policy {
    permissions: BTreeSet<Permission>,
    inheritances: BTreeSet<Inheritance>,
}

#[derive(Clone, Debug)]
struct Asked {
    subject: String,
    roles: Vec<String>,
    domain: String,
    object: String,
    action: String,
}

fn owned<const N: usize>(from: [&'static str; N]) -> impl Strategy<Value = String> {
    select(from.to_vec()).prop_map(str::to_owned)
}

fn permission() -> impl Strategy<Value = Permission> {
    let subject = prop_oneof![8 => owned(ROLES), 1 => owned(USERS).prop_map(|user| format!("user:{user}"))];
    let effect = prop_oneof![4 => Just("allow".to_owned()), 1 => Just("deny".to_owned())];
    (subject, owned(DOMAINS), owned(OBJECTS), owned(ACTIONS), effect)
        .prop_map(|(subject, domain, object, action, effect)| [subject, domain, object, action, effect])
}

/// Mostly upwards, so that most graphs have no circle.
fn inheritance() -> impl Strategy<Value = Inheritance> {
    let upwards = subsequence(ROLES.to_vec(), 2).prop_map(|pair| match pair.as_slice() {
        [child, parent] => (*child, *parent),
        _ => unreachable!("two of the roles"),
    });
    let any = (select(ROLES.to_vec()), select(ROLES.to_vec()));
    (prop_oneof![30 => upwards, 1 => any], owned(DOMAINS))
        .prop_map(|((child, parent), domain)| [child.to_owned(), parent.to_owned(), domain])
}

fn policy() -> impl Strategy<Value = Policy> {
    (vec(permission(), 0..20), vec(inheritance(), 0..14)).prop_map(|(permissions, inheritances)| Policy {
        permissions: permissions.into_iter().collect(),
        inheritances: inheritances.into_iter().collect(),
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let strange = || prop_oneof![Just(String::new()), Just("a\rb".to_owned()), "\\PC{0,6}", ".{0,4}"];
    let subject = prop_oneof![12 => owned(USERS), 1 => owned(ROLES), 1 => strange()];
    let roles = vec(prop_oneof![12 => owned(ROLES), 1 => Just("user:bob".to_owned()), 1 => strange()], 0..20);
    let few = vec(owned(ROLES), 1..3);
    let domain = prop_oneof![12 => owned(DOMAINS), 1 => Just("other".to_owned()), 1 => strange()];
    let object = prop_oneof![6 => owned(OBJECTS), 6 => owned(ASKED), 2 => path(), 1 => strange()];
    let action = prop_oneof![12 => owned(ACTIONS), 1 => Just("write".to_owned()), 1 => strange()];
    (subject, prop_oneof![1 => roles, 4 => few], domain, object, action)
        .prop_map(|(subject, roles, domain, object, action)| Asked { subject, roles, domain, object, action })
}

fn path() -> impl Strategy<Value = String> {
    let segment =
        select(vec!["orders", "17", "lines", "docs", "v1.0", "x", "ünï", "%2f", "{id}", ".", "..", ""]);
    vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_decides_as_casbin_does(policy in policy(), questions in vec(asked(), 12)) {
        let compiled = Snapshot::compile(&policy.source(), 1);
        prop_assert_eq!(compiled.is_ok(), policy.is_shallow(), "{:?}", compiled.err());
        let Ok(snapshot) = compiled else { return Ok(()) };
        let oracle = policy.enforcer(&questions);
        for (number, asked) in questions.iter().enumerate() {
            let decision = snapshot.decide(&asked.request());
            let expected = !asked.is_refused() && asked.ask(&oracle, number);
            prop_assert_eq!(decision.allowed, expected, "{:?} under\n{}", asked, policy.source().rules);
            let speaks = decision.rule.map(|rule| policy.effect_of(rule.line));
            prop_assert_eq!(speaks == Some("allow"), decision.allowed);
        }
    }

    #[test]
    fn any_text_at_all_is_checked_and_any_request_decided_without_a_panic(
        rules in prop_oneof!["(p|g|#|,|\\*|\\{|\\}|/|:| |\n|\r|\\PC){0,200}", ".{0,200}"],
        model in prop_oneof![9 => Just(DEFAULT_MODEL.to_owned()), 1 => ".{0,200}"],
        asked in asked(),
    ) {
        if let Ok(snapshot) = Snapshot::compile(&PolicySource { model, rules }, 1) {
            snapshot.decide(&asked.request());
        }
    }
}

impl Policy {
    fn source(&self) -> PolicySource {
        let permissions = self.permissions.iter().map(|row| format!("p, {}\n", row.join(", ")));
        let inheritances = self.inheritances.iter().map(|row| format!("g, {}\n", row.join(", ")));
        PolicySource::with_default_model(permissions.chain(inheritances).collect::<String>())
    }

    fn effect_of(&self, line: u32) -> &str {
        let row = self.permissions.iter().nth(line as usize - 1).expect("the line of a permission");
        &row[4]
    }

    /// Whether in no domain nine steps can be taken: a circle would have them, too.
    fn is_shallow(&self) -> bool {
        let in_domain = |domain: &str| -> Vec<_> {
            self.inheritances.iter().filter(|row| row[2] == "*" || row[2] == domain).collect()
        };
        DOMAINS.into_iter().map(in_domain).all(|rows| {
            let mut reached: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
            for _ in 0..9 {
                let up = rows.iter().filter(|row| reached.contains(row[0].as_str()));
                reached = up.map(|row| row[1].as_str()).collect();
            }
            reached.is_empty()
        })
    }

    fn enforcer(&self, questions: &[Asked]) -> Enforcer {
        let mut links = self.inheritances.clone();
        for (number, asked) in questions.iter().enumerate() {
            let user = format!("user:{}", asked.subject);
            let roles = asked.roles.iter().filter(|role| !role.contains(':')).cloned();
            links.extend(roles.chain([user]).map(|held| [subject(number), held, "*".to_owned()]));
        }
        let rows = |row: &[String]| row.to_vec();
        enforcer(
            self.permissions.iter().map(|row| rows(row)).collect(),
            links.iter().map(|row| rows(row)).collect(),
        )
    }
}

impl Asked {
    fn request(&self) -> Request<'_> {
        Request {
            subject: &self.subject,
            roles: Roles::from(&self.roles),
            domain: &self.domain,
            object: &self.object,
            action: &self.action,
        }
    }

    /// The list at the top of this file, written a second time.
    fn is_refused(&self) -> bool {
        let needed = [&self.subject, &self.object, &self.action];
        let all = [&self.subject, &self.object, &self.action, &self.domain];
        let segments: Vec<_> = self.object.split('/').collect();
        let inner = segments.iter().skip(1).rev().skip(1);
        needed.iter().any(|text| text.is_empty())
            || all.iter().any(|text| text.contains(char::is_control))
            || segments.iter().any(|segment| [".", ".."].contains(segment))
            || inner.into_iter().any(|segment| segment.is_empty())
            || self.object == "//"
    }

    fn ask(&self, oracle: &Enforcer, number: usize) -> bool {
        let (domain, object, action) = (self.domain.clone(), self.object.clone(), self.action.clone());
        oracle.enforce((subject(number), domain, object, action)).expect("Casbin decides")
    }
}

/// What stands for one request in Casbin. It contains a `:`, so it is no role.
fn subject(number: usize) -> String {
    format!("request:{number}")
}

fn enforcer(permissions: Vec<Vec<String>>, links: Vec<Vec<String>>) -> Enforcer {
    let build = async {
        let model = DefaultModel::from_str(DEFAULT_MODEL).await?;
        let mut enforcer = Enforcer::new(model, ()).await?;
        enforcer.add_function(
            "keyMatch5",
            OperatorFunction::Arg2(|path, rule| {
                literal_match(&dynamic_to_str(&path), &dynamic_to_str(&rule)).into()
            }),
        );
        let roles = enforcer.get_role_manager();
        roles.write().matching_fn(None, Some(|domain, row| row == "*" || row == domain));
        enforcer.add_policies(permissions).await?;
        enforcer.add_grouping_policies(links).await?;
        casbin::Result::Ok(enforcer)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(build).expect("Casbin takes the policy")
}

/// A `keyMatch5` in which nothing is special but `{name}` and a final `/*`.
fn literal_match(path: &str, rule: &str) -> bool {
    let path: Vec<_> = path.split('/').collect();
    let mut rule: Vec<_> = rule.split('/').collect();
    let open = rule.len() > 1 && rule.last() == Some(&"*");
    if open {
        rule.pop();
    }
    let fits = if open { path.len() > rule.len() } else { path.len() == rule.len() };
    fits && rule.iter().zip(&path).all(|(rule, path)| {
        rule == path || (rule.starts_with('{') && rule.ends_with('}') && !path.is_empty())
    })
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|field| (*field).to_owned()).collect()).collect()
}

fn allowed(text: &str, asked: [&str; 4]) -> bool {
    let snapshot = Snapshot::compile(&PolicySource::with_default_model(text), 1).expect("a policy");
    let [subject, domain, object, action] = asked;
    let roles = Roles::from(&["reader"]);
    snapshot.decide(&Request { subject, roles, domain, object, action }).allowed
}

#[test]
fn casbin_allows_an_empty_request_under_an_empty_policy_and_we_do_not() {
    assert!(enforcer(vec![], vec![]).enforce(("", "", "", "")).expect("Casbin decides"));
    assert!(!allowed("", ["", "", "", ""]));
}

#[test]
fn casbins_own_matching_takes_a_dot_for_any_character_and_ours_does_not() {
    assert!(key_match5("/v1X0/x", "/v1.0/x"));
    assert!(!allowed("p, reader, *, /v1.0/x, read", ["alice", "", "/v1X0/x", "read"]));
    assert!(allowed("p, reader, *, /v1.0/x, read", ["alice", "", "/v1.0/x", "read"]));
}

/// What a match says when it panics.
fn panic_of(matching: impl Fn() -> bool + UnwindSafe) -> String {
    let panic = catch_unwind(matching).expect_err("it panics");
    panic.downcast_ref::<String>().expect("it says why").clone()
}

#[test]
fn casbins_own_matching_panics_on_one_bad_rule_and_ours_never_compiles_it() {
    assert!(panic_of(|| key_match5("/a", "/a(")).contains("unclosed group"));
    let bad = PolicySource::with_default_model("p, reader, *, /a(, read");
    assert_eq!(Snapshot::compile(&bad, 1).expect_err("no policy").findings[0].code, "object-regex");
}

#[test]
fn casbins_prefix_matching_panics_within_a_character_and_ours_does_not() {
    assert!(panic_of(|| key_match("/fö/x", "/fo*")).contains("char boundary"));
    assert!(!allowed("p, reader, *, /fo/*, read", ["alice", "", "/fö/x", "read"]));
}

#[test]
fn casbin_denies_without_a_word_past_ten_levels_and_we_report_it() {
    let chain = |steps: u32| -> Vec<Vec<String>> {
        let held = vec!["request:0".to_owned(), "r0".to_owned(), "*".to_owned()];
        let up = (0..steps).map(|n| vec![format!("r{n}"), format!("r{}", n + 1), "*".to_owned()]);
        std::iter::once(held).chain(up).collect()
    };
    let decide = |steps: u32| {
        let top = format!("r{steps}");
        let permissions = rows(&[&[&top, "*", "orders", "read", "allow"]]);
        enforcer(permissions, chain(steps))
            .enforce(("request:0", "", "orders", "read"))
            .expect("Casbin decides")
    };
    let report = |steps: u32| {
        let lines: Vec<_> = chain(steps).iter().skip(1).map(|row| format!("g, {}", row.join(", "))).collect();
        let source = PolicySource::with_default_model(lines.join("\n"));
        Snapshot::compile(&source, 1).map(|_| ()).map_err(|report| report.findings)
    };
    assert!(decide(8));
    assert_eq!(report(8), Ok(()));
    assert!(!decide(9));
    assert!(report(9).expect_err("too deep").iter().any(|finding| finding.code == "role-depth"));
}
