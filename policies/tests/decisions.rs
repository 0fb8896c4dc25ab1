//! What rules mean, and what attackers try.

use portcullis_policy::{
    ADMIN_API_RULES, Decision, PolicySource, Request, Roles, STARTER_RULES, Severity, Snapshot,
    SnapshotDocument, lint,
};

fn compile(rules: &str) -> Snapshot {
    Snapshot::compile(&PolicySource::with_default_model(rules), 3).expect("a policy")
}

/// Asks as `alice` of `acme`.
fn decide(snapshot: &Snapshot, roles: &[&str], object: &str, action: &str) -> Decision {
    snapshot.decide(&Request { subject: "alice", roles: Roles::from(roles), domain: "acme", object, action })
}

fn allows(text: &str, roles: &[&str], object: &str, action: &str) -> bool {
    decide(&compile(text), roles, object, action).allowed
}

#[test]
fn a_decision_names_the_first_rule_that_decided_and_the_revision() {
    let snapshot = compile("# orders\np, b, *, *, read\np, a, *, orders, read\n\np, c, *, orders, *, deny");
    let decision = decide(&snapshot, &["a", "b"], "orders", "read");
    assert!(decision.allowed);
    assert_eq!((decision.rule.expect("a rule").line, decision.revision), (2, 3));
    let denied = decide(&snapshot, &["a", "c"], "orders", "read");
    assert!(!denied.allowed);
    assert_eq!(denied.rule.expect("a rule").line, 5);
    assert_eq!(decide(&snapshot, &["a"], "orders", "write").rule, None);
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let rules = "p, a, *, *, *\np, a, acme, /docs/*, read, deny\np, user:alice, *, orders, read, deny\n\
                 g, b, c, acme\np, c, *, *, pay, deny\np, b, *, *, *";
    assert!(allows(rules, &["a"], "/docs", "read"));
    assert!(!allows(rules, &["a"], "/docs/x", "read"));
    assert!(!allows(rules, &["a"], "orders", "read"), "to the user");
    assert!(!allows(rules, &["b"], "orders", "pay"), "to an inherited role");
    assert!(!allows(rules, &["a", "b"], "orders", "pay"), "one role does not undo another's deny");
}

#[test]
fn inheritance_holds_in_its_organisation_and_everywhere_with_a_star() {
    let snapshot = compile("p, c, *, orders, read\ng, b, c, *\ng, a, b, acme\ng, x, c, umbrella");
    let ask = |role: &str, domain: &str| {
        let roles = [role];
        let roles = Roles::from(&roles);
        snapshot.decide(&Request { subject: "s", roles, domain, object: "orders", action: "read" }).allowed
    };
    for (role, domain, expected) in [
        ("b", "acme", true),
        ("b", "unheard of", true),
        ("b", "", true),
        ("a", "acme", true),
        ("a", "umbrella", false),
        ("a", "", false),
        ("a", "*", false),
        ("x", "umbrella", true),
        ("x", "acme", false),
    ] {
        assert_eq!(ask(role, domain), expected, "{role} in {domain}");
    }
}

#[test]
fn a_template_matches_paths_and_its_own_text() {
    let rules = "p, a, *, /orders/{id}, read\np, a, *, /docs/*, read\np, a, *, /.well-known/{x}/y, read";
    for object in ["/orders/1", "/orders/{id}", "/orders/{other}", "/docs/", "/docs/a/b", "/.well-known/1/y"]
    {
        assert!(allows(rules, &["a"], object, "read"), "{object}");
    }
    for object in
        ["/orders", "/orders/", "/orders/1/", "/orders/1/2", "orders/1", "/docs", "/docsx", "/Orders/1"]
    {
        assert!(!allows(rules, &["a"], object, "read"), "{object}");
    }
}

