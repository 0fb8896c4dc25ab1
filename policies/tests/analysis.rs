//! Why, who and what: each answer agrees with the decisions.

mod question;
mod random;

use std::collections::BTreeSet;

use portcullis_policy::{
    Analysis, Change, Explanation, Grantee, Incomparable, NearMiss, Page, Part, PolicySource, Reason,
    Request, Roles, RuleEffect,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::question::Asked;
use crate::random::{ROLES, USERS, analysis, line};

const DOMAINS: [&str; 4] = ["*", "acme", "umbrella", "other"];
const ACTIONS: [&str; 4] = ["*", "read", "write", "pay"];
const ASKED: [&str; 12] = [
    "orders",
    "stock",
    "/orders",
    "/orders/17",
    "/orders/18",
    "/orders/",
    "/docs/a/b",
    "/docs",
    "/x/y",
    "/a/../b",
    "",
    "/orders/{id}",
];

fn rules() -> impl Strategy<Value = String> {
    vec(line(), 0..16).prop_map(|lines| lines.join("\n"))
}

fn asked() -> impl Strategy<Value = Asked> {
    let subject = select(vec!["17", "alice", "bob", "a", "a\nb", ""]);
    let roles = vec(select(vec!["a", "b", "c", "d", "e", "f", "unknown"]), 0..4);
    (subject, roles, select(DOMAINS.to_vec()), select(ASKED.to_vec()), select(ACTIONS.to_vec()))
        .prop_map(|(subject, roles, domain, object, action)| Asked { subject, roles, domain, object, action })
}

fn numbered(count: u32, rule: impl Fn(u32) -> String) -> String {
    (0..count).map(rule).collect::<Vec<_>>().concat()
}

/// Asks as `alice` of `acme`.
fn explain(rules: &str, held: &[&str], object: &str, action: &str) -> Explanation {
    analysis(rules).explain(&Request {
        subject: "alice",
        roles: Roles::from(held),
        domain: "acme",
        object,
        action,
    })
}

fn followed(analysis: &Analysis, asked: &Asked, miss: &NearMiss) -> bool {
    let mut roles = asked.roles.clone();
    let mut request = asked.request();
    for change in &miss.changes {
        match change {
            Change::Action(action) => request.action = action,
            Change::Domain(domain) => request.domain = domain,
            Change::Object(object) => request.object = object,
            Change::Role(role) => roles.extend(ROLES.iter().find(|known| *known == role)),
            Change::User(user) => request.subject = user,
            _ => panic!("a change that this test does not know"),
        }
    }
    analysis.snapshot().decide(&Request { roles: Roles::from(roles.as_slice()), ..request }).allowed
}

/// Whether another action, domain or role alone allows it.
fn one_change_helps(analysis: &Analysis, asked: &Asked) -> bool {
    let allowed = |request: &Request<'_>| analysis.snapshot().decide(request).allowed;
    let request = asked.request();
    let with = |role| asked.roles.iter().copied().chain([role]).collect::<Vec<_>>();
    ["read", "write", "pay"].iter().any(|action| allowed(&Request { action, ..request }))
        || ["acme", "umbrella"].iter().any(|domain| allowed(&Request { domain, ..request }))
        || ROLES.iter().any(|role| allowed(&Request { roles: Roles::from(with(role).as_slice()), ..request }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_agrees_with_the_decision_and_every_near_miss_is_true(
        rules in rules(), questions in vec(asked(), 8),
    ) {
        let analysis = analysis(&rules);
        for asked in &questions {
            let decision = analysis.snapshot().decide(&asked.request());
            let explanation = analysis.explain(&asked.request());
            prop_assert_eq!(explanation.allowed, decision.allowed);
            let line = match &explanation.reason {
                Reason::Allowed { rule } | Reason::Denied { rule, .. } => {
                    if let (Grantee::Role(role), Some(path)) = (&rule.grantee, &rule.path) {
                        prop_assert!(asked.roles.contains(&path.role.as_str()));
                        prop_assert_eq!(path.steps.last().map_or(&path.role, |step| &step.parent), role);
                        for step in &path.steps {
                            let text = rules.lines().nth(step.line as usize - 1).unwrap_or_default();
                            prop_assert!(text.starts_with('g') && text.contains(&step.parent), "{}", text);
                            prop_assert!(step.domain == "*" || step.domain == asked.domain);
                        }
                    } else {
                        prop_assert_eq!(&rule.grantee, &Grantee::User(asked.subject.to_owned()));
                    }
                    Some(rule.line)
                }
                _ => None,
            };
            prop_assert_eq!(line, decision.rule.map(|rule| rule.line));
            prop_assert!(explanation.near_misses.len() <= 10);
            prop_assert!(!explanation.allowed || explanation.near_misses.is_empty());
            for miss in &explanation.near_misses {
                prop_assert!(followed(&analysis, asked, miss), "{} of {:?} under\n{}", miss, asked, rules);
            }
            let misses = &explanation.near_misses;
            if matches!(explanation.reason, Reason::NoRule) && one_change_helps(&analysis, asked) {
                let first = misses.first().expect("what one change allows is found");
                prop_assert_eq!(first.changes.len(), 1, "{} of {:?} under\n{}", first, asked, rules);
            }
            for (position, miss) in misses.iter().enumerate() {
                let before = misses.iter().take(position);
                let mut says_more = before.map(|told| told.changes.iter().any(|change| !miss.changes.contains(change)));
                prop_assert!(says_more.all(|more| more), "{} needs more than one before it", miss);
            }
        }
    }

    #[test]
    fn who_can_names_exactly_those_whom_a_decision_allows(rules in rules(), asked in asked()) {
        let analysis = analysis(&rules);
        let Asked { domain, object, action, .. } = asked;
        let found = analysis.who_can(object, action, domain, Page::FIRST);
        let decide = |subject: &str, roles: &[&str]| {
            analysis.snapshot().decide(&Request { subject, roles: Roles::from(roles), domain, object, action })
        };
        let asked = ROLES.iter().map(|role| (Grantee::Role((*role).to_owned()), decide("somebody", &[role])));
        let users = USERS.iter().map(|user| (Grantee::User((*user).to_owned()), decide(user, &[])));
        let all: Vec<_> = asked.chain(users).collect();
        let names = |list: &[portcullis_policy::Access]| -> BTreeSet<_> {
            list.iter().map(|access| (access.grantee.clone(), access.rule.line)).collect()
        };
        let expected = |allowed: bool| -> BTreeSet<_> {
            let of = all.iter().filter(|(_, decision)| decision.allowed == allowed);
            of.filter_map(|(grantee, decision)| Some((grantee.clone(), decision.rule?.line))).collect()
        };
        prop_assert_eq!(names(&found.allowed), expected(true));
        prop_assert_eq!(names(&found.denied), expected(false));
        prop_assert_eq!((found.allowed_total, found.denied_total), (found.allowed.len(), found.denied.len()));
    }

    #[test]
    fn what_can_holds_all_that_decides_for_a_caller(rules in rules(), asked in asked()) {
        let analysis = analysis(&rules);
        let request = asked.request();
        let found = analysis.what_can(Some(request.subject), request.roles, request.domain, Page::FIRST);
        let decision = analysis.snapshot().decide(&request);
        if let Some(rule) = decision.rule {
            let entry = found.permissions.iter().find(|entry| entry.rule.line == rule.line);
            let entry = entry.expect("the rule that decides concerns the caller");
            prop_assert_eq!(entry.effect == RuleEffect::Allow, decision.allowed);
        }
        // What is left as allowed is allowed where nothing is named beside it.
        for entry in &found.permissions {
            let object = if entry.object == "*" { "never/heard/of" } else { &entry.object };
            let action = if entry.action == "*" { "unheard of" } else { &entry.action };
            let decision = analysis.snapshot().decide(&Request { object, action, ..request });
            let sure = request.subject.is_empty() || request.subject.contains('\n');
            if !sure && entry.denied_by.is_empty() && entry.effect == RuleEffect::Allow {
                prop_assert!(decision.allowed, "{:?}\n{}", entry, rules);
            }
            if entry.effect == RuleEffect::Deny {
                prop_assert!(!decision.allowed, "{:?}\n{}", entry, rules);
            }
        }
    }
}

#[test]
fn an_allowed_request_names_the_rule_and_the_way_to_it() {
    let rules = "p, viewer, *, orders, read\ng, editor, writer, *\ng, writer, viewer, acme";
    let explanation = explain(rules, &["editor"], "orders", "read");
    assert_eq!(explanation.to_string(), "allowed by line 1, by editor -> writer -> viewer (in acme)");
    let json = serde_json::to_value(&explanation).expect("it can be written");
    assert_eq!(json["reason"]["kind"], "allowed");
    assert_eq!(json["reason"]["rule"]["path"]["steps"][1]["line"], 3);
}

#[test]
fn a_denial_names_what_is_nearest_first() {
    let rules = "p, editor, *, orders, write\np, viewer, umbrella, orders, write\np, viewer, *, /orders/{id}, write\n\
                 p, viewer, *, orders, read\np, viewer, *, stock, read\np, user:bob, *, orders, write";
    let explanation = explain(rules, &["viewer"], "orders", "write");
    let text = "denied: no rule allows it\n  line 4 would match if the action were read\n  \
                line 2 would match if the domain were umbrella\n  \
                role editor has it by line 1; the caller does not hold it\n  \
                line 3 would match if the object were /orders/{id}\n  \
                user bob has it by line 6; the caller is another";
    assert_eq!(explanation.to_string(), text);
    let json = serde_json::to_value(&explanation).expect("it can be written");
    assert_eq!(json["near_misses"][0], serde_json::json!({"line": 4, "changes": [{"action": "read"}]}));
}

#[test]
fn a_role_that_is_inherited_elsewhere_is_found_there() {
    let rules = "p, viewer, *, orders, read\ng, editor, viewer, umbrella";
    let misses = explain(rules, &["editor"], "orders", "read").near_misses;
    assert_eq!(misses[0].changes, [Change::Domain("umbrella".to_owned())]);
    assert_eq!(misses[1].changes, [Change::Role("viewer".to_owned())]);
}

#[test]
fn a_rule_of_another_domain_counts_for_those_who_hold_its_role_there() {
    let rules = "p, viewer, umbrella, orders, read\ng, editor, viewer, umbrella\ng, reader, viewer, acme";
    assert_eq!(
        explain(rules, &["editor"], "orders", "read").to_string(),
        "denied: no rule allows it\n  line 1 would match if the domain were umbrella"
    );
    let misses = explain(rules, &["reader"], "orders", "read").near_misses;
    assert_eq!(misses[0].changes.len(), 2, "{misses:?}");
}

#[test]
fn what_a_role_gives_is_not_what_a_user_has_who_is_called_nobody() {
    let found = analysis("p, user:nobody, *, orders, read\np, a, *, stock, read").who_can(
        "orders",
        "read",
        "",
        Page::FIRST,
    );
    let names: Vec<_> = found.allowed.iter().map(|access| access.grantee.to_string()).collect();
    assert_eq!(names, ["user:nobody"]);
}

#[test]
fn a_rule_that_denies_is_named_with_what_it_outweighs() {
    let rules = "p, viewer, *, orders, read\np, viewer, *, orders, *, deny\np, viewer, *, stock, *";
    let explanation = explain(rules, &["viewer"], "orders", "read");
    let text = "denied by line 2, by viewer; without it, line 1 would allow\n  line 3 would match if the object were stock";
    assert_eq!(explanation.to_string(), text);
}

#[test]
fn a_near_miss_that_a_denial_stops_is_none() {
    let rules = "p, viewer, *, orders, read\np, user:alice, *, orders, read, deny";
    assert_eq!(explain(rules, &["viewer"], "orders", "write").near_misses, []);
}

#[test]
fn near_misses_are_at_most_ten() {
    let rules = numbered(50, |n| format!("p, viewer, *, orders, a{n}\n"));
    assert_eq!(explain(&rules, &["viewer"], "orders", "read").near_misses.len(), 10);
}

#[test]
fn a_request_that_cannot_be_compared_says_which_part_is_wrong() {
    let rules = "p, viewer, *, *, *";
    let long = "x".repeat(5_000);
    for (object, action, fault) in [
        ("", "read", Incomparable::Empty(Part::Object)),
        ("orders", "", Incomparable::Empty(Part::Action)),
        ("orders", "re\nad", Incomparable::ControlCharacter(Part::Action)),
        ("/a/../b", "read", Incomparable::Path(Part::Object)),
        (&long, "read", Incomparable::Path(Part::Object)),
    ] {
        let explanation = explain(rules, &["viewer"], object, action);
        assert_eq!(explanation.reason, Reason::NotComparable { fault });
        assert!(!explanation.allowed);
    }
}

#[test]
fn pages_cut_long_answers_and_say_how_many_there_are() {
    let rules = numbered(30, |n| format!("p, r{n}, *, orders, read\n"));
    let found = analysis(&rules).who_can("orders", "read", "", Page { offset: 28, limit: 10 });
    assert_eq!((found.allowed.len(), found.allowed_total), (2, 30));
    assert_eq!(found.allowed[0].grantee.to_string(), "r28");
    let held = ["r3"];
    let found = analysis(&rules).what_can(None, Roles::from(&held), "", Page { offset: 1, limit: 10 });
    assert_eq!((found.permissions.len(), found.total), (0, 1));
}

#[test]
fn a_permission_shows_what_denies_it_in_whole_or_in_part() {
    let rules = "p, a, *, /docs/*, read\np, a, *, /docs/secret, *, deny\np, a, *, orders, read\np, a, acme, *, read, deny";
    let analysis = analysis(rules);
    let held = ["a"];
    let of = |domain| analysis.what_can(None, Roles::from(&held), domain, Page::FIRST).permissions;
    let elsewhere = of("umbrella");
    assert_eq!((elsewhere[0].effect, elsewhere[0].denied_by.as_slice()), (RuleEffect::Allow, &[2][..]));
    assert_eq!((elsewhere[2].effect, elsewhere.len()), (RuleEffect::Allow, 3));
    let acme = of("acme");
    assert_eq!((acme[0].effect, acme[0].denied_by.as_slice()), (RuleEffect::Deny, &[4][..]));
}

/// Prints how long a scan takes: `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_large_policy_is_explained_in_some_milliseconds() {
    let rule = |n: u32| format!("p, role{}, org{}, /t/{n}/{{id}}, read\n", n % 1_000, n % 97);
    let rules = numbered(100_000, rule);
    let analysis = analysis(&rules);
    let held = ["role1", "role2"];
    let held = Roles::from(&held);
    let start = std::time::Instant::now();
    let request = Request { subject: "s", roles: held, domain: "org1", object: "/t/1/9", action: "write" };
    let explanation = analysis.explain(&request);
    println!("explain: {:?}, {} near misses", start.elapsed(), explanation.near_misses.len());
    let start = std::time::Instant::now();
    let found = analysis.who_can("/t/1/9", "read", "org1", Page::FIRST);
    println!("who_can: {:?}, {} roles", start.elapsed(), found.allowed_total);
    let start = std::time::Instant::now();
    let found = analysis.what_can(None, held, "org1", Page::FIRST);
    println!("what_can: {:?}, {} rules", start.elapsed(), found.total);
}

/// As above, with inheritance in ten thousand domains.
#[test]
#[ignore = "a measurement"]
fn a_large_policy_with_many_domains_is_explained_in_some_milliseconds() {
    let rule = |n: u32| format!("p,r{},d{},/t/{{id}}/{n},read\n", n % 1_000, n % 10_000);
    let link = |n: u32| format!("g,r{},r{},d{n}\n", n % 500, n % 500 + 500);
    let rules = [numbered(90_000, rule), numbered(10_000, link)].concat();
    let analysis = analysis(&rules);
    let held = ["r1", "r2", "r3", "r4", "r5"];
    let held = Roles::from(&held);
    let start = std::time::Instant::now();
    let request = Request { subject: "s", roles: held, domain: "d1", object: "/t/9/x", action: "write" };
    let explanation = analysis.explain(&request);
    println!("explain: {:?}, {} near misses", start.elapsed(), explanation.near_misses.len());
}

#[test]
fn a_policy_under_another_model_is_not_analysed_as_if_it_had_the_default_one() {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\n\
                 e = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && r.obj == p.obj && r.act == p.act";
    let source = PolicySource { model: model.to_owned(), rules: "p, alice, data, read".to_owned() };
    let snapshot = portcullis_policy::Snapshot::compile(&source, 1).expect("it decides");
    assert!(snapshot.enforce(&["alice", "data", "read"]).expect("a decision").allowed);
    let report = Analysis::of(source).expect_err("and is not explained");
    assert_eq!(report.findings[0].code, "model-unsupported");
}
