//! The figures, each beside its bound.
//!
//! A decision is one of 8,000 requests that are spread over all rules, so under 100,000 of them the processor waits for memory. With
//! eight requests again and again it does not.

use std::fmt::Write as _;

use crate::report::Report;

/// A figure, and what it may be at most.
struct Row {
    name: &'static str,
    /// The same of Casbin.
    casbin: Option<&'static str>,
    bound: Option<f64>,
}

const fn row(name: &'static str, bound: f64) -> Row {
    Row { name, casbin: None, bound: Some(bound) }
}

const fn beside(name: &'static str, casbin: &'static str, bound: Option<f64>) -> Row {
    Row { name, casbin: Some(casbin), bound }
}

const ROWS: [Row; 22] = [
    beside("decision at 10 rules, ns", "Casbin at 10", Some(1_000.0)),
    beside("decision at 1,000 rules, ns", "Casbin at 1,000", Some(1_000.0)),
    beside("decision at 100,000 rules, ns", "Casbin at 100,000", Some(1_000.0)),
    beside("growth of a decision, 10 to 100,000", "growth of Casbin", Some(1.15)),
    row("eight requests again and again at 10 rules, ns", 1_000.0),
    row("eight requests again and again at 1,000 rules, ns", 1_000.0),
    row("eight requests again and again at 100,000 rules, ns", 1_000.0),
    row("growth with eight requests", 1.15),
    row("allocations of 8,000 decisions at 10 rules", 0.0),
    row("allocations of 8,000 decisions at 1,000 rules", 0.0),
    row("allocations of 8,000 decisions at 100,000 rules", 0.0),
    Row { name: "instructions at 10 rules", casbin: None, bound: None },
    Row { name: "instructions at 100,000 rules", casbin: None, bound: None },
    row("growth of instructions, 10 to 100,000", 1.15),
    beside("compile 100,000 rules, ms", "Casbin loads 100,000, ms", Some(1_000.0)),
    row("lint 10,000 rules, ms", 300.0),
    row("lint 10,000 rules whose names are alike, ms", 300.0),
    row("signed document of 10,000 rules, not compressed, bytes", 1_000_000.0),
    Row { name: "its rules as they are written, bytes", casbin: None, bound: None },
    Row { name: "a new policy is in force after, us", casbin: None, bound: None },
    Row { name: "swap with the release of the old policy, ms", casbin: None, bound: None },
    Row { name: "memory of 100,000 rules, MiB", casbin: None, bound: None },
];

/// The table. What was not measured is left out.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!(
        "{:<56} {:>10} {:>10} {:>10} {:>14} {:>11}\n",
        "policy engine", "median", "least", "most", "Casbin", "at most"
    );
    for Row { name, casbin, bound } in &ROWS {
        let is = report.median(name);
        if is.is_nan() {
            continue;
        }
        let [is_shown, least, most] = [is, report.least(name), report.most(name)].map(shown);
        let casbin = casbin.map_or(String::new(), |casbin| shown(report.median(casbin)));
        let verdict = match bound {
            Some(bound) if is <= *bound => "met",
            Some(_) => "MISSED",
            None => "",
        };
        let bound = bound.map_or("none set".to_owned(), shown);
        writeln!(text, "{name:<56} {is_shown:>10} {least:>10} {most:>10} {casbin:>14} {bound:>11} {verdict}")
            .expect("a string grows");
    }
    text
}

/// Two places where they tell something.
fn shown(figure: f64) -> String {
    if figure.abs() < 100.0 && figure.fract() != 0.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.0}")
    }
}
