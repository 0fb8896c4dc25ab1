//! Where the programs are, and what of them took part.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use portcullis_tests::database::required;

/// Where `tests/run` has laid out what these tests need.
pub(crate) fn laid_out() -> PathBuf {
    required("PORTCULLIS_TEST_CLIENTS").into()
}

/// Notes a version for the end of the run.
pub(crate) fn note_version(program: &str) {
    note(program);
}

/// One line for the end of the run; tests that run at once write to the same file.
fn note(line: &str) {
    let mut notes = notes(&laid_out()).expect("the folder can be written to");
    notes.write_all(format!("{line}\n").as_bytes()).expect("the notes can be written");
}

fn notes(folder: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(folder.join("notes"))
}
