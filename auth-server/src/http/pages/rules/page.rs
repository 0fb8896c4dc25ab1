//! What the page of rules shows.

use portcullis_policy::{FailedCase, Finding, PolicyFile, Severity};
use serde::Serialize;

use crate::domain::policy::PolicyText;
use crate::domain::rbac::Api;
use crate::http::pages::when::TimeShown;
use crate::http::render::Page;
use crate::services::policies::Checked;

/// How many characters of a line are shown where something is wrong with it.
const EXCERPT: usize = 120;

/// The page.
#[derive(Serialize)]
pub(super) struct RulesPage {
    pub(super) problem: Option<&'static str>,
    pub(super) notice: Option<&'static str>,
    pub(super) api: ApiShown,
    #[serde(flatten)]
    pub(super) in_force: InForce,
    /// The version of the draft that the text was taken from or saved as.
    pub(super) version: String,
    #[serde(flatten)]
    pub(super) text: TextShown,
    /// What somebody else saved meanwhile.
    pub(super) theirs: Option<TextShown>,
    #[serde(flatten)]
    pub(super) report: ReportShown,
    pub(super) message: String,
    pub(super) csrf_token: String,
}

/// What the editors hold.
#[derive(Eq, PartialEq, Serialize)]
pub(super) struct TextShown {
    pub(super) rules: String,
    pub(super) cases: String,
}

impl TextShown {
    /// These texts as an editor holds them. Browsers have one end of a line in an editor and send another, so only without
    /// that difference can it be told whether somebody changed something.
    pub(super) fn new(rules: &str, cases: &str) -> Self {
        let edited = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
        Self { rules: edited(rules), cases: edited(cases) }
    }

    pub(super) fn of(text: &PolicyText) -> Self {
        Self::new(&text.rules, &text.cases)
    }
}

/// What a check found.
#[derive(Default, Serialize)]
pub(super) struct ReportShown {
    /// In the rules, or their model.
    findings: Vec<FindingShown>,
    /// In the cases.
    case_findings: Vec<FindingShown>,
    /// The cases that the rules decide otherwise.
    failed: Vec<FailedShown>,
    /// How many those are in all.
    failed_total: usize,
    /// Whether a check was all that was asked for, so that nothing else was left undone.
    only_checked: bool,
}

impl ReportShown {
    /// The report to somebody who wanted no more than that.
    pub(super) fn only_checked(self) -> Self {
        Self { only_checked: true, ..self }
    }

    /// What was found, each with the line of `text` that it is about.
    pub(super) fn of(checked: &Checked, text: &TextShown) -> Self {
        let [rules, cases] = [&text.rules, &text.cases].map(|text| text.lines().collect::<Vec<_>>());
        let finding = |found: &Finding| {
            let lines = match found.file {
                PolicyFile::Cases => cases.as_slice(),
                PolicyFile::Rules => rules.as_slice(),
                // The model is not in the editor.
                _ => &[],
            };
            FindingShown::of(found, lines)
        };
        let failed = |failed: &FailedCase| FailedShown::of(failed, &cases);
        let is_of_cases = |finding: &&Finding| finding.file == PolicyFile::Cases;
        let (of_cases, others): (Vec<&Finding>, Vec<&Finding>) =
            checked.report.findings.iter().partition(is_of_cases);
        let outcome = checked.outcome.as_ref();
        Self {
            findings: others.into_iter().map(finding).collect(),
            case_findings: of_cases.into_iter().map(finding).collect(),
            failed: outcome.into_iter().flat_map(|outcome| &outcome.failed).map(failed).collect(),
            failed_total: outcome.map_or(0, |outcome| outcome.failed_total),
            only_checked: false,
        }
    }
}

/// What the services run, and whether somebody prepares something else.
#[derive(Default, Serialize)]
pub(super) struct InForce {
    /// The revision.
    pub(super) active_number: Option<u64>,
    /// Whether the stored draft says something else.
    pub(super) has_draft: bool,
    /// When something else is to come into force.
    pub(super) waits_until: Option<TimeShown>,
    /// Whether what one person wrote takes another to put it in force.
    pub(super) four_eyes: bool,
    /// Names the model of the draft: the form carries it.
    pub(super) model_name: String,
    /// The model of the draft, where it is another than the one in force: it is not in the editor, and comes into force with it.
    pub(super) model: Option<String>,
}

impl Page for RulesPage {
    const TEMPLATE: &'static str = "policies.html";
}

/// An API, as pages show one.
#[derive(Serialize)]
pub(in crate::http::pages) struct ApiShown {
    id: String,
    name: String,
    audience: String,
}

impl ApiShown {
    pub(in crate::http::pages) fn of(api: &Api) -> Self {
        Self { id: api.id.to_string(), name: api.name.clone(), audience: api.audience.as_str().to_owned() }
    }
}

#[derive(Serialize)]
struct FindingShown {
    line: u32,
    column: u32,
    severity: &'static str,
    message: String,
    /// The line itself; `None` if it is not in an editor.
    excerpt: Option<Excerpt>,
}

/// A line of a text, with the place that is meant.
#[derive(Serialize)]
struct Excerpt {
    before: String,
    /// The character at the place. Empty at the end of the line.
    at: String,
    after: String,
    /// Whether something of the line is not shown, on either side.
    cut: (bool, bool),
}

