//! Where we differ from Casbin on purpose: each number of `DIFFERENCES.md`, and what keeps it safe.

use portcullis_policy::{EnforceError, Options, PolicySource, Report, Request, Roles, Snapshot};

const ALLOW: &str = "some(where (p.eft == allow))";
const BOTH: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
const NOT_DENIED: &str = "!some(where (p.eft == deny))";
const PRIORITY: &str = "priority(p.eft) || deny";

/// A model of requests with a subject, an object and an action.
fn model(policy: &str, roles: &str, effect: &str, matcher: &str) -> String {
    let roles = if roles.is_empty() { String::new() } else { format!("[role_definition]\n{roles}\n") };
    format!(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = {policy}\n{roles}\
         [policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )
}

fn compile(model: &str, rules: &str) -> Result<Snapshot, Report> {
    Snapshot::compile(&PolicySource { model: model.to_owned(), rules: rules.to_owned() }, 1)
}

#[track_caller]
fn allows(model: &str, rules: &str, request: [&str; 3]) -> bool {
    let snapshot = compile(model, rules).unwrap_or_else(|report| panic!("{report}"));
    snapshot.enforce(&request).expect("a decision").allowed
}

/// The code, line and column of the only error.
#[track_caller]
fn refused(model: &str, rules: &str) -> (&'static str, u32, u32) {
    let report = compile(model, rules).expect_err("no policy");
    let errors: Vec<_> = report.errors().collect();
    let [error] = errors.as_slice() else { panic!("{report}") };
    (error.code, error.line, error.column)
}

/// A model that compares the object with a pattern.
fn pattern(function: &str) -> String {
    model("sub, obj, act", "", ALLOW, &format!("{function}(r.obj, p.obj) && r.act == p.act"))
}

fn object(function: &str, rule: &str, asked: &str) -> bool {
    allows(&pattern(function), &format!("p, any, {rule}, read"), ["alice", asked, "read"])
}

#[track_caller]
fn bad_pattern(function: &str, rule: &str, code: &str, column: u32) {
    let found = refused(&pattern(function), &format!("p, any, {rule}, read"));
    assert_eq!(found, (code, 1, column), "{function} {rule}");
}

const ACL: &str = "r.sub == p.sub && r.obj == p.obj && r.act == p.act";
const RBAC: &str = "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act";

fn acl() -> String {
    model("sub, obj, act", "", ALLOW, ACL)
}

#[test]
fn no_1_without_rules_only_what_holds_whatever_a_rule_says_is_allowed() {
    assert!(!allows(&acl(), "", ["", "", ""]));
    let unlike = model("sub, obj, act", "", ALLOW, "r.sub != p.sub || !(r.obj == p.obj)");
    assert!(!allows(&unlike, "", ["alice", "x", "read"]));
    let root = model("sub, obj, act", "", ALLOW, &format!("{ACL} || r.sub == 'root'"));
    assert!(allows(&root, "", ["root", "x", "read"]));
    assert!(!allows(&root, "", ["alice", "x", "read"]));
}

#[test]
fn no_2_what_is_no_address_is_denied_by_name() {
    for matcher in ["ipMatch(r.sub, p.sub)", "!ipMatch(r.sub, p.sub)"] {
        let model = model("sub, obj, act", "", ALLOW, matcher);
        let snapshot = compile(&model, "p, 10.0.0.0/8, x, read").expect("a policy");
        for asked in ["", "alice", "10.0.0", "10.0.0.1/8", "10.0.0.1 "] {
            assert_eq!(snapshot.enforce(&[asked, "x", "read"]), Err(EnforceError::NotAnAddress));
            let roles = Roles::from(&["10.0.0.1"]);
            let request = Request { subject: asked, roles, domain: "", object: "x", action: "read" };
            assert!(!snapshot.decide(&request).allowed, "6: {asked}");
        }
    }
}

#[test]
fn no_3_a_prefix_may_end_within_a_character_of_the_path() {
    assert!(!object("keyMatch", "/fo*", "/fö/x"));
    assert!(object("keyMatch", "/fö*", "/fö/x"));
    assert!(object("keyMatch2", "/ä/:id", "/ä/ö"));
}

#[test]
fn no_4_control_characters_and_endless_values_are_denied() {
    let snapshot = compile(&acl(), "p, alice, x, read").expect("a policy");
    assert_eq!(snapshot.enforce(&["alice", "x\n", "read"]), Err(EnforceError::ControlCharacter));
    assert_eq!(snapshot.enforce(&["alice", &"x".repeat(4097), "read"]), Err(EnforceError::TooLong));
    let expected = Err(EnforceError::FieldCount { expected: 3, given: 2 });
    assert_eq!(snapshot.enforce(&["alice", "x"]), expected);
}

#[test]
fn no_5_an_address_in_either_form_is_the_same_address() {
    for (rule, asked, expected) in [
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("::ffff:10.0.0.0/104", "10.0.0.1", true),
        ("::ffff:10.0.0.1", "10.0.0.1", true),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "10.0.0.1", false),
    ] {
        assert_eq!(object("ipMatch", rule, asked), expected, "{rule} {asked}");
    }
}

