//! What changes between two policies, and that nothing is missed.

mod random;

use portcullis_policy::{Analysis, Difference, GrantChange, Grantee, Request, Roles, Standing};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random::{OBJECTS, ROLES, USERS, analysis, line};

const DOMAINS: [&str; 4] = ["*", "acme", "umbrella", "other"];
const ACTIONS: [&str; 5] = ["*", "read", "write", "pay", "other"];
const ASKED: [&str; 13] = [
    "*",
    "orders",
    "stock",
    "/orders",
    "/orders/17",
    "/orders/18",
    "/x/17",
    "/x/y",
    "/docs/a/b",
    "/orders/",
    "/orders/{id}",
    "/orders/*",
    "a/b/c",
];

fn diff(old: &str, new: &str) -> Difference {
    analysis(old).diff(&analysis(new))
}

fn told(old: &str, new: &str) -> Vec<String> {
    let difference = diff(old, new);
    assert!(difference.complete);
    difference.changes.iter().map(ToString::to_string).collect()
}

fn kind(standing: &Standing) -> &'static str {
    match standing {
        Standing::Allowed { .. } => "allowed",
        Standing::Denied { .. } => "denied",
        _ => "silent",
    }
}

/// What a policy says of one request of one role or user, asked of the decisions.
fn asked(analysis: &Analysis, grantee: &Grantee, [domain, object, action]: [&str; 3]) -> &'static str {
    let (subject, role) = match grantee {
        Grantee::User(user) => (user.as_str(), None),
        Grantee::Role(role) => ("somebody", Some(role.as_str())),
        _ => panic!("a role or a user"),
    };
    let roles = Roles::from(role.as_slice());
    let decision = analysis.snapshot().decide(&Request { subject, roles, domain, object, action });
    match decision.rule {
        Some(_) if decision.allowed => "allowed",
        Some(_) => "denied",
        None => "silent",
    }
}

/// Whether a template of a change matches a path; written a second time.
fn matches(rule: &str, path: &str) -> bool {
    let (open, rule) = rule.strip_suffix("/*").map_or((false, rule), |rule| (true, rule));
    let (rule_parts, path_parts): (Vec<_>, Vec<_>) = (rule.split('/').collect(), path.split('/').collect());
    let long = if open { path_parts.len() > rule_parts.len() } else { path_parts.len() == rule_parts.len() };
    let fits = |(rule, path): (&&str, &&str)| rule == path || (rule.starts_with('{') && !path.is_empty());
    rule == "*" || (long && rule_parts.iter().zip(&path_parts).all(fits))
}

/// Whether a request lies within a change.
fn holds(change: &GrantChange, [domain, object, action]: [&str; 3]) -> bool {
    let named = |name: &str, asked: &str| name == "*" || name == asked;
    named(&change.domain, domain) && named(&change.action, action) && matches(&change.object, object)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_change_is_real_and_none_is_missed(
        kept in vec(line(), 0..10), removed in vec(line(), 0..4), added in vec(line(), 0..4),
    ) {
        let text = |more: &[String]| kept.iter().chain(more).cloned().collect::<Vec<_>>().join("\n");
        let (old, new) = (text(&removed), text(&added));
        let (old_policy, new_policy) = (analysis(&old), analysis(&new));
        let difference = old_policy.diff(&new_policy);
        prop_assert!(difference.complete);
        for change in &difference.changes {
            let example = [&*change.example.domain, &*change.example.object, &*change.example.action];
            prop_assert_eq!(asked(&old_policy, &change.grantee, example), kind(&change.before), "{}", change);
            prop_assert_eq!(asked(&new_policy, &change.grantee, example), kind(&change.after), "{}", change);
            prop_assert_ne!(kind(&change.before), kind(&change.after));
            prop_assert!(matches(&change.object, &change.example.object), "{}", change);
        }
        let roles = ROLES.iter().map(|role| Grantee::Role((*role).to_owned()));
        let users = USERS.iter().map(|user| Grantee::User((*user).to_owned()));
        for grantee in roles.chain(users) {
            for (domain, object, action) in requests() {
                let request = [domain, object, action];
                let (before, after) = (asked(&old_policy, &grantee, request), asked(&new_policy, &grantee, request));
                let told = difference.changes.iter().any(|change| {
                    change.grantee == grantee && kind(&change.before) == before && kind(&change.after) == after
                        && holds(change, request)
                });
                prop_assert!(before == after || told, "{} {:?}: {} -> {}\n{}\n{}\n{:#?}", grantee, request, before, after, old, new, difference.changes);
                for change in difference.changes.iter().filter(|change| !change.exceptions && change.grantee == grantee && holds(change, request)) {
                    prop_assert_eq!((kind(&change.before), kind(&change.after)), (before, after), "{} {:?}\n{}\n{}", change, request, old, new);
                }
            }
        }
    }

    #[test]
    fn the_same_rules_in_another_order_differ_in_nothing(lines in vec(line(), 0..16)) {
        let forward = lines.join("\n");
        let backward: Vec<String> = lines.iter().rev().map(|line| format!("# why\n{line} \r\n")).collect();
        prop_assert_eq!(diff(&forward, &backward.concat()).changes, []);
    }
}

fn requests() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    DOMAINS.into_iter().flat_map(|domain| {
        let objects = OBJECTS.into_iter().chain(ASKED);
        objects.flat_map(move |object| ACTIONS.into_iter().map(move |action| (domain, object, action)))
    })
}

