//! Every finding: its place, its code, and the way out that it offers.

use portcullis_policy::{Finding, PolicySource, Severity, lint};

fn findings(rules: &str) -> Vec<Finding> {
    lint(&PolicySource::with_default_model(rules)).findings
}

fn only(rules: &str) -> Finding {
    let mut found = findings(rules);
    assert_eq!(found.len(), 1, "{rules:?}: {found:?}");
    found.remove(0)
}

#[track_caller]
fn error(rules: &str, code: &str, line: u32, column: u32) -> Finding {
    let finding = only(rules);
    assert_eq!(finding.severity, Severity::Error, "{finding}");
    assert_eq!((finding.code, finding.line, finding.column), (code, line, column), "{finding}");
    finding
}

#[track_caller]
fn warning(rules: &str, code: &str, line: u32, column: u32) -> Finding {
    let mut found = findings(rules);
    found.retain(|finding| finding.code == code);
    assert_eq!(found.len(), 1, "{rules:?}");
    let finding = found.remove(0);
    assert_eq!(finding.severity, Severity::Warning, "{finding}");
    assert_eq!((finding.line, finding.column), (line, column), "{finding}");
    finding
}

#[test]
fn a_sound_policy_has_no_findings() {
    let rules = "# people\r\n\r\n  # staff\np, viewer, *, /orders/{id}, read, allow\r\n\tg ,editor,viewer , *\n\
                 p, user:a b, acme, orders, write, deny\n";
    assert_eq!(findings(rules), []);
}

#[test]
fn rules_that_allow_nothing() {
    warning("", "nobody-may", 1, 1);
    warning("# nothing yet\ng, editor, viewer, *\np, viewer, *, orders, read, deny", "nobody-may", 1, 1);
    assert!(
        findings("p, viewer").iter().all(|finding| finding.code != "nobody-may"),
        "it may have been a rule"
    );
}

#[test]
fn a_line_with_too_few_or_too_many_fields() {
    error("\np, viewer, *, orders", "field-count", 2, 1);
    let finding = error("  g, editor, viewer", "field-count", 1, 3);
    assert!(finding.message.contains("g, role, inherited role, domain"), "{finding}");
}

#[test]
fn what_is_wrong_with_a_condition() {
    let rule = "p, clerk, *, payments, create";
    let fix = |conditions: &str, code: &str, column: u32| {
        error(&format!("{rule}, {conditions}"), code, 1, column).fix
    };
    let (effect, first, second) = (32, 39, 49);
    assert_eq!(fix("deny, acr=phr", "condition-on-deny", 38), None);
    assert_eq!(fix("deny, more", "condition-on-deny", 38), None);
    assert_eq!(fix("acr=phr", "unknown-effect", effect).as_deref(), Some("allow, acr=phr"));
    assert_eq!(fix("dpop", "unknown-effect", effect).as_deref(), Some("allow, dpop"));
    assert_eq!(fix("allow, amr=pin", "unknown-condition", first).as_deref(), Some("acr=pin"));
    assert_eq!(fix("allow, ACR=pin", "unknown-condition", first).as_deref(), Some("acr=pin"));
    assert_eq!(fix("allow, max-age=5", "unknown-condition", first).as_deref(), Some("max_age=5"));
    assert_eq!(fix("allow, DPoP", "unknown-condition", first).as_deref(), Some("dpop"));
    assert_eq!(fix("allow, from=10.0.0.0/8", "unknown-condition", first), None);
    assert_eq!(fix("allow, allow", "unknown-condition", first), None);
    assert_eq!(fix("allow, acr=phr, acr=phrh", "duplicate-condition", 48), None);
    assert_eq!(fix("allow, max_age=5, max_age=5", "duplicate-condition", second + 1), None);
    assert_eq!(fix("allow, dpop, dpop", "duplicate-condition", 45), None);
    assert_eq!(fix("allow, mtls, dpop, mtls", "duplicate-condition", 51), None);
    for value in ["", "=", "=|", "=a|", "=a b", "=a\\b", "=é"] {
        assert_eq!(fix(&format!("allow, acr{value}"), "condition-value", first), None, "{value}");
    }
    let (most, more) = ("a".repeat(254), "a".repeat(255));
    assert_eq!(findings(&format!("{rule}, allow, acr={most}|b")), []);
    let found = error(&format!("{rule}, allow, acr={more}|b"), "condition-value", 1, first);
    assert!(found.message.contains("at most 256 bytes"), "{found}");
    assert_eq!(fix("allow, acr=a|b|a", "condition-value", first).as_deref(), Some("acr=a|b"));
    for value in ["", "=", "=-1", "=+5", "=1.5", "=x", "=31536001", "=99999999999999999999", "=366d", "=soon"]
    {
        assert_eq!(fix(&format!("allow, max_age{value}"), "condition-value", first), None, "{value}");
    }
    assert_eq!(fix("allow, max_age=300s", "condition-value", first).as_deref(), Some("max_age=300"));
    assert_eq!(fix("allow, max_age=5 m", "condition-value", first).as_deref(), Some("max_age=300"));
    assert_eq!(fix("allow, dpop=1", "condition-value", first).as_deref(), Some("dpop"));
    assert_eq!(fix("allow, mtls=", "condition-value", first).as_deref(), Some("mtls"));
    assert_eq!(fix("allow,", "empty-field", 38), None);
    assert_eq!(
        findings(&format!("{rule}, allow, acr = phrh | https://a.test/x?y=z, max_age=31536000,mtls , dpop")),
        []
    );
}

