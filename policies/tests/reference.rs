//! With the feature `casbin`, a policy in Casbin's hands agrees with every right decision and with no wrong one.
#![cfg(feature = "casbin")]

use portcullis_policy::{
    Comparison, Decision, Options, PolicySource, Reference, ReferenceError, Request, Roles, Snapshot,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const ROLES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const DOMAINS: [&str; 3] = ["*", "acme", "münchen"];
const OBJECTS: [&str; 12] = [
    "*",
    "orders",
    "{name}",
    "/*",
    "/{a}",
    "/{a}/{b}",
    "/{a}/lines",
    "/orders/",
    "/orders/*",
    "/orders/{id}/lines",
    "/v1.0/x",
    "/ünï/{id}",
];
const ASKED: [&str; 14] = [
    "",
    "..",
    "//",
    "/",
    "orders",
    "/orders",
    "/orders/",
    "/orders/17",
    "/orders/17/lines",
    "/orders//lines",
    "/v1X0/x",
    "/ünï/ü",
    "/a\n",
    "*",
];

const KEPT: Options = Options { enforce_only: false, danger_allow_eval: false, keep_text: true };

/// A line of a policy. Roles inherit only upwards, so no graph has a circle.
fn line() -> impl Strategy<Value = String> {
    let subject = prop_oneof![5 => select(ROLES.to_vec()), 1 => select(vec!["user:alice", "user:a"])];
    let effect =
        prop_oneof![4 => Just(""), 2 => Just(", allow"), 2 => Just(", deny"), 1 => Just(", allow, dpop")];
    let action = select(vec!["*", "read", "write"]);
    let permission = (subject, select(DOMAINS.to_vec()), select(OBJECTS.to_vec()), action, effect);
    let permission = permission.prop_map(|(subject, domain, object, action, effect)| {
        format!("p, {subject}, {domain}, {object}, {action}{effect}")
    });
    let link = (0..5_usize, 1..6_usize, select(DOMAINS.to_vec())).prop_map(|(child, up, domain)| {
        let role = |place: usize| ROLES.get(place).unwrap_or(&"f");
        format!("g, {}, {}, {domain}", role(child), role(child + up))
    });
    prop_oneof![6 => permission, 2 => link, 1 => Just("# a comment, with, commas".to_owned())]
}

type Asked = (&'static str, Vec<&'static str>, &'static str, &'static str, &'static str);

fn asked() -> impl Strategy<Value = Asked> {
    let roles = vec(prop_oneof![8 => select(ROLES.to_vec()), 1 => select(vec!["user:alice", "", "x"])], 0..4);
    let domain = select(vec!["", "acme", "münchen", "other", "*"]);
    (
        select(vec!["alice", "bob", "a", ""]),
        roles,
        domain,
        select(ASKED.to_vec()),
        select(vec!["read", "write", "*", ""]),
    )
}

fn request((subject, roles, domain, object, action): &Asked) -> Request<'_> {
    Request { subject, roles: Roles::from(roles.as_slice()), domain, object, action }
}

fn contrary(decision: Decision) -> Decision {
    let mut contrary = decision;
    contrary.allowed = !decision.allowed;
    contrary
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_what_the_index_decides_and_not_with_the_contrary(
        lines in vec(line(), 0..24),
        questions in vec(asked(), 24),
    ) {
        let source = PolicySource::with_default_model(lines.join("\n"));
        // Two rules with one role in them can be a circle, or the contrary of each other.
        let Ok(snapshot) = Snapshot::compile_with(&source, 1, KEPT) else { return Ok(()) };
        let reference = Reference::of(&snapshot).expect("Casbin takes the policy");
        for asked in &questions {
            let request = request(asked);
            let decision = snapshot.decide(&request);
            let under = || format!("{asked:?} under\n{}", source.rules);
            if snapshot.wanting(decision).is_some() {
                prop_assert_eq!(reference.compare(&request, decision), Comparison::Unanswered, "{}", under());
                continue;
            }
            prop_assert_eq!(reference.compare(&request, decision), Comparison::Agrees, "{}", under());
            prop_assert_eq!(reference.compare(&request, contrary(decision)), Comparison::Differs, "{}", under());
        }
    }
}

#[test]
fn another_model_is_asked_for_a_user_and_its_roles_together() {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act, eft\n\
                 [role_definition]\ng = _, _\n[policy_effect]\n\
                 e = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n\
                 [matchers]\nm = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act";
    let rules =
        "p, reader, /orders/:id, read, allow\np, user:mallory, /orders/:id, read, deny\ng, clerk, reader";
    let source = PolicySource { model: model.to_owned(), rules: rules.to_owned() };
    let snapshot = Snapshot::compile_with(&source, 1, KEPT).expect("a policy");
    let reference = Reference::of(&snapshot).expect("Casbin takes the policy");
    for (subject, roles, object, allowed) in [
        ("alice", &["clerk"][..], "/orders/1", true),
        ("mallory", &["clerk"], "/orders/1", false),
        ("alice", &["other"], "/orders/1", false),
        ("alice", &["clerk"], "/orders/1/2", false),
    ] {
        let request = Request { subject, roles: Roles::from(roles), domain: "", object, action: "read" };
        let decision = snapshot.decide(&request);
        assert_eq!(decision.allowed, allowed, "{subject} {object}");
        assert_eq!(reference.compare(&request, decision), Comparison::Agrees);
        assert_eq!(reference.compare(&request, contrary(decision)), Comparison::Differs);
    }
}

#[test]
fn the_effect_of_the_first_rule_cannot_be_asked_for_several_roles() {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act, eft\n\
                 [policy_effect]\ne = priority(p.eft) || deny\n[matchers]\nm = r.sub == p.sub && r.obj == p.obj";
    let source = PolicySource { model: model.to_owned(), rules: "p, a, orders, read, allow".to_owned() };
    let snapshot = Snapshot::compile_with(&source, 1, KEPT).expect("a policy");
    assert!(matches!(Reference::of(&snapshot), Err(ReferenceError::Casbin(why)) if why.contains("rank")));
}
