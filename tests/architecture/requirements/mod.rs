//! What the specifications require, and which test shows each: the data lies in `tests/conformance/requirements`, a file for each
//! specification, and the pages that are made of it in the documentation of the server.

mod page;
pub(crate) mod tests_of;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::requirements::tests_of::Tests;
use crate::source::workspace_root;

const DATA: &str = "tests/conformance/requirements";
const DOCS: &str = "auth-server/docs";
/// So much is said in our own words, and shortly.
pub(crate) const MAX_CHARACTERS: usize = 200;

/// A specification, as far as it requires something of us.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Specification {
    /// What people call it: `RFC 6749`.
    name: String,
    title: String,
    address: String,
    /// The address of a section, but for its number, where sections have one.
    sections: Option<String>,
    #[serde(rename = "requirement")]
    requirements: Vec<Requirement>,
}

/// One thing that it requires. Why it is met, does not apply or is open is said in one way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    section: String,
    level: Level,
    says: String,
    /// Whether something has to be refused: a test whose name has this section shows that then.
    #[serde(default)]
    refuses: bool,
    /// Those that show it.
    tests: Option<Vec<String>>,
    /// Why it does not apply here.
    because: Option<String>,
    /// What of it is not met.
    unmet: Option<String>,
    /// What of it no test shows.
    untested: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
}

/// What becomes of a requirement.
enum Status<'a> {
    Met(&'a [String]),
    NotApplicable(&'a str),
    Unmet(&'a str),
    Untested(&'a str),
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
        }
    }
}

impl Requirement {
    /// Nothing, where it is said in no way or in several.
    fn status(&self) -> Option<Status<'_>> {
        match (&self.tests, &self.because, &self.unmet, &self.untested) {
            (Some(tests), None, None, None) if !tests.is_empty() => Some(Status::Met(tests)),
            (None, Some(why), None, None) => Some(Status::NotApplicable(why)),
            (None, None, Some(what), None) => Some(Status::Unmet(what)),
            (None, None, None, Some(what)) => Some(Status::Untested(what)),
            _ => None,
        }
    }
}

/// Every specification, by the name of its file.
fn specifications() -> BTreeMap<String, Specification> {
    let folder = workspace_root().join(DATA);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a readable directory entry").path();
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("the file is UTF-8");
        let specification = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.insert(name, specification);
    }
    found
}

/// What is wrong with the data.
pub(crate) fn faults() -> Vec<String> {
    let mut tests = Tests::default();
    let mut faults = Vec::new();
    for (file, specification) in specifications() {
        for requirement in &specification.requirements {
            let place = format!("{file} §{} ({})", requirement.section, requirement.says);
            faults.extend(fault(requirement, &mut tests).into_iter().map(|what| format!("{place}: {what}")));
        }
    }
    faults
}

fn fault(requirement: &Requirement, tests: &mut Tests) -> Vec<String> {
    let mut faults = Vec::new();
    match requirement.status() {
        None => faults.push("one of `tests`, `because`, `unmet` and `untested` has to be said".to_owned()),
        Some(Status::Met(named)) => {
            let missing = named.iter().filter(|test| !tests.has(test));
            faults.extend(missing.map(|test| format!("there is no test `{test}`")));
            if named
                .iter()
                .enumerate()
                .any(|(index, test)| named.iter().take(index).any(|other| other == test))
            {
                faults.push("a test is named twice".to_owned());
            }
            let section = in_a_name(&requirement.section);
            if requirement.refuses && !named.iter().any(|test| has_section(test, &section)) {
                faults.push(format!("what is refused is shown by no test named after `section_{section}`"));
            }
        }
        Some(Status::NotApplicable(why) | Status::Unmet(why) | Status::Untested(why)) => {
            faults.extend(fault_of_words(why));
        }
    }
    faults.extend(fault_of_words(&requirement.says));
    faults
}

/// A section as names of tests have it: `7_2` of a number, `token_handling` of a heading.
fn in_a_name(section: &str) -> String {
    let words = section.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

/// `conformance::jarm::section_2_1_..`, among others as in `section_2_and_2_1_..`, or after the specification where a file shows several,
/// as in `rfc_9449_section_7_1_..`.
fn has_section(test: &str, section: &str) -> bool {
    let name = format!("_{}", test.rsplit("::").next().unwrap_or_default());
    name.split("_section_").skip(1).any(|told| {
        // The words of the test follow the last of its sections, and `and` may stand among them.
        let numbers = told.split("_and_").take_while(|part| is_number(part)).count();
        told.split("_and_").take(numbers + 1).any(|part| begins_with(part, section))
    })
}

fn is_number(part: &str) -> bool {
    part.chars().all(|sign| sign.is_ascii_digit() || sign == '_')
}

/// `7_2_a_token_..` begins with `7_2`; `7_2_1_a_token_..` and `7_20_a_token_..` do not.
fn begins_with(part: &str, section: &str) -> bool {
    let is_digit = |sign: char| sign.is_ascii_digit();
    part.strip_prefix(section).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('_').is_some_and(|more| !more.starts_with(is_digit))
    })
}

pub(crate) fn fault_of_words(words: &str) -> Option<String> {
    let fits =
        !words.trim().is_empty() && words.chars().count() <= MAX_CHARACTERS && !words.contains(['|', '\n']);
    (!fits).then(|| format!("`{words}` is no short line of a table"))
}