#[test]
fn no_7_a_rule_with_another_number_of_fields_is_refused() {
    for rule in ["p, alice, x", "p, alice, x, read, allow", "p"] {
        assert_eq!(refused(&acl(), &format!("p, bob, x, read\n{rule}")), ("field-count", 2, 1));
    }
    let rbac = model("sub, obj, act", "g = _, _", ALLOW, RBAC);
    assert_eq!(refused(&rbac, "g, alice"), ("field-count", 1, 1));
    assert_eq!(refused(&rbac, "g2, alice, admin"), ("unknown-kind", 1, 1));
}

#[test]
fn no_8_a_pattern_that_does_not_compile_is_refused_at_its_place() {
    bad_pattern("regexMatch", "a(", "pattern", 9);
    bad_pattern("regexMatch", r"(a)\1", "pattern", 9);
    bad_pattern("ipMatch", "10.0.0.0/33", "pattern", 17);
    bad_pattern("ipMatch", "10.0.0", "pattern", 9);
    let constant = model("sub, obj, act", "", ALLOW, r#"r.sub == p.sub && regexMatch(r.obj, "a(")"#);
    assert_eq!(refused(&constant, "p, a, b, c"), ("pattern", 8, 23));
}

#[test]
fn no_9_a_dot_is_a_dot() {
    for (function, rule) in
        [("keyMatch2", "/v1.0/:x"), ("keyMatch3", "/v1.0/{x}"), ("keyMatch5", "/v1.0/{x}")]
    {
        assert!(object(function, rule, "/v1.0/a"));
        assert!(!object(function, rule, "/v1X0/a"));
    }
    assert!(object("keyMatch5", "/a/{x}.json", "/a/1.json?y"));
    assert!(!object("keyMatch5", "/a/{x}.json", "/a/1Xjson"));
}

#[test]
fn no_10_regular_expressions_outside_regex_match_are_refused() {
    bad_pattern("keyMatch2", "/admin|/x", "pattern", 15);
    for rule in ["/a(b", "/a+", "/a$", "^/a", "/a[b]", "/a?", r"/a\d", "/a*b"] {
        for function in ["keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5"] {
            assert_eq!(refused(&pattern(function), &format!("p, any, {rule}, read")).0, "pattern", "{rule}");
        }
    }
}

#[test]
fn no_11_nothing_may_stand_behind_the_star_of_a_prefix() {
    bad_pattern("keyMatch", "/a/*/b", "pattern", 13);
}

#[test]
fn no_12_parameters_that_can_be_read_in_two_ways_are_refused() {
    for (function, rule) in [
        ("keyMatch2", "/a/:id.json"),
        ("keyMatch2", "/a/{id}"),
        ("keyMatch2", "/a/:"),
        ("keyMatch3", "/a/{x}-{y}"),
        ("keyMatch3", "/a/{}"),
        ("keyMatch4", "/a/{x}-{x}"),
        ("keyMatch5", "/a/{x"),
        ("keyMatch5", "/a/x}"),
        ("keyMatch5", "/a/{x/y}"),
    ] {
        assert_eq!(refused(&pattern(function), &format!("p, any, {rule}, read")).0, "pattern", "{rule}");
    }
    assert!(object("keyMatch4", "/a/{x}/{x}", "/a/1/1"));
    assert!(!object("keyMatch4", "/a/{x}/{x}", "/a/1/2"));
}

#[test]
fn no_13_a_question_mark_is_one_character() {
    assert!(object("globMatch", "/?", "/ä"));
    assert!(!object("globMatch", "/*", "/a/b"));
    for rule in ["/**", "/[ab]", "/{a}"] {
        assert_eq!(refused(&pattern("globMatch"), &format!("p, any, {rule}, read")).0, "pattern", "{rule}");
    }
}

#[test]
fn an_expression_that_is_found_anywhere_in_a_text_is_pointed_out() {
    let warned = |rule: &str| -> Vec<_> {
        let snapshot = compile(&pattern("regexMatch"), &format!("p, any, {rule}, read")).expect("a policy");
        let warnings = snapshot.warnings().warnings();
        warnings.map(|warning| (warning.code, warning.column, warning.fix.clone())).collect()
    };
    assert_eq!(warned("^/a$"), []);
    for rule in ["/a", "^/a", "/a$"] {
        assert_eq!(warned(rule), [("pattern-open", 9, Some(format!("^({rule})$")))]);
    }
}

#[test]
fn no_14_costly_expressions_are_refused() {
    bad_pattern("regexMatch", "(a{500}){500}", "pattern-costly", 9);
    let rule = |n: u32| format!("p, any, ^a{n}$, read\n");
    let many: String = (0..1_001).map(rule).collect();
    assert_eq!(refused(&pattern("regexMatch"), &many), ("pattern-count", 1_001, 9));
    for (rule, asked) in [
        (r"^\w+$", "orders"),
        (r"^[\w.-]+@[\w.-]+$", "ada@example.org"),
        (r"(?i)^/a/\d{9}/\S+$", "/A/123456789/x"),
    ] {
        assert!(object("regexMatch", rule, asked), "{rule}");
    }
}

#[test]
fn no_15_an_effect_is_spelled_as_it_is() {
    let model = model("sub, obj, act, eft", "", BOTH, ACL);
    assert_eq!(refused(&model, "p, alice, x, read, Deny"), ("unknown-effect", 1, 20));
    assert!(!allows(&model, "p, alice, x, read, indeterminate", ["alice", "x", "read"]));
}

#[test]
fn no_16_what_casbin_would_swallow_into_a_field_is_refused() {
    for (rule, code) in [
        ("p, alice, x, \"read\"", "quote"),
        ("p, alice, x, read # why", "inline-comment"),
        ("p, alice, , read", "empty-field"),
        ("p, ali\u{200b}ce, x, read", "invisible-character"),
        ("p, alice, x, read\u{2028}p, mallory, x, read", "control-character"),
    ] {
        assert_eq!(refused(&acl(), rule).0, code, "{rule}");
    }
}

#[test]
fn no_17_of_two_equal_rules_the_first_counts() {
    let model = model("sub, obj, act, eft", "", PRIORITY, ACL);
    let rules = "p, a, x, read, deny\np, a, x, read, allow\np, a, x, read, deny";
    let snapshot = compile(&model, rules).expect("a policy");
    assert!(!snapshot.enforce(&["a", "x", "read"]).expect("a decision").allowed);
    assert_eq!(snapshot.warnings().findings[0].code, "duplicate-rule");
}

#[test]
fn no_18_lower_priorities_count_first() {
    let model = model("priority, sub, obj, act, eft", "g = _, _", PRIORITY, RBAC);
    let rules = "p, 10, staff, x, read, deny\np, 9, admin, x, read, allow\np, -1, alice, x, read, deny\n\
                 g, alice, admin\ng, bob, staff\ng, bob, admin";
    assert!(!allows(&model, rules, ["alice", "x", "read"]));
    assert!(allows(&model, rules, ["bob", "x", "read"]), "nine is less than ten");
    assert_eq!(refused(&model, "p, high, staff, x, read, deny").0, "priority");
}

#[test]
fn no_19_and_20_deep_and_circular_roles_are_refused() {
    let model = model("sub, obj, act", "g = _, _", ALLOW, RBAC);
    let step = |n: u32| format!("g, r{n}, r{}\n", n + 1);
    let chain = |steps: u32| (0..steps).map(step).collect::<String>();
    assert!(allows(&model, &format!("{}p, r8, x, read", chain(8)), ["r0", "x", "read"]));
    assert_eq!(refused(&model, &chain(9)).0, "role-depth");
    assert_eq!(refused(&model, "g, a, b\ng, b, a"), ("role-cycle", 2, 7));
    assert_eq!(refused(&model, "g, a, a").0, "role-cycle");
}

#[test]
fn no_21_two_kinds_of_roles_are_kept_apart() {
    let matcher = "g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act";
    let model = model("sub, obj, act", "g = _, _\ng2 = _, _", ALLOW, matcher);
    let rules = "p, admin, data, read\ng2, alice, admin\ng2, x, data\ng, bob, admin";
    assert!(!allows(&model, rules, ["alice", "x", "read"]));
    assert!(allows(&model, rules, ["bob", "x", "read"]));
}

#[test]
fn no_22_and_23_effects_that_allow_everything_or_nothing_known_are_refused() {
    let with = |policy: &str, effect: &str| model(policy, "", effect, ACL);
    assert_eq!(
        refused(&with("sub, obj, act", "some(where (p.eft == deny))"), "p, a, x, read").0,
        "model-effect"
    );
    assert_eq!(refused(&with("sub, obj, act", NOT_DENIED), "p, a, x, read").0, "model-effect");
    assert_eq!(refused(&with("sub, obj, act, eft", NOT_DENIED), ""), ("no-rules", 1, 1));
    let unread = refused(&with("sub, obj, act, eft", NOT_DENIED), "alice, data, read, deny");
    assert_eq!(unread, ("unknown-kind", 1, 1), "it was to be a rule");
}

#[test]
fn no_24_a_text_is_what_it_says() {
    let model = model("sub, obj, act", "", ALLOW, r#"r.sub == "a.p.r.b" && r.obj == p.obj"#);
    assert!(allows(&model, "p, any, x, read", ["a.p.r.b", "x", "read"]));
}

#[test]
fn no_25_and_26_half_read_definitions_are_refused() {
    let commented = model("sub, obj, act", "", ALLOW, "r.sub == p.sub # only \\\n && r.obj == p.obj");
    assert_eq!(refused(&commented, "p, a, x, read"), ("model-syntax", 8, 20));
    let second = acl().replace("p = sub, obj, act", "p = sub, obj, act\np2 = sub, act");
    assert_eq!(refused(&second, "p, a, x, read"), ("model-unsupported", 5, 1));
    let lines = model("sub, obj, act", "", ALLOW, "r.sub == p.sub && \\\n  r.object == p.obj");
    // A finding is where the line is, not where the definition begins.
    assert_eq!(refused(&lines, "p, a, x, read"), ("model-field", 9, 3));
    for places in ["_", "_, _, _, _", "_, a"] {
        let roles = model("sub, obj, act", &format!("g = {places}"), ALLOW, RBAC);
        assert_eq!(refused(&roles, "p, a, x, read"), ("model-roles", 6, 5), "{places}");
    }
}

#[cfg(not(feature = "casbin"))]
#[test]
fn no_27_and_28_what_is_not_recognised_is_refused_with_the_reason() {
    for matcher in [
        "eval(p.sub) && r.obj == p.obj",
        "r.sub.Age > 18",
        "r.sub.Owner == r.obj",
        "r.sub + \"x\" == p.sub",
        "myFunction(r.sub, p.sub)",
        "keyGet(r.obj, p.obj) == p.sub",
        "keyMatch(p.obj, r.obj)",
        "r2.sub == p.sub",
        "!r.sub == p.sub",
        "r.sub == p.sub ? true : false",
    ] {
        let model = model("sub, obj, act", "", ALLOW, matcher);
        let (code, line, column) = refused(&model, "p, a, x, read");
        assert_eq!((code, line), ("model-unsupported", 8), "{matcher}");
        assert!(column >= 5, "{matcher}");
    }
}

#[test]
fn no_29_rules_that_are_all_read_for_each_request_are_bounded() {
    let model = model("sub, obj, act", "", ALLOW, "keyMatch2(r.obj, p.obj)");
    let rule = |n: u32| format!("p, r{n}, /a{n}/:x, read\n");
    let rules = |count: u32| (0..count).map(rule).collect::<String>();
    let snapshot = compile(&model, &rules(12)).expect("a policy");
    assert_eq!(snapshot.coverage().to_string(), "0 % indexed, 12 rules read through");
    assert_eq!(refused(&model, &rules(20_001)), ("model-unindexed", 8, 5));
    let indexed = compile(&acl(), "p, a, x, read").expect("a policy");
    assert_eq!(indexed.coverage().to_string(), "100 % indexed");
}

#[test]
fn a_field_that_a_guard_does_not_know_is_refused_unless_the_host_only_enforces() {
    let model = acl().replace("act", "verb");
    assert_eq!(refused(&model, "p, a, x, read").0, "request-field");
    let source = PolicySource { model, rules: "p, user:a, x, read".to_owned() };
    let options = Options { enforce_only: true, ..Options::default() };
    let snapshot = Snapshot::compile_with(&source, 1, options).expect("a policy");
    assert!(snapshot.enforce(&["user:a", "x", "read"]).expect("a decision").allowed);
    let request = Request { subject: "a", roles: Roles::NONE, domain: "", object: "x", action: "read" };
    assert!(!snapshot.decide(&request).allowed);
}

#[test]
fn a_guard_counts_what_matches_the_user_and_each_role_together() {
    let model = model("sub, obj, act, eft", "g = _, _", BOTH, RBAC);
    let rules =
        "p, admin, x, read, allow\np, user:mallory, x, read, deny\np, guest, x, read, deny\ng, chief, admin";
    let snapshot = compile(&model, rules).expect("a policy");
    let decide = |subject: &str, roles: &[&str], object: &str| {
        let request = Request { subject, roles: Roles::from(roles), domain: "", object, action: "read" };
        let decision = snapshot.decide(&request);
        (decision.allowed, decision.rule.map(|rule| rule.line))
    };
    assert_eq!(decide("alice", &["chief"], "x"), (true, Some(1)));
    assert_eq!(decide("mallory", &["chief"], "x"), (false, Some(2)));
    assert_eq!(decide("alice", &["chief", "guest"], "x"), (false, Some(3)));
    assert_eq!(decide("admin", &[], "x"), (false, None), "a user called like a role gains nothing");
    assert_eq!(decide("a", &["user:admin", ""], "x"), (false, None));
    assert_eq!(decide("", &["chief"], "x"), (false, None));
    assert_eq!(decide("alice", &["chief"], "/a/../x"), (false, None));
    assert_eq!(snapshot.roles().collect::<Vec<_>>(), ["chief", "admin", "guest"]);
    assert_eq!((snapshot.rule_count(), snapshot.revision()), (4, 1));
}

#[test]
fn the_default_model_enforces_a_role_or_a_user_by_name() {
    let rules = "p, viewer, *, /orders/{id}, read\ng, editor, viewer, acme\np, user:17, *, orders, read";
    let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1).expect("a policy");
    let allowed = |values: &[&str]| snapshot.enforce(values).expect("a decision").allowed;
    assert!(allowed(&["editor", "acme", "/orders/1", "read"]));
    assert!(!allowed(&["editor", "other", "/orders/1", "read"]));
    assert!(allowed(&["user:17", "", "orders", "read"]));
    assert!(!allowed(&["17", "", "orders", "read"]));
    assert!(!allowed(&["", "", "", ""]));
    let refused = snapshot.enforce(&["viewer"]).expect_err("no decision");
    assert_eq!(refused, EnforceError::FieldCount { expected: 4, given: 1 });
}

#[test]
fn expressions_that_do_not_compile_count_as_well() {
    let rule = |n: u32| format!("p, any, (a{{500}}){{500}}{n}, read\n");
    let rules: String = (0..3_000).map(rule).collect();
    let report = compile(&pattern("regexMatch"), &rules).expect_err("no policy");
    assert!(report.errors().all(|finding| finding.line <= 1_001), "the others are not even tried");
}
