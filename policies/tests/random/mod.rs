//! Random rules under the default model, and their analysis.

use portcullis_policy::{Analysis, PolicySource};
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const ROLES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Who has rules of their own; one is called like a role.
pub(crate) const USERS: [&str; 3] = ["17", "alice", "a"];
/// What rules say about objects.
pub(crate) const OBJECTS: [&str; 11] = [
    "*",
    "orders",
    "/orders",
    "/orders/{id}",
    "/orders/{x}",
    "/orders/*",
    "/{a}/{b}",
    "/{a}/17",
    "/orders/17",
    "/docs/*",
    "{n}",
];

/// A line of a policy. Roles inherit only upwards, so no graph has a circle.
pub(crate) fn line() -> impl Strategy<Value = String> {
    let subject = prop_oneof![
        5 => select(ROLES.to_vec()).prop_map(str::to_owned),
        1 => select(USERS.to_vec()).prop_map(|user| format!("user:{user}")),
    ];
    let effect = prop_oneof![4 => Just("allow"), 1 => Just("deny")];
    let domain = || select(vec!["*", "acme", "umbrella"]);
    let action = select(vec!["*", "read", "write", "pay"]);
    let permission = (subject, domain(), select(OBJECTS.to_vec()), action, effect).prop_map(
        |(subject, domain, object, action, effect)| {
            format!("p, {subject}, {domain}, {object}, {action}, {effect}")
        },
    );
    let link = (0..5_usize, 1..6_usize, domain()).prop_map(|(child, up, domain)| {
        let role = |number: usize| ROLES.get(number).unwrap_or(&"f");
        format!("g, {}, {}, {domain}", role(child), role(child + up))
    });
    prop_oneof![3 => permission, 1 => link]
}

pub(crate) fn analysis(rules: &str) -> Analysis {
    Analysis::of(PolicySource::with_default_model(rules)).expect("a policy")
}
