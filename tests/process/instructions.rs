//! What a decision costs, in instructions: they are the same however busy the machine is, as seconds are not.

use std::process::Command;

use crate::example::example_program;

/// Decisions of the two runs: what the second executes more is what those between them cost.
const DECISIONS: [u32; 2] = [8_000, 16_000];

/// How much more a decision may cost under 100,000 rules than under ten.
const MOST_GROWTH: f64 = 1.15;

#[test]
fn a_decision_under_a_hundred_thousand_rules_takes_as_many_instructions_as_under_ten() {
    let [few, many] = [10, 100_000].map(per_decision);
    println!("instructions of a decision in a debug build: {few:.0} under 10 rules, {many:.0} under 100,000");
    assert!(few > 100.0, "{few} instructions are no decision");
    assert!(many < few * MOST_GROWTH, "{few:.0} instructions under 10 rules, {many:.0} under 100,000");
}

fn per_decision(rules: u32) -> f64 {
    let [fewer, more] = DECISIONS.map(|decisions| f64::from(instructions(rules, decisions)));
    (more - fewer) / f64::from(DECISIONS[1] - DECISIONS[0]) * 1e3
}

/// Thousands of instructions of a whole run.
fn instructions(rules: u32, decisions: u32) -> u32 {
    let mut valgrind = Command::new("valgrind");
    // Of the tools that count instructions, this is the fastest without its caches.
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    valgrind
        .arg(example_program("decision_counts"))
        .args([rules, decisions].map(|number| number.to_string()));
    let output = valgrind.output().expect("valgrind is installed, as `tests/run` does");
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert_eq!(printed.trim(), "0", "a decision allocates nothing");
    let line = said.lines().find(|line| line.contains("I   refs:")).expect("valgrind says how many");
    let digits: String =
        line.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    u32::try_from(digits.parse::<u64>().expect("a number") / 1_000).expect("fewer than the largest number")
}
