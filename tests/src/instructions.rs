//! What a decision costs, in instructions: they are the same however busy the machine is, as seconds are not.

use std::path::Path;
use std::process::Command;

/// Decisions of a run: what it executes more than one without any is what they cost.
const DECISIONS: u32 = 16_000;

/// Runs of which the middle one counts. Each process hashes by a seed of its own, and with a rare one names collide more than they
/// do with nearly all: that is chance, not growth.
const RUNS: usize = 3;

/// The instructions of one decision under so many rules, counted by valgrind. `program` is the example `decision_counts`.
///
/// # Panics
///
/// When it does not run, or when a decision allocates.
pub fn per_decision(program: &Path, rules: u32) -> f64 {
    let none = thousands(program, rules, 0);
    let mut all = [0; RUNS].map(|_| thousands(program, rules, DECISIONS).saturating_sub(none));
    all.sort_unstable();
    let [_, middle, _] = all;
    f64::from(middle) / f64::from(DECISIONS) * 1e3
}

/// Thousands of instructions of a whole run.
fn thousands(program: &Path, rules: u32, decisions: u32) -> u32 {
    let mut valgrind = Command::new("valgrind");
    // Of the tools that count instructions, this is the fastest without its caches.
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    valgrind.arg(program).args([rules, decisions].map(|number| number.to_string()));
    let output = valgrind.output().expect("valgrind is there: `tests/run` installs it");
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert_eq!(printed.trim(), "0", "a decision allocates nothing");
    let line = said.lines().find(|line| line.contains("I   refs:")).expect("valgrind says how many");
    let counted = line.rsplit(':').next().unwrap_or_default();
    let digits: String = counted.chars().filter(char::is_ascii_digit).collect();
    u32::try_from(digits.parse::<u64>().expect("a number") / 1_000).expect("fewer than the largest number")
}
