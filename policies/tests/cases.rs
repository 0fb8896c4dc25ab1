//! Cases: what they mean, and what is no case.

use portcullis_policy::{Analysis, Cases, PolicySource, Reason};
use proptest::prelude::*;

const RULES: &str =
    "p, viewer, *, /orders/{id}, read\np, banned, *, *, *, deny\np, user:17, acme, orders, write";

fn analysis() -> Analysis {
    Analysis::of(PolicySource::with_default_model(RULES)).expect("a policy")
}

#[track_caller]
fn refused(text: &str, code: &str, line: u32, column: u32) {
    let report = Cases::parse(text).expect_err("no cases");
    let finding = report.findings.first().expect("a finding");
    assert_eq!((finding.code, finding.line, finding.column), (code, line, column), "{finding}");
    assert!(finding.to_string().starts_with("cases:"), "{finding}");
}

#[test]
fn cases_are_decided_as_written() {
    let text = "# staff\r\n\nallow, viewer, *, /orders/17, read\ndeny, viewer + banned, acme, /orders/17, read\n\
                allow, user:17, acme, orders, write\ndeny,user:18+viewer,acme,orders,write\n\
                deny, viewer, acme, /orders/../x, read";
    let outcome = analysis().test(&Cases::parse(text).expect("cases"));
    assert_eq!((outcome.passed, outcome.failed.as_slice()), (5, &[][..]));
    assert!(outcome.warnings.is_clean());
}

#[test]
fn a_case_that_fails_is_explained() {
    let text = "allow, viewer, acme, /orders/17, write\n\ndeny, viewer, acme, /orders/17, read";
    let outcome = analysis().test(&Cases::parse(text).expect("cases"));
    assert_eq!(outcome.passed, 0);
    assert_eq!(outcome.failed.iter().map(|failed| failed.case.line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(outcome.failed[0].explanation.near_misses[0].line, 1);
    assert!(matches!(outcome.failed[1].explanation.reason, Reason::Allowed { .. }));
}

#[test]
fn only_so_many_failures_are_explained_and_all_are_counted() {
    let text = "allow, viewer, acme, /orders/17, write\n".repeat(5) + "allow, viewer, acme, /orders/17, read";
    let outcome = analysis().test_within(&Cases::parse(&text).expect("cases"), 2);
    assert_eq!((outcome.passed, outcome.failed.len(), outcome.failed_total), (1, 2, 5));
}

#[test]
fn a_role_that_no_rule_names_is_pointed_out() {
    let outcome = analysis().test(&Cases::parse("deny, veiwer, acme, /orders/17, read").expect("cases"));
    assert_eq!(outcome.passed, 1);
    let finding = &outcome.warnings.findings[0];
    assert_eq!((finding.code, finding.fix.as_deref()), ("role-unknown", Some("viewer")));
}

#[test]
fn a_close_role_is_looked_for_so_many_times_and_no_more() {
    let text = "deny, veiwer, acme, /orders/17, read\n".repeat(30);
    let outcome = analysis().test(&Cases::parse(&text).expect("cases"));
    let with_fix = outcome.warnings.findings.iter().filter(|finding| finding.fix.is_some()).count();
    assert_eq!((outcome.warnings.findings.len(), with_fix), (30, 20));
}

#[test]
fn a_case_says_how_old_a_sign_in_is_and_not_how_old_it_may_be() {
    let report = Cases::parse("allow, viewer, acme, orders, read, max_age=300").expect_err("no cases");
    let finding = report.findings.first().expect("a finding");
    assert_eq!((finding.code, finding.fix.as_deref()), ("unknown-assurance", Some("age=300")), "{finding}");
}

#[test]
fn what_is_no_case_is_an_error_at_its_place() {
    refused("allow, viewer, acme, orders", "field-count", 1, 1);
    refused("allow, viewer, acme, orders, read, now", "unknown-assurance", 1, 36);
    refused("allow, viewer, acme, orders, read, dpop, dpop", "unknown-assurance", 1, 42);
    refused("allow, viewer, acme, orders, read, acr=a, age=soon", "unknown-assurance", 1, 43);
    refused("\nalow, viewer, acme, orders, read", "unknown-decision", 2, 1);
    refused("allow, viewer, acme, *, read", "wildcard", 1, 22);
    refused("allow, viewer, acme, orders, *", "wildcard", 1, 30);
    refused("allow, viewer++a, acme, orders, read", "empty-field", 1, 15);
    refused("allow, user:, acme, orders, read", "empty-field", 1, 8);
    refused("allow, , acme, orders, read", "empty-field", 1, 8);
    refused("allow, user:1+user:2, acme, orders, read", "second-user", 1, 15);
    refused("allow, a:b, acme, orders, read", "role-name", 1, 8);
    refused("allow, *, acme, orders, read", "role-name", 1, 8);
    refused("allow, a, acme, orders, read # why", "inline-comment", 1, 30);
    refused("allow, a, acme, \u{7}orders, read", "control-character", 1, 17);
    refused(&"#\n".repeat(600_000), "too-large", 1, 1);
    refused(&"allow, a, b, c, d\n".repeat(10_001), "too-many-cases", 10_001, 1);
    let report = Cases::parse("ALLOW, a, b, c, d").expect_err("no case");
    assert_eq!(report.findings[0].fix.as_deref(), Some("allow"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_at_all_is_read_and_decided_without_a_panic(
        text in prop_oneof!["(allow|deny|#|,|\\+|\\*|user:|viewer|/|:| |\n|\r|\\PC){0,200}", ".{0,200}"],
    ) {
        if let Ok(cases) = Cases::parse(&text) {
            let outcome = analysis().test(&cases);
            prop_assert_eq!(outcome.passed + outcome.failed.len(), cases.iter().count());
        }
    }
}
