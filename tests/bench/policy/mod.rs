//! What the policy engine costs, beside Casbin with the same rules and requests.
//!
//! Times are CPU time of the thread. What is counted is counted by `decision_counts`, a program of its own, because whatever counts
//! allocations slows all of them down. Casbin is asked a few of the same requests, and has to answer the same.

#[path = "../../../policies/tests/workload/mod.rs"]
pub(crate) mod workload;

mod oracle;
mod table;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_guard::SharedPolicy;
use portcullis_policy::{PolicySource, Snapshot, SnapshotDocument, lint as lint_of};
use portcullis_tests::instructions::per_decision;
use serde_json::json;

use self::oracle::Oracle;
use self::workload::{Kind, Question, kinds, source};
use crate::report::Report;
use crate::{ROUNDS, cpu};

const SIZES: [u32; 3] = [10, 1_000, 100_000];
const MOST: u32 = SIZES[2];
/// Rules of the policy that is checked and sent.
const MIDDLE: u32 = 10_000;

const DECISION: [&str; 3] =
    ["decision at 10 rules, ns", "decision at 1,000 rules, ns", "decision at 100,000 rules, ns"];
const AGAIN: [&str; 3] = [
    "eight requests again and again at 10 rules, ns",
    "eight requests again and again at 1,000 rules, ns",
    "eight requests again and again at 100,000 rules, ns",
];
const CASBIN: [&str; 3] = ["Casbin at 10", "Casbin at 1,000", "Casbin at 100,000"];
const ALLOCATIONS: [&str; 3] = [
    "allocations of 8,000 decisions at 10 rules",
    "allocations of 8,000 decisions at 1,000 rules",
    "allocations of 8,000 decisions at 100,000 rules",
];

/// How often the requests of all kinds, and those of one kind, are decided in a round.
///
/// The account of a running thread moves in steps of some milliseconds, so a loop takes hundreds of them.
const REPEATS: u32 = 400;
const REPEATS_OF_ONE: u32 = 3_000;
const REPEATS_OF_EIGHT: u32 = 300_000;

/// One policy, in both engines.
struct Subject {
    snapshot: Snapshot,
    kinds: Vec<Kind>,
    oracle: Oracle,
}

/// Measures everything in interleaved rounds, and prints it.
pub(crate) async fn measure() {
    let mut report = Report::default();
    report.add("memory of 100,000 rules, MiB", memory());
    let mut subjects = Vec::new();
    for rules in SIZES {
        let kinds = kinds(rules);
        let oracle = Oracle::load(rules, &kinds).await;
        let snapshot = Snapshot::compile(&source(rules), 1).expect("a policy");
        subjects.push(Subject { snapshot, kinds, oracle });
    }
    if let Some(largest) = subjects.last() {
        report.add("Casbin loads 100,000, ms", largest.oracle.load.as_secs_f64() * 1e3);
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        decisions(&mut report, &subjects);
        texts(&mut report);
        swap(&mut report, round as u64);
    }
    document(&mut report);
    counts(&mut report);
    print!("{}", table::render(&report));
    print_kinds(&subjects);
}

/// What each kind of request costs, by the number of rules.
fn print_kinds(subjects: &[Subject]) {
    println!("\n{:<40} {:>8} {:>8} {:>8}", "ns of a decision, by kind", "10", "1,000", "100,000");
    let names = subjects.iter().take(1).flat_map(|subject| &subject.kinds).map(|kind| kind.name);
    for (at, name) in names.enumerate() {
        print!("{name:<40}");
        for Subject { snapshot, kinds, .. } in subjects {
            let questions: Vec<_> = kinds.iter().skip(at).take(1).flat_map(|kind| &kind.questions).collect();
            print!(" {:>8.0}", nanos(snapshot, &questions, REPEATS_OF_ONE));
        }
        println!();
    }
}

fn decisions(report: &mut Report, subjects: &[Subject]) {
    let mut measured = Vec::new();
    for (subject, names) in subjects.iter().zip(DECISION.into_iter().zip(AGAIN).zip(CASBIN)) {
        let (Subject { snapshot, kinds, oracle }, ((all, again), casbin)) = (subject, names);
        let of_eight: Vec<_> = kinds.iter().filter_map(|kind| kind.questions.first()).collect();
        let of_all: Vec<_> = kinds.iter().flat_map(|kind| &kind.questions).collect();
        let cost = [
            nanos(snapshot, &of_all, REPEATS),
            nanos(snapshot, &of_eight, REPEATS_OF_EIGHT),
            oracle.nanos_per_decision(kinds, snapshot),
        ];
        for (name, nanos) in [all, again, casbin].into_iter().zip(cost) {
            report.add(name, nanos);
        }
        measured.push(cost);
    }
    let growths = ["growth of a decision, 10 to 100,000", "growth with eight requests", "growth of Casbin"];
    if let [small, .., large] = measured.as_slice() {
        for (name, (small, large)) in growths.into_iter().zip(small.iter().zip(large)) {
            report.add(name, large / small);
        }
    }
}

/// CPU nanoseconds of one decision. Each is checked once, and then made without a look at it.
fn nanos(snapshot: &Snapshot, questions: &[&Question], repeats: u32) -> f64 {
    assert!(questions.iter().all(|question| question.is_answered_by(snapshot)));
    let count = u32::try_from(questions.len()).expect("some thousands");
    let micros = cpu::micros_per_operation(repeats, || {
        for question in questions {
            black_box(snapshot.decide(black_box(&question.request())));
        }
    });
    micros * 1e3 / f64::from(count)
}