#[test]
fn spelling_makes_no_difference() {
    assert_eq!(told("p, a, *, /orders/{id}, read", "# note\n\np,a,*,/orders/{order},read,allow"), [""; 0]);
    assert_eq!(told("p, a, *, orders, *\np, a, *, orders, read", "p, a, *, orders, *"), [""; 0]);
}

#[test]
fn grants_are_gained_and_lost() {
    let lines =
        told("p, a, *, orders, read\np, a, *, stock, read", "p, a, *, stock, *\np, b, acme, orders, read");
    assert_eq!(
        lines,
        [
            "a in *: * stock: no rule -> allowed by line 1, with exceptions",
            "a in *: read orders: allowed by line 1 -> no rule",
            "b in acme: read orders: no rule -> allowed by line 2",
        ]
    );
}

#[test]
fn a_change_that_a_wider_one_covers_is_not_told() {
    let lines = told("p, a, acme, /docs/*, read\np, a, acme, /docs/x, read\np, a, acme, /x, read", "");
    assert_eq!(
        lines,
        [
            "a in acme: read /docs/*: allowed by line 1 -> no rule",
            "a in acme: read /x: allowed by line 3 -> no rule",
        ]
    );
}

#[test]
fn what_is_narrowed_is_lost_with_exceptions_and_what_goes_as_a_whole_without() {
    let wide = "p, a, *, *, read\np, b, *, /docs/*, read";
    assert_eq!(
        told(wide, "p, a, *, orders, read\np, b, *, /docs/{id}, read"),
        [
            "a in *: read *: allowed by line 1 -> no rule, with exceptions",
            "b in *: read /docs/*: allowed by line 2 -> no rule, with exceptions",
        ]
    );
    assert_eq!(
        told(&format!("{wide}\np, a, *, orders, read\np, b, acme, /docs/x, read"), ""),
        [
            "a in *: read *: allowed by line 1 -> no rule",
            "b in *: read /docs/*: allowed by line 2 -> no rule"
        ]
    );
    // In one organisation only, or but for one action.
    assert_eq!(
        told("p, a, *, orders, *", "p, a, acme, orders, *"),
        ["a in *: * orders: allowed by line 1 -> no rule, with exceptions"]
    );
    assert_eq!(
        told("", "p, a, *, orders, *\np, a, *, orders, delete, deny"),
        [
            "a in *: * orders: no rule -> allowed by line 1, with exceptions",
            "a in *: delete orders: no rule -> denied by line 2",
        ]
    );
}

#[test]
fn inheritance_shows_as_the_grants_that_it_brings() {
    let rules = "p, viewer, *, orders, read\np, editor, *, orders, write";
    let difference = diff(rules, &format!("{rules}\ng, editor, viewer, acme"));
    assert_eq!(difference.changes.len(), 1);
    let change = &difference.changes[0];
    assert!(change.is_gain() && !change.is_loss());
    assert_eq!(change.to_string(), "editor in acme: read orders: no rule -> allowed by line 1");
}

#[test]
fn a_denial_shows_as_what_it_takes_away_and_from_whom() {
    let old = "p, viewer, *, /docs/*, read\ng, editor, viewer, *";
    let lines =
        told(old, &format!("{old}\np, viewer, *, /docs/secret, *, deny\np, user:17, *, *, read, deny"));
    let expected = [
        "viewer in *: * /docs/secret: no rule -> denied by line 3, with exceptions",
        "viewer in *: read /docs/secret: allowed by line 1 -> denied by line 3",
        "editor in *: * /docs/secret: no rule -> denied by line 3, with exceptions",
        "editor in *: read /docs/secret: allowed by line 1 -> denied by line 3",
        "user:17 in *: read *: no rule -> denied by line 4",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_difference_that_is_too_large_says_so() {
    let rules: Vec<String> = (0..12_000).map(|n| format!("p, a, *, o{n}, read\n")).collect();
    let difference = diff(&rules.concat(), "");
    assert!(!difference.complete);
    assert_eq!(difference.changes.len(), 10_000);
    // Every combination of many names is more than can be looked at; what was found is told.
    let named = |n: u32| format!("p, a, d{n}, o{n}, a{n}\np, a, *, t{n}, *, deny\n");
    let rules: Vec<String> = (0..300).map(named).collect();
    let difference = diff(&rules.concat(), &format!("{}p, a, *, *, *", rules.concat()));
    assert!(!difference.complete && !difference.changes.is_empty());
}

/// Prints how long a comparison takes: `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn large_policies_are_compared_in_bounded_time() {
    let rule = |n: u32| format!("p, role{}, org{}, /t/{n}/{{id}}, read\n", n % 1_000, n % 97);
    let link = |n: u32| format!("g, role{n}, role{}, *\n", n + 1);
    let links = (0..999).filter(|n| n % 8 != 7).map(link);
    let old = (0..100_000).map(rule).chain(links).collect::<Vec<_>>().concat();
    let few = old.replace("/t/17/{id}, read", "/t/17/{id}, write");
    let other = old.replace("/t/", "/o/");
    let old = analysis(&old);
    for (what, new) in [("nothing", old.source().rules.clone()), ("one rule", few), ("all rules", other)] {
        let new = analysis(&new);
        let start = std::time::Instant::now();
        let difference = old.diff(&new);
        let (elapsed, complete) = (start.elapsed(), difference.complete);
        println!("{what}: {elapsed:?}, {} changes, complete: {complete}", difference.changes.len());
    }
}
