//! Names that are probably mistyped, and those that are not.

use portcullis_policy::{KnownNames, Need, PolicySource, Route, lint_with};

fn typos(rules: &str, known: &KnownNames) -> Vec<(u32, u32, String)> {
    let report = lint_with(&PolicySource::with_default_model(rules), known);
    let typos = report.findings.into_iter().filter(|finding| finding.code == "likely-typo");
    typos.map(|finding| (finding.line, finding.column, finding.message)).collect()
}

fn routes(needs: &[(&str, &str)]) -> KnownNames {
    let need =
        |(object, action): &(&str, &str)| Need::Rbac { action: (*action).into(), object: (*object).into() };
    let routes: Vec<_> = needs.iter().map(|both| Route::every_method("/", need(both))).collect();
    KnownNames::of_routes(&routes)
}

#[test]
fn names_that_are_alike_on_purpose_are_no_typos() {
    for (common, rare) in [
        ("viewer", "editor"),
        ("auditor", "editor"),
        ("editor", "auditor"),
        ("leader", "reader"),
        ("team-a", "team-b"),
        ("admin-eu", "admin-us"),
        ("shop-12-clerk", "shop-13-clerk"),
        ("role17", "role18"),
        ("get", "set"),
        ("dev", "den"),
        ("user:adam", "user:adan"),
    ] {
        let rules = format!(
            "p, {common}, *, a, x\np, {common}, *, b, x\np, {common}, *, c, x\np, {rare}, *, a, x\n\
             p, {rare}-of-all, *, a, x"
        );
        assert_eq!(typos(&rules, &KnownNames::default()), [], "{common} {rare}");
    }
    let both_often = "p, reader, *, a, x\np, reader, *, b, x\np, readers, *, a, x\np, readers, *, b, x";
    assert_eq!(typos(both_often, &KnownNames::default()), []);
    let mut made = KnownNames::default();
    made.roles.insert("viewers".to_owned());
    let rules = "p, viewer, *, a, x\np, viewer, *, b, x\np, viewers, *, a, x";
    assert_eq!(typos(rules, &KnownNames::default()).len(), 1);
    assert_eq!(typos(rules, &made), [], "somebody made a role of this name");
    assert_eq!(typos("p, viewesr, *, a, x", &made).len(), 1, "and is what others may have been meant to be");
}

#[test]
fn what_is_near_to_what_routes_ask_for_is_a_typo_however_often_it_is_written() {
    let known = routes(&[("orders", "read"), ("orders", "create"), ("/bills/{id}", "read")]);
    let rules = "p, viewer, *, orders, raed\np, viewer, *, /bills/{bill}, raed\np, viewer, *, ordres, create\n\
                 p, viewer, *, /bils/{id}, create\np, viewer, *, /bills/*, create\np, viewer, *, *, *";
    let said = |line, column, name, meant| {
        (line, column, format!("no route asks for `{name}`; did you mean `{meant}`?"))
    };
    let expected = [
        said(1, 23, "raed", "read"),
        said(3, 15, "ordres", "orders"),
        said(4, 15, "/bils/{id}", "/bills/{id}"),
    ];
    assert_eq!(typos(rules, &known), expected);
    let alike = routes(&[("/items/{id}", "read"), ("/item/{id}", "read"), ("get", "get")]);
    let rules =
        "p, a, *, /items/{no}, read\np, a, *, /items/7, read\np, a, *, gets, get\np, a, *, stock, list";
    assert_eq!(typos(rules, &alike).len(), 1, "{:?}", typos(rules, &alike));
}

#[test]
fn a_typo_is_found_behind_many_names_that_are_meant() {
    let known = routes(&[("/items/{item}", "read")]);
    // Each is near to what is asked for, and stands for it.
    let letters = || 'a'..='m';
    let meant = letters().flat_map(|a| letters().map(move |b| format!("p, a, *, /items/{{it{a}{b}}}, read")));
    let rules: Vec<_> = meant.take(150).chain(["p, a, *, /itms/{item}, read".to_owned()]).collect();
    let found = typos(&rules.join("\n"), &known);
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [151], "{found:?}");
}

#[test]
fn hostile_names_are_not_compared_with_each_other_for_ever() {
    let names: [fn(u32) -> String; 3] =
        [|n| format!("{n:0500}"), |n| word(n, 60), |n| format!("{}{}", word(n, 6), "x".repeat(500))];
    for name in names {
        let rules: Vec<_> = (0..4_000)
            .map(|n| format!("p, {}, *, {}, {}", name(n), name(n + 10_000), name(n + 20_000)))
            .collect();
        let rules = rules.join("\n");
        let known = routes(&[("orders", "read")]);
        // Comparing all of them would take minutes.
        assert!(typos(&rules, &known).len() <= 100);
    }
}

/// A word of many letters that has the same letters as every other.
fn word(mut number: u32, length: usize) -> String {
    let mut letters: Vec<char> = ('a'..='z').cycle().take(length).collect();
    for place in 0..length.min(8) {
        letters.swap(place, (place + number as usize % 7) % length);
        number /= 7;
    }
    letters.into_iter().collect()
}

#[test]
fn a_class_of_sign_in_that_nobody_gives_is_told() {
    let rules = "p, clerk, *, payments, create, allow, acr=phr|phrh\np, clerk, *, keys, read, allow, acr=phr|pwd\n\
                 p, clerk, *, notes, read, allow, max_age=60\n";
    let source = PolicySource::with_default_model(rules);
    let mut known = KnownNames::default();
    assert!(lint_with(&source, &known).is_clean(), "it is not known what the issuer gives");
    known.classes.insert("pwd".to_owned());
    let report = lint_with(&source, &known);
    let told: Vec<_> = report.warnings().map(|finding| (finding.code, finding.line)).collect();
    assert_eq!(told, [("class-not-given", 1)], "{report:?}");
    assert!(report.findings[0].message.ends_with("but `pwd`"), "{report:?}");
}