#[test]
fn conditions_that_nobody_has_to_meet_and_rules_that_say_the_same() {
    let rule = "p, clerk, *, /payments/{id}, create";
    let same = format!("{rule}, allow, acr=a, dpop\n{rule}, allow, dpop, acr=a");
    assert!(warning(&same, "duplicate-rule", 2, 1).message.contains("line 1 says the same"));
    let other = format!("{rule}, allow, acr=a\n{rule}, allow, acr=b\n{rule}, allow, acr=a, dpop");
    assert_eq!(findings(&other), []);
    for lines in [[2, 1], [1, 2]] {
        let (plain, asking) = (format!("{rule}, allow"), format!("{rule}, allow, max_age=5"));
        let text = if lines == [2, 1] { format!("{plain}\n{asking}") } else { format!("{asking}\n{plain}") };
        let found = warning(&text, "superfluous-condition", lines[0], 1);
        assert!(found.message.contains(&format!("line {} allows the same", lines[1])), "{found}");
        assert_eq!(findings(&text).len(), 1);
    }
    warning(&format!("{rule}, allow, dpop\n{rule}, deny"), "shadowed-allow", 1, 1);
    for wide in
        ["*, /payments/{id}, create", "acme, /payments/*, create", "acme, /payments/{other}, *", "*, *, *"]
    {
        let text = format!("p, clerk, {wide}\np, clerk, acme, /payments/{{id}}, create, allow, dpop");
        let found = warning(&text, "superfluous-condition", 2, 1);
        assert!(found.message.contains("line 1 allows the same"), "{found}");
    }
    for other in ["other, *, *", "*, /payments/17, create", "*, /bills/*, *", "*, *, read"] {
        let text = format!(
            "p, clerk, {other}\np, chief, *, *, *\np, clerk, acme, /payments/{{id}}, create, allow, dpop"
        );
        assert!(findings(&text).iter().all(|finding| finding.code != "superfluous-condition"), "{other}");
    }
    warning("p, clerk, *, *, *, allow, dpop", "catch-all", 1, 1);
}

#[test]
fn more_different_conditions_than_are_looked_at() {
    let rule = |age: usize| format!("p, clerk, *, payments, a{age}, allow, max_age={age}");
    let most: Vec<String> = (0..64).chain(0..64).map(rule).collect();
    let text = most.join("\n");
    assert!(findings(&text).iter().all(|finding| finding.severity == Severity::Warning));
    let found = error(
        &format!("{}\n{}\n{}", most[..64].join("\n"), rule(64), rule(65)),
        "too-many-conditions",
        65,
        1,
    );
    assert!(found.message.contains("at most 64 different conditions"), "{found}");
}

#[test]
fn an_unknown_kind_of_line() {
    let finding = error("p2, viewer, *, orders, read", "unknown-kind", 1, 1);
    assert_eq!(finding.fix.as_deref(), Some("p"));
    assert_eq!(error("policy, viewer, *, orders, read", "unknown-kind", 1, 1).fix, None);
}

