//! Recorded requests under other rules: nothing that changes is missed, and whom it concerns is said.

mod random;

use portcullis_policy::{Analysis, Grantee, PolicySource, Replay, Replayed, Request, Roles, Snapshot, Turn};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::random::{ROLES, USERS, analysis, line};

const BEFORE: &str = "p, viewer, *, orders, read\ng, editor, viewer, *\np, editor, acme, orders, write\np, user:17, *, stock, read";

type Asked<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, &'a str, u64);

fn replayed(before: &str, after: &str, asked: &[Asked<'_>]) -> Replayed {
    let (before, after) = (analysis(before), analysis(after));
    let mut replay = Replay::new(&before, &after);
    for &(subject, roles, domain, object, action, count) in asked {
        replay.add(&Request { subject, roles: Roles::from(roles), domain, object, action }, count);
    }
    replay.finish()
}

fn told(found: &Replayed) -> Vec<String> {
    found.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn whoever_is_locked_out_is_named_by_the_role_that_they_hold() {
    let asked: [Asked<'_>; 6] = [
        ("alice", &["viewer"], "acme", "orders", "read", 5),
        ("bob", &["viewer"], "", "orders", "read", 3),
        ("carol", &["editor"], "acme", "orders", "read", 40),
        ("carol", &["editor"], "acme", "orders", "write", 2),
        ("17", &[], "", "stock", "read", 1),
        ("mallory", &[], "acme", "orders", "read", 9),
    ];
    let after = "g, editor, viewer, *\np, editor, acme, orders, write\np, viewer, *, nothing, read";
    let found = replayed(BEFORE, after, &asked);
    let expected = [
        "editor loses orders read: 40 decisions, 1 caller",
        "viewer loses orders read: 8 decisions, 2 callers",
        "user:17 loses stock read: 1 decision, 1 caller",
    ];
    assert_eq!(told(&found), expected);
    assert_eq!((found.all.decisions, found.all.requests), (60, 6));
    assert_eq!((found.denied.decisions, found.denied.requests), (49, 4));
    assert_eq!((found.allowed.requests, found.losers), (0, 4));
    let viewers = &found.changes[1];
    let names: Vec<_> = viewers.examples.iter().map(|one| (one.subject.as_str(), one.decisions)).collect();
    assert_eq!(names, [("alice", 5), ("bob", 3)]);
    assert_eq!((viewers.examples[0].before, viewers.examples[0].after), (Some(1), None));
    let rules = found.rules.unwrap();
    assert_eq!((rules.total, rules.used, rules.unused), (2, 1, vec![3]));
}

#[test]
fn whoever_asked_about_others_is_told_with_them() {
    let (before, after) = (analysis(BEFORE), analysis("p, editor, acme, orders, write"));
    let mut replay = Replay::new(&before, &after);
    let roles = Roles::from(&["viewer"]);
    let request = Request { subject: "alice", roles, domain: "", object: "orders", action: "read" };
    for (asker, times) in [(None, 4), (Some("shop"), 3), (Some("till"), 3), (Some("shop"), 3)] {
        replay.add_of(asker, &request, times);
    }
    let found = replay.finish();
    assert_eq!(told(&found), ["viewer loses orders read: 13 decisions, 1 caller"]);
    let examples = found.changes[0].examples.iter();
    let examples: Vec<_> = examples.map(|one| (one.asker.as_deref(), one.decisions)).collect();
    assert_eq!(examples, [(Some("shop"), 6), (None, 4), (Some("till"), 3)]);
}

#[test]
fn what_is_gained_comes_behind_what_is_lost_and_by_the_role_that_gains_it() {
    let asked: [Asked<'_>; 3] = [
        ("alice", &["viewer"], "acme", "orders", "write", 100),
        ("carol", &["editor"], "acme", "orders", "write", 1),
        ("17", &[], "", "stock", "read", 1),
    ];
    let after = format!("{BEFORE}\np, viewer, *, orders, write\np, user:17, *, stock, read, deny");
    let found = replayed(BEFORE, &after, &asked);
    assert_eq!(
        told(&found),
        [
            "user:17 loses stock read: 1 decision, 1 caller",
            "viewer gains orders write: 100 decisions, 1 caller"
        ]
    );
    assert_eq!(found.changes[1].grantee, Some(Grantee::Role("viewer".to_owned())));
}

#[test]
fn somebody_who_asks_on_several_days_is_one_caller() {
    let asked: [Asked<'_>; 3] = [
        ("alice", &["viewer", "x"], "", "orders", "read", 1),
        ("alice", &["viewer", "x"], "", "orders", "read", 2),
        ("alice", &["x", "viewer"], "", "orders", "read", 4),
    ];
    let found = replayed(BEFORE, "p, other, *, orders, read", &asked);
    assert_eq!(told(&found), ["viewer loses orders read: 7 decisions, 1 caller"]);
    let [one] = &found.changes[0].examples[..] else { panic!("{found:?}") };
    assert_eq!((one.decisions, one.roles.as_slice()), (7, &["viewer".to_owned(), "x".to_owned()][..]));
}

#[test]
fn of_many_callers_those_who_asked_most_are_named_and_all_are_counted() {
    let subjects: Vec<String> = (0..50).map(|number| format!("user-{number:02}")).collect();
    let asked: Vec<Asked<'_>> = (1..)
        .zip(&subjects)
        .map(|(count, name)| (name.as_str(), &["viewer"][..], "", "orders", "read", count))
        .collect();
    let found = replayed(BEFORE, "p, other, *, orders, read", &asked);
    let change = &found.changes[0];
    assert_eq!((change.callers, change.decisions), (50, 50 * 51 / 2));
    let told: Vec<_> = change.examples.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(told, ["user-49", "user-48", "user-47", "user-46", "user-45"]);
}

#[test]
fn changes_of_more_things_than_are_told_are_counted() {
    let objects: Vec<String> = (0..1_500).map(|number| format!("thing-{number}")).collect();
    let asked: Vec<Asked<'_>> =
        objects.iter().map(|object| ("alice", &["owner"][..], "", object.as_str(), "read", 2)).collect();
    let found = replayed("p, owner, *, *, *", "p, other, *, *, *", &asked);
    assert_eq!((found.changes.len(), found.complete), (1_000, false));
    assert_eq!((found.denied.decisions, found.denied.requests), (3_000, 1_500));
}

#[test]
fn rules_under_another_model_are_replayed_without_names() {
    let model = "[request_definition]\nr = sub, dom, obj, act\n[policy_definition]\np = sub, dom, obj, act\n\
                 [policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\n\
                 m = r.sub == p.sub && r.obj == p.obj && r.act == p.act";
    let compiled = |rules: &str| {
        let source = PolicySource { model: model.to_owned(), rules: rules.to_owned() };
        Snapshot::compile(&source, 1).unwrap()
    };
    let (before, after) =
        (compiled("p, viewer, acme, orders, read"), compiled("p, other, acme, orders, read"));
    let mut replay = Replay::new(&before, &after);
    let roles = Roles::from(&["viewer"]);
    replay.add(&Request { subject: "alice", roles, domain: "acme", object: "orders", action: "read" }, 2);
    let found = replay.finish();
    assert_eq!(told(&found), ["somebody loses orders read: 2 decisions, 1 caller"]);
    assert_eq!(found.rules, None);
}

proptest! {
    #[test]
    fn it_says_of_each_request_what_the_two_policies_say(
        old in vec(line(), 0..10),
        new in vec(line(), 0..10),
        asked in vec((select(USERS.to_vec()), vec(select(ROLES.to_vec()), 0..3), select(vec!["", "acme", "other"]),
                      select(vec!["orders", "/orders/17", "/docs/a"]), select(vec!["read", "write"]), 1..9_u64), 0..40),
    ) {
        let compiled: [Analysis; 2] = [&old, &new].map(|lines| analysis(&lines.join("\n")));
        let mut replay = Replay::new(&compiled[0], &compiled[1]);
        let mut expected = [(0, 0); 3];
        for (subject, roles, domain, object, action, count) in &asked {
            let request = Request { subject, roles: Roles::from(roles.as_slice()), domain, object, action };
            replay.add(&request, *count);
            let [before, after] = [0, 1].map(|side| compiled[side].snapshot().decide(&request).allowed);
            let mut note = |place: usize| { expected[place].0 += count; expected[place].1 += 1; };
            note(0);
            if after && !before { note(1) }
            if before && !after { note(2) }
        }
        let found = replay.finish();
        let got = [found.all, found.allowed, found.denied].map(|tally| (tally.decisions, tally.requests));
        prop_assert_eq!(got, expected);
        let sum = |turn| found.changes.iter().filter(|change| change.turn == turn).map(|change| change.decisions).sum::<u64>();
        prop_assert_eq!([sum(Turn::Allowed), sum(Turn::Denied)], [expected[1].0, expected[2].0]);
        prop_assert!(found.complete);
        for change in &found.changes {
            prop_assert!(change.grantee.is_some(), "each is by a rule: {}", change);
            prop_assert!((1..=5).contains(&change.examples.len()) && change.callers >= change.examples.len());
        }
    }
}
