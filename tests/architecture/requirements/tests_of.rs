//! Where a test is that is named as the runner prints it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::Item;

use crate::rules::is_test_function;
use crate::source::workspace_root;

/// The programs of tests, and where the sources of each begin.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("attack", "tests/attack", "main.rs"),
    ("browser", "tests/browser", "main.rs"),
    ("clients", "tests/clients", "main.rs"),
    ("conformance", "tests/conformance", "main.rs"),
    ("foreign", "tests/foreign", "main.rs"),
    ("guard", "middleware/tests/guard", "main.rs"),
    ("integration", "tests/integration", "main.rs"),
    ("kit", "middleware/tests/kit", "main.rs"),
    ("plain", "middleware/tests/plain", "main.rs"),
    ("portcullis_guard", "middleware/src", "lib.rs"),
    ("portcullis_server", "auth-server/src", "lib.rs"),
    ("process", "tests/process", "main.rs"),
];

/// The sources that were looked into.
#[derive(Default)]
pub(crate) struct Tests {
    files: BTreeMap<PathBuf, Vec<Item>>,
}

impl Tests {
    /// Whether there is such a test: `conformance::rfc9449::codes::name`.
    pub(crate) fn has(&mut self, test: &str) -> bool {
        let Some((file, inside)) = file_of(test) else { return false };
        let items = self.files.entry(file.clone()).or_insert_with(|| items(&file));
        holds(items, &inside)
    }
}

/// The file that a test is in, below the root, as documents link to it.
pub(crate) fn place(test: &str) -> Option<String> {
    let (file, _) = file_of(test)?;
    file.strip_prefix(workspace_root()).ok().map(|file| file.to_string_lossy().into_owned())
}

/// The file, and the path inside of it: modules that are written there, and the name of the test.
fn file_of(test: &str) -> Option<(PathBuf, Vec<&str>)> {
    let segments: Vec<&str> = test.split("::").collect();
    let (program, path) = segments.split_first()?;
    let (_, directory, root) = PROGRAMS.iter().find(|(name, _, _)| name == program)?;
    let directory = workspace_root().join(directory);
    let modules = path.len().checked_sub(1)?;
    for length in (0..=modules).rev() {
        let (outside, inside) = path.split_at_checked(length)?;
        if let Some(file) = module(&directory, outside, root) {
            return Some((file, inside.to_vec()));
        }
    }
    None
}

fn module(directory: &Path, path: &[&str], root: &str) -> Option<PathBuf> {
    let at = path.iter().fold(directory.to_owned(), |at, name| at.join(name));
    let file = if path.is_empty() { directory.join(root) } else { at.with_extension("rs") };
    [file, at.join("mod.rs")].into_iter().find(|file| file.is_file())
}

fn items(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).expect("a source file is UTF-8");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())).items
}

fn holds(items: &[Item], path: &[&str]) -> bool {
    match path {
        [] => false,
        [name] => items.iter().any(
            |item| matches!(item, Item::Fn(found) if found.sig.ident == name && is_test_function(found)),
        ),
        [module, rest @ ..] => items.iter().any(|item| match item {
            Item::Mod(found) if found.ident == module => {
                found.content.as_ref().is_some_and(|(_, items)| holds(items, rest))
            }
            _ => false,
        }),
    }
}

#[test]
fn a_test_is_found_by_what_the_runner_prints_and_what_is_none_is_not() {
    let mut tests = Tests::default();
    for (test, exists) in [
        ("conformance::jarm::section_2_1_an_error_is_signed_as_well", true),
        (
            "conformance::rfc9449::codes::section_10_a_code_is_redeemed_by_the_key_that_the_request_named",
            true,
        ),
        ("portcullis_server::domain::pkce::tests::plain_and_a_missing_method_are_refused", true),
        ("conformance::section_2_1_an_error_is_signed_as_well", false),
        ("conformance::jarm::section_2_1_an_error_is_signed", false),
        ("conformance::jarm::opened", false),
        ("conformance::jarm", false),
        ("conformance", false),
        ("jarm::section_2_1_an_error_is_signed_as_well", false),
        ("portcullis_server::domain::pkce::plain_and_a_missing_method_are_refused", false),
        ("", false),
    ] {
        assert_eq!(tests.has(test), exists, "{test}");
    }
}
