//! Where a test is that is named as the runner prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, FnArg, Item, ItemFn, Meta};

use crate::rules::is_test_function;
use crate::source::workspace_root;

/// The programs of tests, and where the sources of each begin.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("any_bytes", "middleware/tests", "any_bytes.rs"),
    ("attack", "tests/attack", "main.rs"),
    ("browser", "tests/browser", "main.rs"),
    ("clients", "tests/clients", "main.rs"),
    ("conformance", "tests/conformance", "main.rs"),
    ("decisions", "policies/tests", "decisions.rs"),
    ("foreign", "tests/foreign", "main.rs"),
    ("guard", "middleware/tests/guard", "main.rs"),
    ("integration", "tests/integration", "main.rs"),
    ("kit", "middleware/tests/kit", "main.rs"),
    ("oracle", "policies/tests", "oracle.rs"),
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
        self.find(test).is_some()
    }

    /// The databases that a test runs on, as far as its values and cases or the end of its name say so. Replicas are on PostgreSQL.
    pub(crate) fn databases(&mut self, test: &str) -> BTreeSet<&'static str> {
        let Some(found) = self.find(test) else { return BTreeSet::new() };
        let of_parameters = found.sig.inputs.iter().flat_map(|input| match input {
            FnArg::Receiver(receiver) => &receiver.attrs,
            FnArg::Typed(typed) => &typed.attrs,
        });
        let told = found.attrs.iter().chain(of_parameters).flat_map(told).collect::<Vec<_>>();
        let is_told = |word: &str| told.iter().any(|found| found == word);
        let mut databases = BTreeSet::new();
        if is_told("Sqlite") || test.ends_with("_sqlite") {
            databases.insert("SQLite");
        }
        if is_told("Postgres") || is_told("Replicas") || test.ends_with("_postgres") {
            databases.insert("PostgreSQL");
        }
        databases
    }

    fn find(&mut self, test: &str) -> Option<&ItemFn> {
        let (file, inside) = file_of(test)?;
        let items = self.files.entry(file.clone()).or_insert_with(|| items(&file));
        found(items, &inside)
    }
}

/// The words of what rstest hands to a test, one run for each.
fn told(attribute: &Attribute) -> Vec<String> {
    let is_of_rstest = attribute
        .path()
        .segments
        .first()
        .is_some_and(|first| first.ident == "values" || first.ident == "case");
    match &attribute.meta {
        Meta::List(list) if is_of_rstest => {
            let text = list.tokens.to_string();
            text.split(|sign: char| !sign.is_alphanumeric()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
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

fn found<'a>(items: &'a [Item], path: &[&str]) -> Option<&'a ItemFn> {
    match path {
        [] => None,
        [name] => items.iter().find_map(|item| match item {
            Item::Fn(found) if found.sig.ident == name && is_test_function(found) => Some(found),
            _ => None,
        }),
        [module, rest @ ..] => items.iter().find_map(|item| match item {
            Item::Mod(inner) if inner.ident == module => {
                inner.content.as_ref().and_then(|(_, items)| found(items, rest))
            }
            _ => None,
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

#[test]
fn the_databases_of_a_test_are_told_by_its_values_and_by_its_name() {
    let mut tests = Tests::default();
    let both = ["PostgreSQL", "SQLite"];
    for (test, databases) in [
        ("attack::codes::co_04_a_code_is_of_no_use_to_another_client", &both[..]),
        ("attack::codes::co_03_of_fifty_redemptions_at_once_one_succeeds", &both),
        ("attack::secrets::da_04_data_is_for_its_owner_alone_sqlite", &both[1..]),
        ("process::replicas::a_key_that_was_revoked_counts_at_neither_program_postgres", &both[..1]),
        ("guard::tokens::a_huge_token_is_refused", &[]),
        ("attack::codes::there_is_no_such_test_sqlite", &[]),
    ] {
        assert_eq!(Vec::from_iter(tests.databases(test)), databases, "{test}");
    }
}
