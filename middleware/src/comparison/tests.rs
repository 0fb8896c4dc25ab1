//! Agreement, alarms, changeovers and a queue that is full.

use std::io::{self, Write};
use std::sync::LazyLock;

use portcullis_policy::{Options, PolicySource, Roles};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::authorize::{Grounds, Loaded, Policies, rbac};
use crate::decision_id::DecisionIds;
use crate::token::tests::principal;

const RULES: &str = "p, viewer, *, orders, read\np, clerk, acme, orders, *\ng, clerk, viewer, *";

fn kept(rules: &str, revision: u64) -> Arc<Snapshot> {
    let options = Options { keep_text: true, ..Options::default() };
    let source = PolicySource::with_default_model(rules);
    Arc::new(Snapshot::compile_with(&source, revision, options).unwrap())
}

fn clock() -> &'static Clock {
    static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::from_fn(|| Duration::from_secs(1_000)));
    &CLOCK
}

fn every_one() -> Comparison {
    Comparison::new(OneIn::new(1), clock().clone())
}

/// Decides by the index of one snapshot, and has it compared by the text of another: they are the same where the index is right.
fn decide(comparison: &Comparison, index: &Snapshot, text: &Arc<Snapshot>, action: &'static str) -> bool {
    static IDS: LazyLock<DecisionIds> = LazyLock::new(DecisionIds::new);
    let compared = Some(comparison.of(text, IDS.next()));
    let policy = Policies::Loaded(Loaded { snapshot: index, records: None, compared });
    let grounds = Grounds { policy, clock: clock(), leeway: Duration::ZERO };
    rbac("orders", action).decide(Some(&principal(&[("roles", "viewer")])), grounds).is_ok()
}

