//! Prints what a decision costs under models other than the default.
//!
//! `cargo run --release -p portcullis-policy --example general_time`

use std::hint::black_box;
use std::time::Instant;

use portcullis_policy::{PolicySource, Report, Snapshot};

const QUESTIONS: u32 = 1_000;
const ROUNDS: u32 = 500;

fn main() -> Result<(), Report> {
    println!("{:>8}  {:<10} {:>9}  {:>12}", "rules", "model", "best ns", "compile");
    for (name, matcher) in [
        ("names", "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act"),
        ("keyMatch2", "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act"),
    ] {
        for rules in [10, 1_000, 100_000] {
            let started = Instant::now();
            let snapshot = Snapshot::compile(&source(rules, matcher), 1)?;
            let compiled = started.elapsed();
            println!("{rules:>8}  {name:<10} {:>9.1}  {compiled:>12.1?}", best(&snapshot, rules));
        }
    }
    Ok(())
}

fn source(count: u32, matcher: &str) -> PolicySource {
    let model = format!(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[role_definition]\ng = _, _\n\
         [policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = {matcher}\n"
    );
    let rule = |n: u32| format!("p, r{}, /v1/things{n}, read\n", n % groups(count));
    let member = |n: u32| format!("g, user{n}, r{n}\n");
    PolicySource { model, rules: (0..count).map(rule).chain((0..groups(count)).map(member)).collect() }
}

/// A tenth as many roles as rules.
fn groups(rules: u32) -> u32 {
    (rules / 10).max(1)
}

fn best(snapshot: &Snapshot, rules: u32) -> f64 {
    let ask = |n: u32| {
        let n = n * 97 % rules;
        (format!("user{}", n % groups(rules)), format!("/v1/things{n}"))
    };
    let asked: Vec<_> = (0..QUESTIONS).map(ask).collect();
    let round = |_| {
        let started = Instant::now();
        for (user, object) in &asked {
            let decision = snapshot.enforce(black_box(&[user, object, "read"]));
            assert!(decision.is_ok_and(|decision| decision.allowed));
        }
        started.elapsed().as_secs_f64() * 1e9 / f64::from(QUESTIONS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
