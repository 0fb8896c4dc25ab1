//! The shape of the code: layers, cycles, limits. `planted` proves that every rule bites.

mod attacks;
mod cycles;
mod map;
mod mutations;
mod packages;
mod planted;
mod references;
mod requirements;
mod rules;
mod source;
mod surface;

use crate::cycles::cycles;
use crate::map::PACKAGES;
use crate::packages::{forbidden, manifest, takes_lints};
use crate::references::Crate;
use crate::rules::{Violation, escapes, file_names, foreign, layers, limits, stale_excuses};
use crate::source::{SourceFile, load, without_tests};
use crate::surface::surface;

/// A package's sources and what the crate is called.
fn crates() -> [(Crate, Vec<SourceFile>); 4] {
    let read = |directory: &str, name: &'static str| {
        let files = without_tests(load(directory));
        (Crate::read(name, &files), files)
    };
    [
        read("auth-server/src", "portcullis_server"),
        read("middleware/src", "portcullis_guard"),
        read("policies/src", "portcullis_policy"),
        read("tests/src", "portcullis_tests"),
    ]
}

fn server() -> (Crate, Vec<SourceFile>) {
    let [server, ..] = crates();
    server
}

/// Every Rust file of the workspace: sources, suites, examples and benches.
fn everything() -> Vec<SourceFile> {
    PACKAGES.iter().flat_map(|(directory, _)| load(directory)).collect()
}

fn assert_none(broken: &[Violation]) {
    let text = broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
    assert!(broken.is_empty(), "{} places break the rule:\n  {text}", broken.len());
}

#[test]
fn the_checks_that_can_be_taken_out_are_where_their_list_says() {
    assert_eq!(mutations::strayed(), Vec::<String>::new());
}

#[test]
fn every_requirement_is_shown_by_a_test_or_says_why_not() {
    assert_eq!(requirements::faults(), Vec::<String>::new());
}

#[test]
fn the_pages_of_requirements_are_what_their_data_gives() {
    let accepts = std::env::var_os("PORTCULLIS_ACCEPT_REQUIREMENTS").is_some();
    let outdated = requirements::outdated(accepts).join("\n");
    let how = "PORTCULLIS_ACCEPT_REQUIREMENTS=1 tests/run architecture writes them";
    assert!(outdated.is_empty(), "{how}\n{outdated}");
}

#[test]
fn every_attack_is_shown_by_tests_or_says_why_not() {
    assert_eq!(attacks::faults(), Vec::<String>::new());
}

#[test]
fn the_page_of_attacks_is_what_its_data_gives() {
    let accepts = std::env::var_os("PORTCULLIS_ACCEPT_REQUIREMENTS").is_some();
    let how = "PORTCULLIS_ACCEPT_REQUIREMENTS=1 tests/run architecture writes it";
    assert!(attacks::is_up_to_date(accepts), "{how}");
}

#[test]
fn imports_of_the_server_only_point_down() {
    let (this, files) = server();
    assert_none(&layers(&this, &files));
}

#[test]
fn foreign_crates_are_named_only_where_they_belong() {
    let (this, files) = server();
    assert_none(&foreign(&this, &files));
}

#[test]
fn nothing_hides_an_import() {
    let broken: Vec<Violation> = crates().iter().flat_map(|(this, files)| escapes(this, files)).collect();
    assert_none(&broken);
}

#[test]
fn sibling_modules_have_no_cycle() {
    let found: Vec<String> = crates().iter().flat_map(|(this, files)| cycles(this, files)).collect();
    assert!(found.is_empty(), "cycles:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_is_named_after_a_concept() {
    assert_none(&file_names(&everything()));
}

#[test]
fn files_functions_parameters_and_structs_stay_small() {
    let (broken, measured) = limits(&everything());
    let (file, function) = (measured.largest_file, measured.longest_function);
    println!("largest file: {} ({} lines without unit tests)", file.name, file.size);
    println!("longest function: {} in {} ({} lines)", function.name, function.file, function.size);
    assert_none(&broken);
}

#[test]
fn what_the_guard_shows_is_in_words_of_the_field_and_its_own() {
    let [_, (this, files), ..] = crates();
    assert_none(&surface(&this, &files));
}

#[test]
fn no_struct_is_excused_without_need() {
    assert_eq!(stale_excuses(&everything()), Vec::<String>::new());
}

#[test]
fn packages_only_point_down_and_take_the_lints() {
    for (directory, _) in PACKAGES {
        let manifest = manifest(directory);
        assert_eq!(forbidden(directory, &manifest), Vec::<String>::new(), "{directory}");
        assert!(takes_lints(&manifest), "{directory}");
    }
}
