//! The pages: one for each specification, and one that lists them with what is counted.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::requirements::{Requirement, Specification, Status, tests_of};

/// How many of each.
#[derive(Clone, Copy, Default)]
struct Counts {
    met: usize,
    not_applicable: usize,
    untested: usize,
    unmet: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.met += other.met;
        self.not_applicable += other.not_applicable;
        self.untested += other.untested;
        self.unmet += other.unmet;
    }
}

impl Counts {
    fn of(requirements: &[Requirement]) -> Self {
        let mut counts = Self::default();
        for requirement in requirements {
            match requirement.status() {
                Some(Status::Met(_)) => counts.met += 1,
                Some(Status::NotApplicable(_)) => counts.not_applicable += 1,
                Some(Status::Untested(_)) => counts.untested += 1,
                Some(Status::Unmet(_)) | None => counts.unmet += 1,
            }
        }
        counts
    }

    fn open(self) -> usize {
        self.untested + self.unmet
    }
}

/// The pages, by their place in the documentation.
pub(crate) fn pages(specifications: &BTreeMap<String, Specification>) -> BTreeMap<String, String> {
    let each = specifications.iter();
    let mut pages: BTreeMap<String, String> =
        each.map(|(file, of)| (format!("requirements/{file}.md"), page(file, of))).collect();
    pages.insert("requirements.md".to_owned(), list(specifications));
    pages
}

fn list(specifications: &BTreeMap<String, Specification>) -> String {
    let mut lines = vec![
        "# What the specifications require".to_owned(),
        String::new(),
        "Each MUST and SHOULD that concerns an authorization server, an OpenID provider or a service behind the guard, in our own short \
         words, with the tests that show it. What does not apply says why, and what is open says what is missing: a test, or the thing \
         itself. The specifications are the authority, these tables are none."
            .to_owned(),
        String::new(),
        "These pages are made of `tests/conformance/requirements` by `PORTCULLIS_ACCEPT_REQUIREMENTS=1 tests/run architecture`, which \
         fails without it where they differ, and where a test that is named does not exist."
            .to_owned(),
        String::new(),
        "| specification | met | not applicable | open: no test | open: not met |".to_owned(),
        "|---|---:|---:|---:|---:|".to_owned(),
    ];
    let mut all = Counts::default();
    for (file, of) in specifications {
        let counts = Counts::of(&of.requirements);
        all += counts;
        lines.push(row(&format!("[{}: {}](requirements/{file}.md)", of.name, of.title), counts));
    }
    lines.push(row("all", all));
    lines.join("\n") + "\n"
}

fn row(name: &str, counts: Counts) -> String {
    let Counts { met, not_applicable, untested, unmet } = counts;
    format!("| {name} | {met} | {not_applicable} | {untested} | {unmet} |")
}

fn page(file: &str, of: &Specification) -> String {
    let counts = Counts::of(&of.requirements);
    let mut lines = vec![
        format!("# {}: {}", of.name, of.title),
        String::new(),
        format!(
            "{} requirements of [the text]({}): {} met, {} not applicable, {} open. [All specifications](../requirements.md)",
            of.requirements.len(),
            of.address,
            counts.met,
            counts.not_applicable,
            counts.open()
        ),
        String::new(),
        format!("This page is made of `tests/conformance/requirements/{file}.toml`."),
        String::new(),
        "| § | level | requirement | status | shown by |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(of.requirements.iter().map(|requirement| line(of, requirement)));
    lines.join("\n") + "\n"
}

fn line(of: &Specification, requirement: &Requirement) -> String {
    let Requirement { section, level, says, .. } = requirement;
    let place = match &of.sections {
        Some(sections) => format!("[{section}]({sections}{section})"),
        None => section.clone(),
    };
    let (status, shown) = match requirement.status() {
        Some(Status::Met(tests)) => {
            ("met", tests.iter().map(|test| link(test)).collect::<Vec<_>>().join("<br>"))
        }
        Some(Status::NotApplicable(why)) => ("not applicable", why.to_owned()),
        Some(Status::Untested(what)) => ("open", format!("No test: {what}")),
        Some(Status::Unmet(what)) => ("open", format!("**Not met:** {what}")),
        None => ("open", String::new()),
    };
    format!("| {place} | {} | {says} | {status} | {shown} |", level.as_str())
}

/// The name of a test, and where it is.
fn link(test: &str) -> String {
    match tests_of::place(test) {
        Some(place) => format!("[`{test}`](../../../{place})"),
        None => format!("`{test}`"),
    }
}
