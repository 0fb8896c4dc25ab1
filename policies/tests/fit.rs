//! A permission is without a rule exactly when no caller at all has it.
//!
//! Random policies are held against every permission of a small world, and every caller of that world is asked for: each
//! set of roles, each user, each domain, and one of either that no rule names.

use std::collections::BTreeSet;

use portcullis_policy::{Analysis, Need, PolicySource, Request, Roles, Route};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const ROLES: [&str; 4] = ["a", "b", "c", "d"];
const USERS: [&str; 3] = ["u", "v", "nobody"];
const DOMAINS: [&str; 3] = ["x", "y", "elsewhere"];
const OBJECTS: [&str; 7] = ["*", "orders", "/o", "/o/{id}", "/o/*", "/{a}/b", "/o/b"];
const ASKED: [&str; 8] = ["orders", "stock", "/o", "/o/{key}", "/o/b", "/q/b", "/o/b/c", "/o/*"];
const ACTIONS: [&str; 2] = ["read", "write"];

fn permission() -> impl Strategy<Value = String> {
    let subject = select(vec!["a", "b", "c", "d", "user:u", "user:v"]);
    let (domain, action) = (select(vec!["*", "x", "y"]), select(vec!["*", "read", "write"]));
    let effect = prop_oneof![3 => Just(""), 1 => Just(", deny")];
    (subject, domain, select(OBJECTS.to_vec()), action, effect).prop_map(
        |(subject, domain, object, action, effect)| {
            format!("p, {subject}, {domain}, {object}, {action}{effect}\n")
        },
    )
}

/// Roles inherit from those after them, so that there is no circle.
fn inheritance() -> impl Strategy<Value = String> {
    (0..3_usize, 1..4_usize, select(vec!["*", "x"])).prop_map(|(child, up, domain)| {
        let name = |at: usize| ROLES.get(at).copied().unwrap_or("d");
        format!("g, {}, {}, {domain}\n", name(child), name(child + up))
    })
}

fn is_allowed_to_anybody(analysis: &Analysis, object: &str, action: &str) -> bool {
    (0..1_u32 << ROLES.len()).any(|set| {
        let held: Vec<&str> =
            (0..).zip(ROLES).filter(|(at, _)| set >> at & 1 == 1).map(|(_, role)| role).collect();
        USERS.iter().any(|subject| {
            DOMAINS.iter().any(|domain| {
                let roles = Roles::from(held.as_slice());
                analysis.snapshot().decide(&Request { subject, roles, domain, object, action }).allowed
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_permission_is_without_a_rule_when_no_caller_has_it(
        permissions in vec(permission(), 1..10), inheritances in vec(inheritance(), 0..4),
    ) {
        let lines: BTreeSet<String> = inheritances.into_iter().collect();
        let rules: String = permissions.into_iter().chain(lines).collect();
        let Ok(analysis) = Analysis::of(PolicySource::with_default_model(rules.clone())) else { return Ok(()) };
        for object in ASKED {
            for action in ACTIONS {
                let need = Need::Rbac { action: action.to_owned(), object: object.to_owned() };
                let fit = analysis.fit(&[Route::every_method("/", need)]);
                let expected = is_allowed_to_anybody(&analysis, object, action);
                prop_assert_eq!(fit.unruled.is_empty(), expected, "{} {} in\n{}", object, action, &rules);
                prop_assert!(fit.complete);
            }
        }
    }
}
