//! Prints what a decision costs under small and large policies.
//!
//! `cargo run --release -p portcullis-policy --example decision_time`

use std::hint::black_box;
use std::time::{Duration, Instant};

use portcullis_policy::{PolicySource, Report, Request, Roles, Snapshot};

const QUESTIONS: u32 = 1_000;
const ROUNDS: u32 = 2_000;

fn main() -> Result<(), Report> {
    println!("{:>8}  {:<34} {:>9} {:>9}  {:>12}", "rules", "request", "best ns", "median", "compile");
    for rules in [10, 1_000, 100_000] {
        let started = Instant::now();
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(policy(rules)), 1)?;
        let compiled = started.elapsed();
        for (name, requests) in questions(rules) {
            let (best, median) = time(&snapshot, &requests);
            println!("{rules:>8}  {name:<34} {best:>9.1} {median:>9.1}  {compiled:>12.1?}");
        }
    }
    Ok(())
}

/// A tenth as many roles as rules; half of the rules about names, half about templates.
fn policy(rules: u32) -> String {
    let groups = (rules / 10).max(1);
    let rule = |n: u32| {
        let role = n % groups;
        match n % 4 {
            0 => format!("p, r{role}, *, /v1/things{n}/{{id}}, read\n"),
            1 => format!("p, r{role}, *, thing{n}, read\n"),
            2 => format!("p, r{role}, acme, /v1/things{n}/{{id}}/parts, write\n"),
            _ => format!("p, r{role}, acme, thing{n}, write\n"),
        }
    };
    let inherits = (0..groups).step_by(2).map(|n| format!("g, manager{n}, r{n}, *\n"));
    (0..rules).map(rule).chain(inherits).collect()
}

struct Question {
    roles: Vec<String>,
    object: String,
    action: &'static str,
}

/// A thousand requests of each sort, spread over the policy.
fn questions(rules: u32) -> [(&'static str, Vec<Question>); 5] {
    let groups = (rules / 10).max(1);
    let spread = |kind: u32, question: &dyn Fn(u32) -> Question| -> Vec<Question> {
        (0..QUESTIONS).map(|n| question(n * 97 % rules / 4 * 4 + kind)).collect()
    };
    let two = |n: u32| vec![format!("r{}", n % groups), "viewer".to_owned()];
    [
        (
            "name, allowed",
            spread(1, &|n| Question { roles: two(n), object: format!("thing{n}"), action: "read" }),
        ),
        ("name, another role, denied", {
            spread(1, &|n| Question { roles: two(n + 1), object: format!("thing{n}"), action: "read" })
        }),
        ("unknown name, denied", {
            spread(1, &|n| Question { roles: two(n), object: format!("other{n}"), action: "read" })
        }),
        ("template text, allowed", {
            let object = |n| format!("/v1/things{n}/{{id}}");
            spread(0, &move |n| Question { roles: two(n), object: object(n), action: "read" })
        }),
        ("path through a template, allowed", {
            let object = |n| format!("/v1/things{n}/17");
            spread(0, &move |n| Question { roles: two(n), object: object(n), action: "read" })
        }),
    ]
}

/// The best and the median of many rounds, in nanoseconds per decision.
fn time(snapshot: &Snapshot, questions: &[Question]) -> (f64, f64) {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round(snapshot, questions)).collect();
    rounds.sort_unstable();
    let each = |round: Option<&Duration>| {
        round.copied().unwrap_or_default().as_secs_f64() * 1e9 / f64::from(QUESTIONS)
    };
    (each(rounds.first()), each(rounds.get(rounds.len() / 2)))
}

/// Short, so that in the best round nothing else ran.
fn round(snapshot: &Snapshot, questions: &[Question]) -> Duration {
    let started = Instant::now();
    for question in questions {
        black_box(snapshot.decide(black_box(&Request {
            subject: "0191f2a4-6c1e-7d3a-9c55-8a1e4f0b2d17",
            roles: Roles::from(&question.roles),
            domain: "acme",
            object: &question.object,
            action: question.action,
        })));
    }
    started.elapsed()
}