#[test]
fn many_roles_and_many_cells_are_all_looked_at() {
    let roles: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    let others: Vec<_> = (0..50).map(|n| format!("p, other, org{n}, orders, act{n}\n")).collect();
    let mut text = others.concat();
    text.push_str("p, r99, acme, orders, read\np, r98, *, orders, pay\np, r97, acme, orders, *, deny\n");
    let snapshot = compile(&text);
    let ask = |roles: &[String], action: &str| {
        let request =
            Request { subject: "s", roles: Roles::from(roles), domain: "acme", object: "orders", action };
        snapshot.decide(&request).allowed
    };
    assert!(!ask(&roles, "read"), "r97 denies");
    assert!(ask(&roles[98..], "read"));
    assert!(ask(&roles[98..], "pay"));
    assert!(!ask(&roles[..97], "read"));
    assert!(!ask(&roles[97..], "pay"));
}

/// CB-06
#[test]
fn nothing_is_allowed_by_no_policy_and_to_nobody() {
    let empty = compile("");
    assert!(!decide(&empty, &["a"], "orders", "read").allowed);
    let everything = compile("p, a, *, *, *");
    let full = Request { subject: "s", roles: Roles::from(&["a"]), domain: "", object: "o", action: "r" };
    assert!(everything.decide(&full).allowed);
    assert!(!everything.decide(&Request { subject: "", ..full }).allowed);
    assert!(!everything.decide(&Request { object: "", ..full }).allowed);
    assert!(!everything.decide(&Request { action: "", ..full }).allowed);
    assert!(!everything.decide(&Request { roles: Roles::NONE, ..full }).allowed);
    assert!(!everything.decide(&Request { roles: Roles::from(&["", "*"]), ..full }).allowed);
}

/// CB-01
#[test]
fn a_path_that_is_not_ascii_is_compared_like_any_other() {
    assert!(!allows("p, a, *, /fo/*, read", &["a"], "/föo", "read"));
    assert!(allows("p, a, *, /ö/{x}, read", &["a"], "/ö/🦀", "read"));
}

/// CB-02, CB-03 and CB-08
#[test]
fn a_rule_that_would_break_or_smuggle_does_not_compile() {
    for (rules, code) in [
        ("p, a, *, /a(, read", "object-regex"),
        ("p, a, *, \"GET\np, mallory, /*, GET\", read", "quote"),
        ("p, a, orders", "field-count"),
    ] {
        let report = Snapshot::compile(&PolicySource::with_default_model(rules), 1).expect_err("no policy");
        assert_eq!(report.errors().next().map(|error| error.code), Some(code), "{rules}");
    }
}

/// CB-09
#[test]
fn spellings_that_a_router_might_fold_are_denied() {
    let rules = "p, a, *, *, *\np, a, *, /admin, *, deny\np, a, *, /x/*, *, deny";
    for object in
        ["//admin", "/./admin", "/x/../admin", "/y/../admin", "/admin\0", "/y//x/1", "/..", "../x", ".", ".."]
    {
        assert!(!allows(rules, &["a"], object, "GET"), "{object}");
    }
}

/// CB-11
#[test]
fn a_dot_is_a_dot() {
    assert!(!allows("p, a, *, /v1.0/{x}, read", &["a"], "/v1X0/x", "read"));
}

/// CB-12
#[test]
fn a_parameter_never_holds_a_slash() {
    assert!(!allows("p, a, *, /u/{id}, read", &["a"], "/u/1/2", "read"));
}

/// CB-13
#[test]
fn actions_are_compared_byte_for_byte() {
    for action in ["get", "GETX", "HEAD", "TRACE", "GET ", "GET\0"] {
        assert!(!allows("p, a, *, /x, GET", &["a"], "/x", action), "{action}");
    }
    assert!(!allows("p, a, *, *, *", &["a"], "/x", "GET\r\n"));
}

/// CB-16
#[test]
fn a_user_called_like_a_role_and_a_role_called_like_a_user_gain_nothing() {
    let snapshot = compile("p, admin, *, orders, read\np, user:root, *, orders, read\ng, boss, admin, *");
    let ask = |subject: &str, roles: &[&str]| {
        let roles = Roles::from(roles);
        snapshot.decide(&Request { subject, roles, domain: "acme", object: "orders", action: "read" }).allowed
    };
    assert!(ask("root", &[]) && ask("alice", &["admin"]));
    for subject in ["admin", "boss", "user:root", "role:admin", "user:admin", "root\n"] {
        assert!(!ask(subject, &[]), "{subject}");
    }
    for role in ["root", "user:root", "user:alice", "role:admin", "Admin", "admin "] {
        assert!(!ask("alice", &[role]), "{role}");
    }
}