impl Excerpt {
    /// Line `line` of a text, around `column`; both count from 1.
    fn of(lines: &[&str], line: u32, column: u32) -> Option<Self> {
        let [line, column] = [line, column].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let line: Vec<char> = lines.get(line.checked_sub(1)?)?.chars().collect();
        let at = column.saturating_sub(1).min(line.len());
        let start = at.saturating_sub(EXCERPT / 2);
        let end = start.saturating_add(EXCERPT).min(line.len());
        let part = |range: std::ops::Range<usize>| line.get(range).unwrap_or_default().iter().collect();
        let next = (at + 1).min(end);
        Some(Self {
            before: part(start..at),
            at: part(at..next),
            after: part(next..end),
            cut: (start > 0, end < line.len()),
        })
    }
}

/// A case that is decided otherwise than it says.
#[derive(Serialize)]
struct FailedShown {
    line: u32,
    expected: &'static str,
    decided: &'static str,
    /// The reason, and what is nearly allowed.
    why: Vec<String>,
    excerpt: Option<Excerpt>,
}

impl FailedShown {
    fn of(failed: &FailedCase, cases: &[&str]) -> Self {
        let word = |allowed: bool| if allowed { "allow" } else { "deny" };
        let FailedCase { case, explanation, .. } = failed;
        let why = explanation.to_string().lines().map(|line| line.trim().to_owned()).collect();
        let excerpt = Excerpt::of(cases, case.line, 1);
        Self {
            line: case.line,
            expected: word(case.allowed),
            decided: word(explanation.allowed),
            why,
            excerpt,
        }
    }
}

impl FindingShown {
    fn of(finding: &Finding, lines: &[&str]) -> Self {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = match &finding.fix {
            Some(fix) => format!("{} ({fix})", finding.message),
            None => finding.message.clone(),
        };
        let excerpt = Excerpt::of(lines, finding.line, finding.column);
        Self { line: finding.line, column: finding.column, severity, message, excerpt }
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn sample_api() -> ApiShown {
    ApiShown {
        id: "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned(),
        name: "<b>Orders API</b>".to_owned(),
        audience: "https://orders.example.com".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let text = |rules: &str, cases: &str| TextShown { rules: rules.to_owned(), cases: cases.to_owned() };
    let page = |problem, notice| RulesPage {
        problem,
        notice,
        api: sample_api(),
        in_force: InForce {
            active_number: Some(7),
            has_draft: true,
            waits_until: Some(TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_800_000_000))),
            four_eyes: true,
            model_name: "5f".repeat(32),
            model: Some("</pre><script>".to_owned()),
        },
        version: "8".to_owned(),
        text: text("# who may do what with orders\np, clerk, *, /orders/{id}, read, allow\n", "# none\n"),
        theirs: None,
        report: ReportShown::default(),
        message: String::new(),
        csrf_token: "token".to_owned(),
    };
    let excerpt = || Excerpt::of(&["p, <b>viewer"], 1, 4);
    let finding = |severity| FindingShown {
        line: 4,
        column: 1,
        severity,
        message: "<b>".to_owned(),
        excerpt: excerpt(),
    };
    let findings =
        || ReportShown { findings: vec![finding("error"), finding("warning")], ..Default::default() };
    let in_cases = || ReportShown { case_findings: vec![finding("error")], ..Default::default() };
    let why = || ["denied: <b>", "line 1 would match"].map(str::to_owned).to_vec();
    let failed =
        || FailedShown { line: 2, expected: "allow", decided: "deny", why: why(), excerpt: excerpt() };
    let failing = || ReportShown { failed: vec![failed()], failed_total: 3, ..Default::default() };
    let hostile = || text("</textarea><script>", "</textarea><script>");
    vec![
        RulesPage { in_force: InForce::default(), ..page(None, None) },
        page(None, Some("saved")),
        page(None, Some("checked")),
        page(None, Some("activated")),
        page(None, Some("discarded")),
        page(Some("no_message"), None),
        page(Some("lockout"), None),
        page(Some("nothing_changed"), None),
        page(Some("owners_only"), None),
        page(Some("self_approval"), None),
        RulesPage { report: findings(), ..page(Some("findings"), None) },
        RulesPage { report: findings().only_checked(), ..page(Some("findings"), None) },
        RulesPage { report: in_cases(), ..page(Some("cases"), None) },
        RulesPage { report: in_cases().only_checked(), ..page(Some("cases"), None) },
        RulesPage { report: failing(), ..page(Some("failing_cases"), None) },
        RulesPage { report: failing().only_checked(), ..page(Some("failing_cases"), None) },
        RulesPage { text: hostile(), theirs: Some(hostile()), ..page(Some("conflict"), None) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, column: u32) -> String {
        let excerpt = Excerpt::of(&["first", line], 2, column).unwrap();
        let [start, end] = [excerpt.cut.0, excerpt.cut.1].map(|cut| if cut { ".." } else { "" });
        format!("{start}{}[{}]{}{end}", excerpt.before, excerpt.at, excerpt.after)
    }

    #[test]
    fn a_line_is_shown_with_the_place_that_is_meant() {
        assert_eq!(shown("p, viewer", 4), "p, [v]iewer");
        assert_eq!(shown("p, viewer", 10), "p, viewer[]");
        assert_eq!(shown("", 1), "[]");
        assert_eq!(shown("äöü", 2), "ä[ö]ü");
        assert!(Excerpt::of(&["first"], 2, 1).is_none() && Excerpt::of(&["first"], 0, 1).is_none());
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let long = "0123456789".repeat(100);
        let start = shown(&long, 1);
        assert!(start.starts_with("[0]1234") && start.ends_with(".."), "{start}");
        let middle = shown(&long, 501);
        assert!(middle.starts_with("..") && middle.contains("89[0]12") && middle.len() < 140, "{middle}");
    }
}
