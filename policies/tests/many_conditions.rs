//! As many conditions as a policy may have, each of them long.

use portcullis_policy::{Analysis, PolicySource, Standing};

fn analysis(rules: &str) -> Analysis {
    Analysis::of(PolicySource::with_default_model(rules)).expect("a policy")
}

/// A condition that no other one makes superfluous, and a long one.
fn long(number: usize) -> String {
    format!("acr={}|{number}", "x".repeat(250))
}

#[test]
fn conditions_of_which_each_is_told_everywhere_end_a_comparison_before_memory_does() {
    let rules = |subject: &str, more: &str| {
        let each = (0..64).map(|number| format!("p, {subject}, *, *, *, allow, {}{more}", long(number)));
        let named = (0..400).map(|number| format!("p, {subject}, d{number}, o{number}, a{number}, deny"));
        each.chain(named).collect::<Vec<_>>().join("\n")
    };
    let (old, new) = (analysis(&rules("clerk", "")), analysis(&rules("clerk", ", dpop")));
    let difference = old.diff(&new);
    let told = |standing: &Standing| match standing {
        Standing::Conditional { condition, .. } => condition.len(),
        _ => 0,
    };
    let bytes: usize = difference.changes.iter().map(|one| told(&one.before) + told(&one.after)).sum();
    assert!(!difference.complete && !difference.changes.is_empty());
    assert!(told(&difference.changes[0].before) > 16_000 && bytes < 50_000_000, "{bytes}");
    // Of few places all is told.
    let few = |more: &str| {
        let each = (0..64).map(|number| format!("p, clerk, *, orders, read, allow, {}{more}", long(number)));
        analysis(&each.collect::<Vec<_>>().join("\n"))
    };
    let difference = few("").diff(&few(", dpop"));
    assert!(difference.complete && difference.changes.len() == 1);
}
