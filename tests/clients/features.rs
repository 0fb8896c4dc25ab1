//! What flows ask of the server, and what became of those that ran.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use portcullis_tests::database::required;

/// Members of the metadata that the server does not have yet. A flow that is about one of them is left out, and said to be, as long as the
/// server does not advertise it. About anything else, a flow has to run.
const AWAITED: [&str; 1] = ["registration_endpoint"];

/// Where `tests/run` has laid out what these tests need.
pub(crate) fn laid_out() -> PathBuf {
    required("PORTCULLIS_TEST_CLIENTS").into()
}

/// Notes a version for the end of the run.
pub(crate) fn note_version(program: &str) {
    note(program);
}

/// A flow cannot run, because the server does not advertise what it is about.
///
/// # Panics
///
/// When the server has to.
pub(crate) fn left_out(flow: &str, member: &str) {
    assert!(AWAITED.contains(&member), "{flow} did not run: the server does not advertise {member}");
    note(&format!("not run: {flow}, without {member}"));
}

/// One line for the end of the run; tests that run at once write to the same file.
fn note(line: &str) {
    let mut notes = notes(&laid_out()).expect("the folder can be written to");
    notes.write_all(format!("{line}\n").as_bytes()).expect("the notes can be written");
}

fn notes(folder: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(folder.join("notes"))
}

#[test]
#[should_panic(expected = "the server does not advertise token_endpoint")]
fn a_flow_is_left_out_for_what_is_awaited_and_for_nothing_else() {
    left_out("a flow", "token_endpoint");
}
