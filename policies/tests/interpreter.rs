//! With the feature `casbin`, what is not recognised is interpreted: never with a panic, and in doubt denied.
#![cfg(feature = "casbin")]

use portcullis_policy::{EnforceError, Options, PolicySource, Report, Request, Roles, Snapshot};

fn source(policy: &str, effect: &str, matcher: &str, rules: &str) -> PolicySource {
    let model = format!(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = {policy}\n[role_definition]\ng = _, _\n\
         [policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    );
    PolicySource { model, rules: rules.to_owned() }
}

fn compile(matcher: &str, rules: &str) -> Result<Snapshot, Report> {
    Snapshot::compile(&source("sub, obj, act", "some(where (p.eft == allow))", matcher, rules), 1)
}

#[track_caller]
fn allows(matcher: &str, rules: &str, request: [&str; 3]) -> bool {
    let snapshot = compile(matcher, rules).unwrap_or_else(|report| panic!("{report}"));
    snapshot.enforce(&request).expect("a decision").allowed
}

#[test]
fn arithmetic_is_interpreted_and_the_report_says_so() {
    let matcher = r#"r.sub + "!" == p.sub && r.obj == p.obj"#;
    let snapshot = compile(matcher, "p, alice!, x, read\np, bob, x, read").expect("a policy");
    assert_eq!(snapshot.coverage().to_string(), "0 % indexed, 2 rules interpreted");
    assert!(snapshot.enforce(&["alice", "x", "read"]).expect("a decision").allowed);
    assert!(!snapshot.enforce(&["bob", "x", "read"]).expect("a decision").allowed);
    assert!(!allows(matcher, "", ["", "", ""]), "without rules nothing is allowed");
}

#[test]
fn patterns_of_a_request_are_ours_and_what_is_none_is_denied() {
    let matcher = "keyMatch2(p.obj, r.obj) && r.sub == p.sub";
    assert!(allows(matcher, "p, alice, /a/1, read", ["alice", "/a/:x", "read"]));
    assert!(!allows(matcher, "p, alice, /a1b, read", ["alice", "/a.b", "read"]), "a dot is a dot");
    let snapshot = compile(matcher, "p, alice, /a/1, read").expect("a policy");
    assert_eq!(snapshot.enforce(&["alice", "/a(", "read"]), Err(EnforceError::Interpreter));
    let addresses = compile("ipMatch(p.sub, r.sub)", "p, 10.0.0.1, x, read").expect("a policy");
    assert_eq!(addresses.enforce(&["nowhere", "x", "read"]), Err(EnforceError::Interpreter));
}

#[test]
fn what_casbin_does_not_know_either_is_refused() {
    for matcher in [
        "r.sub.Age > 18",
        "myFunction(r.sub, p.sub)",
        "r2.sub == p.sub",
        "r.sub == p.sub &&",
        "r.sub == 'ab'+",
    ] {
        let report = compile(matcher, "p, a, x, read").expect_err(matcher);
        assert_eq!(report.findings[0].code, "model-unsupported", "{matcher}");
        assert!(report.to_string().contains("Casbin does not either"), "{report}");
    }
}

#[test]
fn code_in_rules_runs_only_if_the_host_allows_it_by_name() {
    let source = source(
        "sub, obj, act",
        "some(where (p.eft == allow))",
        "eval(p.sub) && r.obj == p.obj",
        "p, r.sub == p.act, x, read",
    );
    let report = Snapshot::compile(&source, 1).expect_err("no policy");
    assert!(report.to_string().contains("eval"), "{report}");
    let options = Options { danger_allow_eval: true, ..Options::default() };
    let snapshot = Snapshot::compile_with(&source, 1, options).expect("a policy");
    assert!(snapshot.enforce(&["read", "x", "any"]).expect("a decision").allowed);
    assert!(!snapshot.enforce(&["alice", "x", "any"]).expect("a decision").allowed);
}

#[test]
fn roles_of_a_request_count_together_and_a_deny_wins() {
    let effect = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
    let rules =
        "p, admin, x, read!, allow\np, guest, x, read!, deny\np, user:17, x, read!, deny\ng, chief, admin";
    let source = source(
        "sub, obj, act, eft",
        effect,
        r#"g(r.sub, p.sub) && r.obj == p.obj && r.act + "!" == p.act"#,
        rules,
    );
    let snapshot = Snapshot::compile(&source, 1).expect("a policy");
    let decide = |subject: &str, roles: &[&str]| {
        snapshot
            .decide(&Request { subject, roles: Roles::from(roles), domain: "", object: "x", action: "read" })
            .allowed
    };
    assert!(decide("alice", &["chief"]));
    assert!(!decide("alice", &["chief", "guest"]));
    assert!(!decide("17", &["chief"]));
    assert!(!decide("admin", &[]));
}

#[test]
fn what_cannot_be_answered_for_several_roles_is_refused() {
    let priority = source(
        "sub, obj, act, eft",
        "priority(p.eft) || deny",
        r#"r.sub + "" == p.sub"#,
        "p, a, x, read, allow",
    );
    let report = Snapshot::compile(&priority, 1).expect_err("no policy");
    let [finding] = report.findings.as_slice() else { panic!("{report}") };
    assert_eq!(finding.code, "model-unsupported");
    assert!(finding.message.contains("cannot rank the rules for several roles"), "{report}");
    let options = Options { enforce_only: true, ..Options::default() };
    let snapshot = Snapshot::compile_with(&priority, 1, options).expect("a policy");
    assert!(snapshot.enforce(&["a", "x", "read"]).expect("a decision").allowed);
    let step = |n: u32| format!("g, r{n}, r{}\n", n + 1);
    let deep: String = (0..9).map(step).collect();
    assert_eq!(
        compile(r#"g(r.sub + "", p.sub)"#, &deep).expect_err("no policy").findings[0].code,
        "role-depth"
    );
}

#[test]
fn no_request_and_no_deep_text_reaches_the_compiler_of_casbin() {
    let options = Options { danger_allow_eval: true, ..Options::default() };
    let why = |matcher: &str, rules: &str| {
        let source = source("sub, obj, act", "some(where (p.eft == allow))", matcher, rules);
        Snapshot::compile_with(&source, 1, options).expect_err(matcher).to_string()
    };
    for matcher in ["eval(r.sub)", "eval(p.sub + r.sub)", "eval (p.sub)", "eval(p.sub) && eval(r.obj)"] {
        assert!(why(matcher, "p, a, x, read").contains("one field of a rule"), "{matcher}");
    }
    assert!(why("eval(p.sub)", "p, eval(r.sub), x, read").contains("has `eval`"));
    assert!(why("eval(p.sub)", &format!("p, {}, x, read", "(".repeat(500))).contains("signs"));
    assert!(why(&format!("{}r.sub > p.sub", "!".repeat(1_000)), "p, a, x, read").contains("signs"));
    assert!(why(&format!("r.sub > {}", "x".repeat(3_000)), "p, a, x, read").contains("bytes"));
}