/// What was logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let lines = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).without_time();
        (log, tracing::subscriber::set_default(lines.finish()))
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *locked(&self.0))).unwrap();
        text.lines().map(|line| line.trim_start().to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn one_in_so_many_is_drawn_and_no_rhythm_is() {
    let drawn = |one_in: u32, numbers: &mut dyn Iterator<Item = u64>| {
        numbers.filter(|number| OneIn::new(one_in).draws(*number)).count()
    };
    for one_in in [0, 1] {
        assert_eq!(drawn(one_in, &mut (0..1_000)), 1_000);
    }
    let all = drawn(1_000, &mut (0..1_000_000));
    let rhythm = drawn(1_000, &mut (0..1_000_000).map(|number| number * 1_000));
    assert!([all, rhythm].iter().all(|drawn| (850..1_150).contains(drawn)), "{all} {rhythm}");
}

#[tokio::test]
async fn a_wrong_index_raises_an_alarm_once_for_each_rule_and_changes_no_decision() {
    let (log, _set) = Log::begin();
    let comparison = every_one();
    let (right, wrong) =
        (kept(RULES, 7), kept("p, viewer, *, orders, delete\np, viewer, *, orders, write", 7));
    for _ in 0..3 {
        assert!(decide(&comparison, &wrong, &right, "write"));
        assert!(decide(&comparison, &wrong, &right, "delete"));
        assert!(!decide(&comparison, &wrong, &right, "read"));
        assert!(!decide(&comparison, &wrong, &right, "other"));
    }
    assert!(log.lines().is_empty(), "nothing waits for it");
    comparison.catch_up().await;
    let status = comparison.status();
    assert_eq!((status.compared, status.different, status.dropped, status.unanswered), (12, 9, 0, 0));
    let lines = log.lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, said) in
        lines.iter().zip(["policy.line=2 allowed=true", "policy.line=1 allowed=true", "allowed=false"])
    {
        assert!(line.starts_with("ERROR") && line.contains("decision=dec_"), "{line}");
        assert!(line.contains("policy.revision=7") && line.contains(said), "{line}");
        assert!(!line.contains("subject"), "{line}");
    }
    // Of another revision it is news again.
    decide(&comparison, &kept("p, viewer, *, orders, write", 8), &right, "write");
    comparison.catch_up().await;
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn ten_thousand_decisions_are_those_of_casbin() {
    let roles = ["r0", "r1", "r2", "r3"];
    let (objects, actions) = (["orders", "/orders/{id}", "/orders/*", "/{a}/b", "*"], ["read", "write", "*"]);
    let domains = ["*", "acme", "umbrella"];
    let asked = ["orders", "/orders/1", "/orders/1/2", "/x/b", "/orders/", "stock", "/a//b"];
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut lines = vec![
        "g, r0, r1, *".to_owned(),
        "g, r1, r2, acme".to_owned(),
        "p, user:u0, *, orders, read".to_owned(),
    ];
    for _ in 0..24 {
        let effect = ["allow", "allow", "allow", "deny"][draw(4)];
        let (role, domain) = (roles[draw(4)], domains[draw(3)]);
        let (object, action) = (objects[draw(5)], actions[draw(3)]);
        lines.push(format!("p, {role}, {domain}, {object}, {action}, {effect}"));
    }
    let (snapshot, comparison, ids) = (kept(&lines.join("\n"), 1), every_one(), DecisionIds::new());
    let mut allowed = 0;
    for round in 0..200 {
        for _ in 0..50 {
            let held = [roles[draw(4)], ["r9", "user:u0", roles[0]][draw(3)]];
            let request = Request {
                subject: ["u0", "u1", "r0"][draw(3)],
                roles: Roles::from(&held),
                domain: ["", "acme", "*", "other"][draw(4)],
                object: asked[draw(7)],
                action: ["read", "write", "delete"][draw(3)],
            };
            let decision = snapshot.decide(&request);
            allowed += usize::from(decision.allowed);
            comparison.of(&snapshot, ids.next()).note(&request, decision);
        }
        comparison.catch_up().await;
        assert_eq!(comparison.status().different, 0, "round {round} under {lines:#?}");
    }
    let status = comparison.status();
    assert_eq!((status.compared, status.dropped, status.left_out), (10_000, 0, None));
    assert!((500..9_500).contains(&allowed), "{allowed} allowed");
}

#[tokio::test]
async fn what_was_decided_before_a_changeover_is_compared_by_the_rules_of_then() {
    let comparison = every_one();
    let (before, after) = (kept(RULES, 1), kept("p, viewer, *, orders, write", 2));
    // The same answers by the other revision would be differences.
    for _ in 0..2 {
        assert!(decide(&comparison, &before, &before, "read"));
        assert!(!decide(&comparison, &after, &after, "read"));
        assert!(decide(&comparison, &after, &after, "write"));
    }
    drop(before);
    comparison.catch_up().await;
    let status = comparison.status();
    assert_eq!((status.compared, status.different), (6, 0));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_holds_nobody_up() {
    let (comparison, snapshot) = (every_one(), kept(RULES, 1));
    for _ in 0..QUEUE + 10 {
        assert!(decide(&comparison, &snapshot, &snapshot, "read"));
    }
    assert_eq!(comparison.status().dropped, 10);
    comparison.catch_up().await;
    assert!(decide(&comparison, &snapshot, &snapshot, "read"));
    comparison.catch_up().await;
    let status = comparison.status();
    assert_eq!((status.compared, status.dropped), (65, 10));
}

#[tokio::test]
async fn what_casbin_does_not_know_is_said_and_is_no_alarm() {
    let (log, _set) = Log::begin();
    let without_text = PolicySource::with_default_model(RULES);
    let without_text = Arc::new(Snapshot::compile(&without_text, 3).unwrap());
    for (snapshot, left_out, unanswered) in [
        (
            kept("p, viewer, *, orders, read, allow, dpop\np, viewer, *, orders, write", 3),
            "a rule with a condition",
            1,
        ),
        (without_text, "without keeping its text", 2),
    ] {
        let comparison = every_one();
        decide(&comparison, &snapshot, &snapshot, "read");
        decide(&comparison, &snapshot, &snapshot, "write");
        comparison.catch_up().await;
        let status = comparison.status();
        assert_eq!((status.different, status.unanswered, status.compared), (0, unanswered, 2 - unanswered));
        assert!(status.left_out.is_some_and(|said| said.contains(left_out)), "{left_out}");
        let lines = log.lines();
        assert!(lines.len() == 1 && lines[0].starts_with("WARN") && lines[0].contains(left_out), "{lines:?}");
    }
}

#[tokio::test]
async fn a_task_compares_and_ends_with_the_guard() {
    let (comparison, snapshot) = (every_one(), kept(RULES, 1));
    comparison.spawn();
    decide(&comparison, &snapshot, &snapshot, "read");
    while comparison.status().compared == 0 {
        tokio::task::yield_now().await;
    }
    let comparer = Arc::downgrade(&comparison.comparer);
    drop(comparison);
    while comparer.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