#[test]
fn an_object_without_end_is_denied() {
    let long = format!("/{}", "a".repeat(4096));
    assert!(!allows("p, a, *, *, *", &["a"], &long, "read"));
    assert!(allows("p, a, *, *, *", &["a"], &long[1..], "read"));
}

#[test]
fn half_a_model_never_compiles() {
    let source = PolicySource { model: "[matchers]\nm = r.sub == p.sub".to_owned(), rules: String::new() };
    let report = Snapshot::compile(&source, 1).expect_err("no policy");
    assert!(report.errors().any(|finding| finding.code == "model-syntax"), "{report}");
}

#[test]
fn a_snapshot_tells_what_it_holds() {
    let snapshot = compile("p, b, *, *, *\np, user:x, *, orders, read\ng, a, b, *");
    assert_eq!((snapshot.revision(), snapshot.rule_count()), (3, 3));
    assert_eq!(snapshot.roles().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(snapshot.warnings().findings[0].code, "catch-all");
    assert_eq!(format!("{snapshot:?}"), "Snapshot { revision: 3, rules: 3, .. }");
}

#[test]
fn a_document_survives_json_and_ignores_what_a_later_version_adds() {
    let source = PolicySource::with_default_model("p, a, *, orders, read");
    let document = SnapshotDocument::new("https://api.example.com", 9, source);
    let mut json = serde_json::to_value(&document).expect("JSON");
    json["added_later"] = true.into();
    let read: SnapshotDocument = serde_json::from_value(json).expect("a document");
    assert_eq!(read, document);
    let snapshot = read.compile().expect("a policy");
    assert_eq!(snapshot.revision(), 9);
    assert!(decide(&snapshot, &["a"], "orders", "read").allowed);
}

#[test]
fn the_starter_rules_let_viewers_read_and_editors_also_write() {
    assert!(lint(&PolicySource::with_default_model(STARTER_RULES)).is_clean());
    for (role, action, expected) in [
        ("viewer", "read", true),
        ("viewer", "create", false),
        ("viewer", "update", false),
        ("editor", "read", true),
        ("editor", "create", true),
        ("editor", "update", true),
        ("editor", "delete", false),
        ("stranger", "read", false),
    ] {
        assert_eq!(allows(STARTER_RULES, &[role], "/orders/{id}", action), expected, "{role} {action}");
    }
}

#[test]
fn the_admin_rules_keep_the_duties_apart() {
    let report = lint(&PolicySource::with_default_model(ADMIN_API_RULES));
    let codes: Vec<_> = report.findings.iter().map(|finding| (finding.severity, finding.code)).collect();
    assert_eq!(codes, [(Severity::Warning, "catch-all")], "only the owner's");
    for (role, object, action, expected) in [
        ("owner", "keys", "rotate", true),
        ("auditor", "audit", "read", true),
        ("auditor", "users", "update", false),
        ("auditor", "keys", "read", false),
        ("support", "users", "send-reset", true),
        ("support", "assignments", "create", false),
        ("user-admin", "users", "send-reset", true),
        ("user-admin", "assignments", "create", true),
        ("user-admin", "clients", "read", false),
        ("client-admin", "clients", "rotate-secret", true),
        ("client-admin", "users", "read", false),
        ("policy-editor", "policies", "update", true),
        ("policy-editor", "policies", "activate", false),
        ("policy-approver", "policies", "activate", true),
        ("policy-approver", "policies", "update", false),
    ] {
        assert_eq!(allows(ADMIN_API_RULES, &[role], object, action), expected, "{role} {object} {action}");
    }
    for role in compile(ADMIN_API_RULES).roles().filter(|role| *role != "owner") {
        assert!(!allows(ADMIN_API_RULES, &[role], "keys", "read"), "{role}");
    }
}
