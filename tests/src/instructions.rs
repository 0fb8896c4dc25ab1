//! What a decision costs, in instructions: they are the same however busy the machine is, as seconds are not.

use std::path::Path;
use std::process::Command;

/// Decisions of the two runs: what the second executes more is what those between them cost.
const FEWER: u32 = 8_000;
const MORE: u32 = 16_000;

/// The instructions of one decision under so many rules, counted by valgrind. `program` is the example `decision_counts`.
///
/// # Panics
///
/// When one of the two does not run, or when a decision allocates.
pub fn per_decision(program: &Path, rules: u32) -> f64 {
    let [fewer, more] = [FEWER, MORE].map(|decisions| thousands(program, rules, decisions));
    f64::from(more - fewer) / f64::from(MORE - FEWER) * 1e3
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
