//! A decision allocates nothing, however many rules there are.

mod workload;

use std::hint::black_box;

use allocation_counter::measure;
use portcullis_policy::{Assurance, PolicySource, Request, Roles, Snapshot};

#[test]
fn no_way_through_a_decision_allocates_at_any_number_of_rules() {
    for rules in [10, 100_000] {
        let snapshot = Snapshot::compile(&workload::source(rules), 1).expect("a policy");
        for kind in workload::kinds(rules) {
            for question in &kind.questions {
                let mut expected = false;
                let counted = measure(|| expected = black_box(question).is_answered_by(&snapshot));
                assert!(expected, "{}", kind.name);
                assert_eq!(counted.count_total, 0, "{} under {rules} rules", kind.name);
            }
        }
    }
}

#[test]
fn neither_do_many_roles_a_user_and_what_cannot_be_compared() {
    let source = PolicySource::with_default_model(
        "p, user:17, *, orders, read\np, r99, *, orders, read\np, r98, *, orders, pay\np, r97, *, orders, pay, deny",
    );
    let snapshot = Snapshot::compile(&source, 1).expect("a policy");
    let many: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let request = |subject, object, action| Request {
        subject,
        roles: Roles::from(&many),
        domain: "nowhere",
        object,
        action,
    };
    for (request, allowed) in [
        (Request { roles: Roles::NONE, ..request("17", "orders", "read") }, true),
        (request("18", "orders", "read"), true),
        (request("18", "orders", "pay"), false),
        (request("18", "/orders/../orders", "read"), false),
        (request("18", "or\0ders", "read"), false),
        (request("", "orders", "read"), false),
    ] {
        let mut decided = None;
        let counted = measure(|| decided = Some(snapshot.decide(black_box(&request)).allowed));
        assert_eq!((decided, counted.count_total), (Some(allowed), 0), "{request:?}");
    }
}

#[test]
fn neither_do_conditions_met_or_not() {
    // Two rules have each condition: a policy has at most 64 different ones.
    let rule = |n: u32| format!("p, r{n}, *, orders, read, allow, acr=a{0}|b, max_age={0}\n", n / 2);
    let rules: String = (0..100).map(rule).collect();
    let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1).expect("a policy");
    let many: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let request =
        Request { subject: "17", roles: Roles::from(&many), domain: "", object: "orders", action: "read" };
    for (age, line) in [(49, 99), (25, 51), (100, 1)] {
        let shown = Assurance { acr: Some("b"), age: Some(age), ..Assurance::NOTHING };
        let mut decided = None;
        let counted = measure(|| {
            let decision = snapshot.decide_with(black_box(&request), &shown);
            decided = Some((decision.rule.map(|rule| rule.line), snapshot.wanting(decision).is_some()));
        });
        assert_eq!((decided, counted.count_total), (Some((Some(line), age == 100)), 0), "{age}");
    }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| {
        black_box(vec![1]);
    });
    assert_eq!(counted.count_total, 1);
}
