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
    /// Whether something has to be refused: a test named after the section shows that then.
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
            if requirement.refuses && !named.iter().any(|test| is_named_after_a_section(test)) {
                faults.push("what is refused is shown by no test that is named after its section".to_owned());
            }
        }
        Some(Status::NotApplicable(why) | Status::Unmet(why) | Status::Untested(why)) => {
            faults.extend(fault_of_words(why));
        }
    }
    faults.extend(fault_of_words(&requirement.says));
    faults
}

/// `conformance::jarm::section_2_1_..`, or with the specification before it where a file shows several.
fn is_named_after_a_section(test: &str) -> bool {
    let name = test.rsplit("::").next().unwrap_or_default();
    name.starts_with("section_") || name.contains("_section_")
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
        toml::from_str(&format!("section = \"1\"\nlevel = \"MUST\"\nsays = \"x\"\n{lines}")).unwrap()
    };
    let mut tests = Tests::default();
    let unnamed = "attack::codes::co_04_a_code_is_of_no_use_to_another_client";
    let known = "conformance::jarm::section_2_1_an_error_is_signed_as_well";
    for (lines, faults) in [
        (format!("tests = [\"{known}\"]"), 0),
        (format!("refuses = true\ntests = [\"{known}\"]"), 0),
        (format!("refuses = true\ntests = [\"{unnamed}\"]"), 1),
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
