//! What a check of a policy found, with a place, a code and a way out.

use std::fmt;

use serde::Serialize;

/// How many findings of one severity a report keeps: enough to work on, too few to flood a page.
const MAX_PER_SEVERITY: usize = 500;

/// Which text a finding is about: one of the two of a [`PolicySource`](crate::PolicySource), or [`Cases`](crate::Cases).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PolicyFile {
    /// The cases: decisions that the policy must keep.
    Cases,
    /// The model: requests, rules and the matcher between them.
    Model,
    /// The rules.
    Rules,
}

/// Whether a finding stops the policy from being used.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// The policy can be used, but probably does not mean what its author meant.
    Warning,
}

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The text that it is about.
    pub file: PolicyFile,
    /// The line in that text, from 1.
    pub line: u32,
    /// The column in that line, in characters, from 1.
    pub column: u32,
    /// Whether the policy can still be used.
    pub severity: Severity,
    /// A stable name for this kind of finding, for programs and for the documentation.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    /// What to write instead, where that is known.
    pub fix: Option<String>,
}

impl Finding {
    pub(crate) fn error(at: Place, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(at, Severity::Error, code, message.into())
    }

    pub(crate) fn warning(at: Place, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(at, Severity::Warning, code, message.into())
    }

    pub(crate) fn with_fix(mut self, fix: Option<impl Into<String>>) -> Self {
        self.fix = fix.map(Into::into);
        self
    }

    fn new(at: Place, severity: Severity, code: &'static str, message: String) -> Self {
        let Place { file, line, column } = at;
        Self { file, line, column, severity, code, message, fix: None }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = match self.file {
            PolicyFile::Cases => "cases",
            PolicyFile::Model => "model",
            PolicyFile::Rules => "rules",
        };
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(out, "{file}:{}:{}: {severity}[{}]: {}", self.line, self.column, self.code, self.message)?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(out, " (try: {fix})"))
    }
}

/// Everything that a check found, in the order of the text.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The findings: model before rules, then by line and column. At most 500 of each severity.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether the policy cannot be used.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether nothing at all was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The findings that stop the policy from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Error)
    }

    /// The findings that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            write!(out, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Findings while they are gathered.
///
/// Each severity has its own allowance, so warnings can never crowd out an error.
#[derive(Default)]
pub(crate) struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Findings {
    /// Adds a finding, unless there are plenty of that severity already.
    pub(crate) fn push(&mut self, finding: Finding) {
        let of_severity = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if of_severity.len() < MAX_PER_SEVERITY {
            of_severity.push(finding);
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(crate) fn into_report(self) -> Report {
        let mut findings = self.errors;
        findings.extend(self.warnings);
        findings.sort_by_key(|finding| (finding.file, finding.line, finding.column));
        Report { findings }
    }
}

impl From<Report> for Findings {
    fn from(report: Report) -> Self {
        let (errors, warnings) =
            report.findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        Self { errors, warnings }
    }
}

/// Where a finding points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) file: PolicyFile,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) const fn model(line: u32) -> Self {
        Self { file: PolicyFile::Model, line, column: 1 }
    }

    pub(crate) const fn rules(line: u32, column: u32) -> Self {
        Self { file: PolicyFile::Rules, line, column }
    }
}

/// `text` in a form that is safe to print: control characters escaped, at most 64 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// How long a word may be to be compared, and how many pairs of characters are compared for one word.
const MAX_WORD: usize = 64;
const MAX_PAIRS: usize = 1_000_000;

/// The candidate that `word` was most likely meant to be, if one is close.
///
/// A suggestion is a courtesy: it is not looked for in long words, nor among more candidates than can
/// be compared at once.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut pairs = MAX_PAIRS;
    closest_within(word, candidates, &mut pairs)
}

fn closest_within<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    pairs: &mut usize,
) -> Option<&'a str> {
    let length = word.chars().count();
    if length > MAX_WORD {
        return None;
    }
    let reach = (length / 3).max(1);
    // In UTF-8 a character has at most four bytes, so this is never too short to count.
    let near = |candidate: &&str| candidate.len() <= (length + reach) * 4;
    let distances = candidates.into_iter().filter(near).map_while(|candidate| {
        let other = candidate.chars().count();
        if other.abs_diff(length) > reach {
            *pairs = pairs.checked_sub(1)?;
            return Some((usize::MAX, candidate));
        }
        *pairs = pairs.checked_sub(1 + length * other)?;
        Some((strsim::damerau_levenshtein(word, candidate), candidate))
    });
    let close = distances.filter(|(distance, _)| (1..=reach).contains(distance));
    close.min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_never_crowd_out_an_error() {
        let mut findings = Findings::default();
        for line in 0..2_000 {
            findings.push(Finding::warning(Place::rules(line, 1), "w", "a warning"));
        }
        findings.push(Finding::error(Place::rules(2_000, 1), "e", "an error"));
        let report = findings.into_report();
        assert_eq!(report.warnings().count(), MAX_PER_SEVERITY);
        assert!(report.has_errors());
    }

    #[test]
    fn a_finding_prints_its_place_code_and_way_out() {
        let finding = Finding::error(Place::rules(3, 5), "unknown-kind", "no such kind").with_fix(Some("p"));
        assert_eq!(finding.to_string(), "rules:3:5: error[unknown-kind]: no such kind (try: p)");
    }

    #[test]
    fn quoting_escapes_control_characters_and_cuts_long_text() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 67);
    }

    #[test]
    fn a_close_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(closest("viewr", ["viewer", "editor"]), Some("viewer"));
        assert_eq!(closest("owner", ["viewer", "editor"]), None);
    }

    #[test]
    fn looking_for_a_close_word_takes_a_bounded_number_of_steps() {
        let spent = |word: &str, names: &[String]| {
            let mut pairs = MAX_PAIRS;
            closest_within(word, names.iter().map(String::as_str), &mut pairs);
            MAX_PAIRS - pairs
        };
        let long: Vec<_> = (0..8_000).map(|n| format!("{n:0500}")).collect();
        assert_eq!(spent(&"7".repeat(500), &long), 0, "long words are not compared");
        assert_eq!(spent("7", &long), 0, "nor short ones with long ones");
        let short: Vec<_> = (0..200_000).map(|n| format!("{n:060}")).collect();
        assert!((1..=MAX_PAIRS).contains(&spent(&"7".repeat(60), &short)));
        assert_eq!(
            closest(&format!("{:060}x", 7), short.iter().map(String::as_str)),
            Some(short[7].as_str())
        );
    }
}