#[test]
fn characters_that_end_a_line_elsewhere_or_cannot_be_seen() {
    error("p, viewer\rp, mallory, *, *, *", "control-character", 1, 10);
    error("# note\rp, mallory, *, orders, read", "control-character", 1, 7);
    error("p, view\u{2028}er, *, orders, read", "control-character", 1, 8);
    error("p, view\0er, *, orders, read", "control-character", 1, 8);
    error("p, ad\u{200b}min, *, orders, read", "invisible-character", 1, 4);
    error("p, nimda\u{202e}, *, orders, read", "invisible-character", 1, 4);
    error("p, a\tb, *, orders, read", "invisible-character", 1, 4);
    error("\u{feff}p, viewer, *, orders, read", "invisible-character", 1, 1);
}

#[test]
fn a_comment_behind_a_rule() {
    let finding = error("p, viewer, *, orders, read # why", "inline-comment", 1, 28);
    assert_eq!(finding.fix.as_deref(), Some("p, viewer, *, orders, read"));
}

#[test]
fn empty_long_and_quoted_fields() {
    error("p, , *, orders, read", "empty-field", 1, 4);
    error("p, viewer, *, orders, read,", "empty-field", 1, 28);
    error("p, user:, *, orders, read", "empty-field", 1, 4);
    let long = "x".repeat(513);
    error(&format!("p, {long}, *, orders, read"), "field-too-long", 1, 4);
    let finding = error("p, viewer, *, \"orders\", read", "quote", 1, 15);
    assert_eq!(finding.fix.as_deref(), Some("orders"));
}

#[test]
fn names_that_roles_cannot_have() {
    error("p, role:admin, *, orders, read", "role-name", 1, 4);
    error("g, user:alice, viewer, *\np, viewer, *, orders, read", "role-name", 1, 4);
    error("p, *, *, orders, read", "wildcard", 1, 4);
    error("p, viewer, ac*, orders, read", "wildcard", 1, 12);
    assert_eq!(error("p, viewer, *, orders, re*", "wildcard", 1, 23).fix.as_deref(), Some("*"));
}

#[test]
fn an_unknown_effect() {
    assert_eq!(
        error("p, viewer, *, orders, read, Allow", "unknown-effect", 1, 29).fix.as_deref(),
        Some("allow")
    );
    assert_eq!(
        error("p, viewer, *, orders, read, dney", "unknown-effect", 1, 29).fix.as_deref(),
        Some("deny")
    );
}

#[test]
fn objects_that_could_mean_two_things() {
    error("p, viewer, *, /a/{id, read", "template", 1, 18);
    error("p, viewer, *, /a(, read", "object-regex", 1, 17);
    error("p, viewer, *, /a/../b, read", "object-path", 1, 15);
    error(&format!("p, viewer, *, {}/*, read", "/a".repeat(33)), "template-depth", 1, 15);
    let finding = error("p, viewer, *, /é/:id, read", "template", 1, 18);
    assert_eq!(finding.fix.as_deref(), Some("/é/{id}"));
}

#[test]
fn a_circle_of_roles_in_one_organisation_or_across_the_general_rules() {
    let base = "p, a, *, orders, read\n";
    error(&format!("{base}g, a, a, *"), "role-cycle", 2, 7);
    error(&format!("{base}g, a, b, acme\ng, b, a, acme"), "role-cycle", 3, 7);
    let finding = error(&format!("{base}g, a, b, *\ng, b, c, *\ng, c, a, acme"), "role-cycle", 4, 7);
    assert!(finding.message.contains("→"), "{finding}");
    assert_eq!(findings(&format!("{base}g, a, b, acme\ng, b, a, umbrella")), [], "no circle in either");
}

#[test]
fn a_chain_of_roles_that_is_too_long() {
    let chain: Vec<_> = (0..9).map(|n| format!("g, r{n}, r{}, *", n + 1)).collect();
    let rules = format!("p, r9, *, orders, read\n{}", chain.join("\n"));
    let finding = only(&rules);
    assert_eq!((finding.code, finding.severity), ("role-depth", Severity::Error));
}

#[test]
fn roles_that_inherit_more_than_fits() {
    let mut rules = String::from("p, top, *, orders, read\n");
    for n in 0..700 {
        rules.extend((0..140).map(|m| format!("g, a{n}, b{m}, *\n")));
    }
    for m in 0..140 {
        rules.extend((0..650).map(|k| format!("g, b{m}, c{k}, *\n")));
    }
    let found = findings(&rules);
    let errors: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(errors.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["role-size"]);
}