fn texts(report: &mut Report) {
    let (large, middle) = (source(MOST), source(MIDDLE));
    let mut compiled = None;
    let compile =
        cpu::micros_per_operation(1, || compiled = Some(Snapshot::compile(&large, 1).expect("a policy")));
    report.add("compile 100,000 rules, ms", compile / 1e3);
    let lint = cpu::micros_per_operation(20, || assert!(!black_box(lint_of(&middle)).has_errors()));
    report.add("lint 10,000 rules, ms", lint / 1e3);
    let alike = alike();
    let lint = cpu::micros_per_operation(20, || assert!(!black_box(lint_of(&alike)).has_errors()));
    report.add("lint 10,000 rules whose names are alike, ms", lint / 1e3);
}

/// Rules whose roles and actions have the same letters, each in an order of its own: all could be mistyped.
fn alike() -> PolicySource {
    let name = |mut number: u32| {
        let mut letters: Vec<char> = ('a'..='z').collect();
        for place in 0..8 {
            letters.swap(place, place + number as usize % 7);
            number /= 7;
        }
        letters.into_iter().collect::<String>()
    };
    let rules = (0..MIDDLE).map(|n| format!("p, {}, *, orders, {}", name(n), name(n + MIDDLE)));
    PolicySource::with_default_model(rules.collect::<Vec<_>>().join("\n"))
}

/// From the moment at which a new policy is stored until another thread decides by it, and until the old one is gone.
fn swap(report: &mut Report, round: u64) {
    let compile = |revision| Snapshot::compile(&source(MOST), revision).expect("a policy");
    let policy = SharedPolicy::new(Arc::new(compile(round * 2)));
    let next = Arc::new(compile(round * 2 + 1));
    let (seen, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    let at = |started: Instant| u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if policy.revision() == Some(round * 2 + 1) {
                    seen.store(at(started), Ordering::Release);
                    return;
                }
                std::hint::spin_loop();
            }
        });
        // The thread is at work by then.
        while at(started) < 5_000_000 {
            std::hint::spin_loop();
        }
        let stored = at(started);
        policy.store(next);
        let returned = at(started);
        while seen.load(Ordering::Acquire) == 0 && at(started) < 1_000_000_000 {
            std::hint::spin_loop();
        }
        ended.store(true, Ordering::Relaxed);
        let micros = |nanos: u64| f64::from(u32::try_from(nanos).unwrap_or(u32::MAX)) / 1e3;
        report.add(
            "a new policy is in force after, us",
            micros(seen.load(Ordering::Acquire).saturating_sub(stored)),
        );
        report.add("swap with the release of the old policy, ms", micros(returned - stored) / 1e3);
    });
}

/// A signed document as a guard fetches it: nothing on the way compresses it.
fn document(report: &mut Report) {
    let source = source(MIDDLE);
    report.add("its rules as they are written, bytes", bytes(source.rules.len()));
    let document = SnapshotDocument::new("https://orders.bench.test", 1, source);
    let claims = json!({
        "iss": "https://id.bench.test",
        "aud": "0191f2a4-6c1e-7d3a-9c55-8a1e4f0b2d17",
        "iat": 1_800_000_000,
        "exp": 1_800_086_400,
        "api": document.api,
        "revision": document.revision,
        "model": document.model,
        "rules": document.rules,
    });
    let header = json!({ "alg": "ES256", "kid": "A".repeat(43), "typ": "portcullis-policy+jwt" });
    let parts = [header.to_string().into_bytes(), claims.to_string().into_bytes(), vec![0; 64]];
    let jws = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    report.add("signed document of 10,000 rules, not compressed, bytes", bytes(jws.len()));
}

fn bytes(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// What another hundred thousand rules add to this process.
fn memory() -> f64 {
    let source = source(MOST);
    let before = cpu::resident_mib(std::process::id());
    let snapshot = Snapshot::compile(&source, 1).expect("a policy");
    let after = cpu::resident_mib(std::process::id());
    drop(black_box(snapshot));
    after - before
}

/// Allocations, and instructions where valgrind is installed.
fn counts(report: &mut Report) {
    let program = program();
    for (figure, rules) in ALLOCATIONS.into_iter().zip(SIZES) {
        let counted = Command::new(&program).args([rules, 8_000].map(|number| number.to_string())).output();
        let printed = String::from_utf8(counted.expect("it starts").stdout).expect("text");
        report.add(figure, printed.trim().parse().expect("a number"));
    }
    if Command::new("valgrind").arg("--version").output().is_ok() {
        let [small, _, large] = SIZES.map(|rules| per_decision(&program, rules));
        report.add("instructions at 10 rules", small);
        report.add("instructions at 100,000 rules", large);
        report.add("growth of instructions, 10 to 100,000", large / small);
    }
}

/// The example, built beside this program.
fn program() -> PathBuf {
    let here = std::env::current_exe().expect("a running program has a path");
    let program = here.parent().and_then(Path::parent).map(|folder| folder.join("examples/decision_counts"));
    program
        .filter(|program| program.exists())
        .expect("`cargo build --release --workspace --examples` comes first")
}
