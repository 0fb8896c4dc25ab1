//! The number of rules costs a decision nothing, as counted in instructions.

use portcullis_tests::instructions::per_decision;

use crate::example::example_program;

/// How much more a decision may cost under 100,000 rules than under ten.
const MOST_GROWTH: f64 = 1.15;

#[test]
fn a_decision_under_a_hundred_thousand_rules_takes_as_many_instructions_as_under_ten() {
    let program = example_program("decision_counts");
    let [few, many] = [10, 100_000].map(|rules| per_decision(&program, rules));
    println!("instructions of a decision in a debug build: {few:.0} under 10 rules, {many:.0} under 100,000");
    assert!(few > 100.0, "{few} instructions are no decision");
    assert!(many < few * MOST_GROWTH, "{few:.0} instructions under 10 rules, {many:.0} under 100,000");
}