#[test]
fn rules_that_repeat_or_defeat_each_other() {
    warning("p, a, *, orders, read\np, a, *, orders, read, allow", "duplicate-rule", 2, 1);
    warning("p, a, *, /o/{id}, read\np, a, *, /o/{order}, read", "duplicate-rule", 2, 1);
    warning("p, a, *, orders, read\ng, b, a, *\ng, b, a, *", "duplicate-rule", 3, 1);
    let finding = warning("p, a, *, orders, read\np, a, *, orders, read, deny", "shadowed-allow", 1, 1);
    assert!(finding.message.contains("line 2"), "{finding}");
    assert_eq!(findings("p, a, *, orders, read\np, a, acme, orders, read, deny"), []);
}

#[test]
fn a_rule_that_allows_everything() {
    warning("p, owner, acme, *, *", "catch-all", 1, 1);
    assert_eq!(findings("p, owner, acme, *, *, deny\np, viewer, acme, orders, read"), []);
}

#[test]
fn a_role_that_is_inherited_but_grants_nothing() {
    let finding = warning("p, viewer, *, orders, read\ng, editor, viewr, *", "role-unknown", 2, 12);
    assert_eq!(finding.fix.as_deref(), Some("viewer"));
    assert_eq!(findings("p, viewer, *, orders, read\ng, editor, viewer, *\ng, owner, editor, *"), []);
}

#[test]
fn texts_that_are_too_large() {
    error(&"#\n".repeat(2 * 1024 * 1024 + 1), "too-large", 1, 1);
    let rules: Vec<_> = (0..200_001).map(|n| format!("p,r{n},*,o,a")).collect();
    assert_eq!(
        findings(&rules.join("\n")).iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["too-many-rules"]
    );
}

#[test]
fn every_bad_line_is_reported_and_the_rest_is_read() {
    let found = findings("p, a\np, a, *, orders, read\nq, a, *, orders, read\np, a, *, orders, read, deny");
    let places: Vec<_> = found.iter().map(|finding| (finding.line, finding.code)).collect();
    assert_eq!(places, [(1, "field-count"), (2, "shadowed-allow"), (3, "unknown-kind")]);
}

#[test]
fn a_report_is_json_that_a_page_can_show() {
    let report = lint(&PolicySource::with_default_model("p, a, *, orders, read, alow"));
    let json = serde_json::to_value(&report).expect("JSON");
    let finding = &json["findings"][0];
    assert_eq!(finding["file"], "rules");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["code"], "unknown-effect");
    assert_eq!((finding["line"].as_u64(), finding["column"].as_u64()), (Some(1), Some(24)));
    assert_eq!(finding["fix"], "allow");
}

#[test]
fn templates_that_would_make_every_request_a_long_walk_are_refused() {
    let every = |depth: u32| -> String {
        let row = |bits: u32| {
            let segment = |at: u32| if bits >> at & 1 == 0 { "/a" } else { "/{x}" };
            format!("p, viewer, *, {}/{{end}}, read\n", (0..depth).map(segment).collect::<String>())
        };
        (0..1 << depth).map(row).collect()
    };
    assert_eq!(findings(&every(8)), []);
    error(&every(15), "object-overlap", 1, 1);
}

#[test]
fn a_name_of_one_rule_that_is_near_another_is_a_typo() {
    let read = "p, viewer, *, orders, read\np, viewer, *, bills, read\n";
    let finding = warning(&format!("{read}p, viewer, *, stock, raed"), "likely-typo", 3, 22);
    assert_eq!(finding.message, "`raed` is used by this rule only; did you mean `read`?");
    assert_eq!(finding.fix.as_deref(), Some("read"));
    let finding = warning(&format!("{read}  p,  veiwer, *, stock, read, deny"), "likely-typo", 3, 7);
    assert_eq!(finding.fix.as_deref(), Some("viewer"));
    warning(&format!("{read}p, viewer, *, stock, READ"), "likely-typo", 3, 22);
    warning(&format!("{read}g, viewwer, viewer, *"), "likely-typo", 3, 4);
    let once = "p, viewer, *, orders, read\np, editor, *, orders, raed";
    let finding = warning(once, "likely-typo", 2, 23);
    assert_eq!(finding.fix.as_deref(), Some("read"), "of two the first is taken to be right");
}
