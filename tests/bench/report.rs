//! Figures by name, and the goals that compare them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Every figure of every round.
#[derive(Default)]
pub(crate) struct Report {
    figures: BTreeMap<&'static str, Vec<f64>>,
}

/// One goal: the figure, what it may be at most, and how that was reckoned.
struct Goal {
    figure: &'static str,
    reckoning: &'static str,
    bound: fn(&Report) -> f64,
}

const GOALS: [Goal; 8] = [
    Goal {
        figure: "discovery",
        reckoning: "1.3 x axum serving the same bytes",
        bound: |report| 1.3 * report.median("floor of discovery"),
    },
    Goal {
        figure: "jwks",
        reckoning: "1.3 x axum serving the same bytes",
        bound: |report| 1.3 * report.median("floor of jwks"),
    },
    Goal {
        figure: "client_credentials",
        reckoning: "2 x (axum + one raw ES256 sign)",
        bound: |report| 2.0 * (report.median("floor of hello") + report.median("raw ES256 sign")),
    },
    Goal {
        figure: "password sign-in, whole flow",
        reckoning: "1.05 x one raw Argon2id hash",
        bound: |report| 1.05 * report.median("raw Argon2id"),
    },
    Goal { figure: "guard, token seen before (added)", reckoning: "5 us", bound: |_| 5.0 },
    Goal {
        figure: "guard, token not seen before (added)",
        reckoning: "1.25 x one raw ES256 verify",
        bound: |report| 1.25 * report.median("raw ES256 verify"),
    },
    Goal { figure: "idle memory, MiB", reckoning: "25 MiB", bound: |_| 25.0 },
    Goal { figure: "start to ready, ms", reckoning: "150 ms", bound: |_| 150.0 },
];

impl Report {
    /// Adds one round's figure; microseconds of CPU per operation unless the name says otherwise.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.figures.entry(name).or_default().push(value);
    }

    /// The middle round.
    pub(crate) fn median(&self, name: &str) -> f64 {
        let mut rounds = self.rounds(name).to_vec();
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The cheapest round.
    pub(crate) fn least(&self, name: &str) -> f64 {
        self.rounds(name).iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The dearest round.
    pub(crate) fn most(&self, name: &str) -> f64 {
        self.rounds(name).iter().copied().fold(0.0, f64::max)
    }

    fn rounds(&self, name: &str) -> &[f64] {
        self.figures.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The figures and the goals as two tables.
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "{:<42} {:>10} {:>10} {:>10}\n",
            "figure (CPU us per operation)", "median", "least", "most"
        );
        for name in self.figures.keys() {
            let [median, least, most] = [self.median(name), self.least(name), self.most(name)];
            writeln!(text, "{name:<42} {median:>10.1} {least:>10.1} {most:>10.1}").expect("a string grows");
        }
        text.push('\n');
        for goal in &GOALS {
            let (is, bound) = (self.median(goal.figure), (goal.bound)(self));
            if is.is_nan() || bound.is_nan() {
                continue;
            }
            let verdict = if is <= bound { "met" } else { "MISSED" };
            writeln!(text, "{verdict:<6} {}: {is:.1}, at most {bound:.1} ({})", goal.figure, goal.reckoning)
                .expect("a string grows");
        }
        text
    }
}