/// The pages that are not what the data gives, after they were written anew where that is wanted.
pub(crate) fn outdated(accepts: bool) -> Vec<String> {
    let docs = workspace_root().join(DOCS);
    let wanted = page::pages(&specifications());
    if accepts {
        fs::create_dir_all(docs.join("requirements")).expect("the folder can be made");
        for (name, text) in &wanted {
            fs::write(docs.join(name), text).expect("the page can be written");
        }
    }
    let listed = fs::read_dir(docs.join("requirements")).expect("the folder is there");
    let listed = listed.map(|entry| entry.expect("a readable directory entry").path());
    let stale = |path: &PathBuf| {
        let name = format!("requirements/{}", path.file_name().expect("it has a name").to_string_lossy());
        (!wanted.contains_key(&name)).then(|| format!("{name} is of no specification"))
    };
    let differs = |(name, text): (&String, &String)| {
        let written = fs::read_to_string(docs.join(name)).unwrap_or_default();
        (written != *text).then(|| format!("{name} is not what the data gives"))
    };
    listed.filter_map(|path| stale(&path)).chain(wanted.iter().filter_map(differs)).collect()
}

#[test]
fn a_requirement_says_in_one_way_what_becomes_of_it() {
    let read = |lines: &str| -> Requirement {
        toml::from_str(&format!("section = \"2.1\"\nlevel = \"MUST\"\nsays = \"x\"\n{lines}")).unwrap()
    };
    let mut tests = Tests::default();
    let unnamed = "attack::codes::co_04_a_code_is_of_no_use_to_another_client";
    let known = "conformance::jarm::section_2_1_an_error_is_signed_as_well";
    let of_another = "conformance::jarm::section_2_3_the_code_comes_in_a_signed_jwt";
    let among_others =
        "conformance::rfc9700_refused::section_2_1_and_2_1_1_a_request_without_a_challenge_is_refused";
    for (lines, faults) in [
        (format!("tests = [\"{known}\"]"), 0),
        (format!("refuses = true\ntests = [\"{known}\"]"), 0),
        (format!("refuses = true\ntests = [\"{unnamed}\"]"), 1),
        (format!("tests = [\"{of_another}\"]"), 0),
        (format!("refuses = true\ntests = [\"{of_another}\"]"), 1),
        (format!("refuses = true\ntests = [\"{of_another}\", \"{unnamed}\"]"), 1),
        (format!("refuses = true\ntests = [\"{of_another}\", \"{among_others}\"]"), 0),
        (format!("refuses = true\ntests = [\"{unnamed}\", \"{known}\"]"), 0),
        ("refuses = true\nbecause = \"It is not offered.\"".to_owned(), 0),
        ("because = \"It is not offered.\"".to_owned(), 0),
        ("unmet = \"All of it.\"".to_owned(), 0),
        ("untested = \"All of it.\"".to_owned(), 0),
        (String::new(), 1),
        ("tests = []".to_owned(), 1),
        ("because = \" \"".to_owned(), 1),
        (format!("because = \"{}\"", "x".repeat(MAX_CHARACTERS + 1)), 1),
        (format!("tests = [\"{known}\"]\nbecause = \"It is not offered.\""), 1),
        (format!("tests = [\"{known}\", \"{known}\"]"), 1),
        (format!("tests = [\"{known}_too\"]"), 1),
    ] {
        assert_eq!(fault(&read(&lines), &mut tests).len(), faults, "{lines}");
    }
}

#[test]
fn a_test_has_the_sections_that_its_name_begins_with() {
    for (section, name, has) in [
        ("7.2", "section_7_2_a_token_is_refused", true),
        ("7.2", "section_3_2_1_and_7_2_and_10_a_token_is_refused", true),
        ("10", "section_3_2_1_and_7_2_and_10_a_token_is_refused", true),
        ("7.2", "rfc_9449_section_7_1_and_7_2_a_token_is_refused", true),
        ("7.2", "section_4_and_rfc_9449_section_7_2_a_token_is_refused", true),
        ("Token handling", "mcp_section_token_handling_a_token_is_refused", true),
        ("Security: token theft", "section_4_and_mcp_section_security_token_theft_a_token_is_refused", true),
        ("7.2", "section_7_2_1_a_token_is_refused", false),
        ("7.2", "section_7_20_a_token_is_refused", false),
        ("7.2", "section_7_a_token_is_refused", false),
        ("7.2", "section_17_2_a_token_is_refused", false),
        ("7.2", "section_3_and_7_2_1_a_token_is_refused", false),
        ("2", "section_7_2_a_token_is_refused", false),
        ("7", "section_7_2_a_token_is_refused", false),
        ("7.2", "a_token_is_refused", false),
        ("7.2", "a_token_of_7_2_is_refused", false),
        ("7.2", "intersection_7_2_is_refused", false),
        ("7.2", "section_4_a_token_and_7_2_others_are_refused", false),
        ("Token handling", "mcp_section_error_handling_a_token_is_refused", false),
        ("Token handling", "section_4_token_handling_is_refused", false),
        ("Token handling", "mcp_section_token_handlings_are_refused", false),
    ] {
        let test = format!("conformance::section_7_2::{name}");
        assert_eq!(has_section(&test, &in_a_name(section)), has, "{section}: {name}");
    }
}
