//! What is said of a policy under another model than the default.

use portcullis_policy::{Analysis, Cases, Examiner, PolicySource, Reason, Request, Roles, lint};

const MODEL: &str = "
    [request_definition]
    r = sub, dom, obj, act
    [policy_definition]
    p = sub, dom, obj, act, eft
    [role_definition]
    g = _, _
    [policy_effect]
    e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
    [matchers]
    m = g(r.sub, p.sub) && keyMatch(r.dom, p.dom) && keyMatch2(r.obj, p.obj) && r.act == p.act";

const RULES: &str = "p, viewer, *, /orders/:id, read, allow
p, user:mallory, *, /orders/:id, read, deny
g, editor, viewer
p, viewer, nowhere, /bills, read, allow";

fn source() -> PolicySource {
    PolicySource { model: MODEL.to_owned(), rules: RULES.to_owned() }
}

fn request<'a>(user: &'a str, roles: &'a [&'a str], object: &'a str) -> Request<'a> {
    Request { subject: user, roles: Roles::from(roles), domain: "acme", object, action: "read" }
}

#[test]
fn a_decision_is_told_with_its_rule_and_without_what_the_model_does_not_let_be_said() {
    let examiner = Examiner::of(source()).unwrap();
    let explain = |user: &str, roles: &[&str], object: &str| examiner.explain(&request(user, roles, object));
    let allowed = explain("ada", &["editor"], "/orders/7");
    assert!(allowed.allowed && allowed.near_misses.is_empty());
    assert_eq!(allowed.reason, Reason::OtherModel { line: Some(1) });
    assert!(allowed.to_string().starts_with("allowed by line 1\n  (under another model"), "{allowed}");
    let denied = explain("mallory", &["editor"], "/orders/7");
    assert_eq!((denied.allowed, denied.reason), (false, Reason::OtherModel { line: Some(2) }));
    let nothing = explain("ada", &["editor"], "/bills/7");
    assert_eq!((nothing.allowed, &nothing.reason), (false, &Reason::OtherModel { line: None }));
    assert!(nothing.to_string().starts_with("denied: no single rule decides it\n"), "{nothing}");
    let path = explain("ada", &["editor"], "/orders/../7");
    assert!(matches!(path.reason, Reason::NotComparable { .. }) && !path.allowed, "{path}");
    for question in [("ada", "/orders/7"), ("mallory", "/orders/7"), ("ada", "/x")] {
        let asked = request(question.0, &["editor"], question.1);
        assert_eq!(examiner.explain(&asked).allowed, examiner.snapshot().decide(&asked).allowed);
    }
    assert!(!examiner.knows_nothing_of("no such role"), "a pattern may be meant for it");
}

#[test]
fn cases_are_decided_as_requests_are_and_a_star_is_a_domain_that_no_rule_names() {
    let examiner = Examiner::of(source()).unwrap();
    let cases = "allow, editor, acme, /orders/7, read
        deny, editor + user:mallory, acme, /orders/7, read
        allow, viewer, *, /orders/7, read
        deny, viewer, *, /bills, read
        allow, viewer, nowhere, /bills, read
        deny, nobody, acme, /orders/7, read
        allow, viewer, acme, /bills, read
        deny, viewer, acme, /orders/7, read";
    let outcome = examiner.test(&Cases::parse(cases).unwrap());
    let failed: Vec<_> = outcome.failed.iter().map(|failed| failed.case.line).collect();
    assert_eq!((outcome.passed, outcome.failed_total, failed), (6, 2, vec![7, 8]));
    assert!(outcome.warnings.is_clean(), "whether a role is known cannot be said: {}", outcome.warnings);
    let within = examiner.test_within(&Cases::parse(cases).unwrap(), 1);
    assert_eq!((within.failed.len(), within.failed_total), (1, 2));
}

#[test]
fn under_the_default_model_nothing_is_left_out() {
    let source = PolicySource::with_default_model("p, viewer, *, orders, read\ng, editor, viewer, *");
    let (examiner, analysis) = (Examiner::of(source.clone()).unwrap(), Analysis::of(source).unwrap());
    for asked in [request("ada", &["editor"], "orders"), request("ada", &["nobody"], "orders")] {
        assert_eq!(examiner.explain(&asked), analysis.explain(&asked));
    }
    let cases = Cases::parse("allow, viewr, *, orders, read").unwrap();
    assert_eq!(examiner.test(&cases), analysis.test(&cases));
    assert_eq!(examiner.nobody(), analysis.nobody());
    assert!(examiner.knows_nothing_of("viewr") && !examiner.knows_nothing_of("viewer"));
}

#[test]
fn the_name_that_nobody_has_is_one_that_no_rule_has() {
    let rules = format!("{RULES}\n# nobody{}\np, nobody_, *, /x, read, allow", "_".repeat(40_000));
    let examiner = Examiner::of(PolicySource { model: MODEL.to_owned(), rules: rules.clone() }).unwrap();
    assert!(!rules.contains(examiner.nobody()) && examiner.nobody().starts_with("nobody_"));
}

#[test]
fn what_takes_names_is_refused_with_what_works_instead() {
    let report = Analysis::of(source()).unwrap_err();
    assert_eq!(report.findings[0].code, "model-unsupported");
    assert!(report.findings[0].message.contains("cases run, under any model"), "{report}");
}

#[test]
fn repeated_rules_are_found_and_names_are_not_compared() {
    let rules =
        format!("{RULES}\np, viewer, *, /orders/:id, read, allow\np, viewr, *, /orders/:id, raed, allow");
    let report = lint(&PolicySource { model: MODEL.to_owned(), rules });
    let codes: Vec<_> = report.findings.iter().map(|finding| (finding.line, finding.code)).collect();
    assert_eq!(codes, [(5, "duplicate-rule")], "{report}");
    let broken = Examiner::of(PolicySource { model: MODEL.to_owned(), rules: "p, viewer".to_owned() });
    assert!(broken.unwrap_err().has_errors());
}
