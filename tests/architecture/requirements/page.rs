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
         itself. What a text demands without one of these words stands as MUST. What has to be refused is shown by a test that is named after the section. The specifications are the authority, these tables are none."
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

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
        name = "RFC 1"
        title = "A sample"
        address = "https://example.com/rfc1"
        sections = "https://example.com/rfc1#"

        [[requirement]]
        section = "2"
        level = "MUST"
        says = "It is shown."
        tests = ["conformance::rfc6749::there_is_no_such_test"]

        [[requirement]]
        section = "3"
        level = "SHOULD NOT"
        says = "It does not apply."
        because = "It is not offered."

        [[requirement]]
        section = "4"
        level = "SHOULD"
        says = "Nobody shows it."
        untested = "All of it."

        [[requirement]]
        section = "5"
        level = "MUST NOT"
        says = "It is not so."
        unmet = "It is otherwise."
    "#;

    #[test]
    fn a_page_counts_and_says_of_each_requirement_where_it_stands() {
        let sample: Specification = toml::from_str(SAMPLE).expect("a specification");
        let pages = pages(&BTreeMap::from([("rfc1".to_owned(), sample)]));
        let rows = |page: &str| -> Vec<String> {
            pages[page].lines().filter(|line| line.starts_with("| [")).map(str::to_owned).collect()
        };
        assert_eq!(rows("requirements.md"), ["| [RFC 1: A sample](requirements/rfc1.md) | 1 | 1 | 1 | 1 |"]);
        assert!(pages["requirements.md"].ends_with("\n| all | 1 | 1 | 1 | 1 |\n"));
        let each = rows("requirements/rfc1.md");
        assert_eq!(each.len(), 4);
        assert!(each[0].starts_with("| [2](https://example.com/rfc1#2) | MUST | It is shown. | met | "));
        let rest = [
            "| [3](https://example.com/rfc1#3) | SHOULD NOT | It does not apply. | not applicable | It is not offered. |",
            "| [4](https://example.com/rfc1#4) | SHOULD | Nobody shows it. | open | No test: All of it. |",
            "| [5](https://example.com/rfc1#5) | MUST NOT | It is not so. | open | **Not met:** It is otherwise. |",
        ];
        assert_eq!(each[1..], rest);
        assert!(pages["requirements/rfc1.md"].contains(": 1 met, 1 not applicable, 2 open."));
    }
}
