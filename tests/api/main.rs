//! What the libraries show to those who use them: listed in the repository, so that a change of it is seen in review, and held to
//! what was released.
//!
//! `tests/run` has the compiler describe the libraries, and says here where that lies. A change that is meant is accepted with
//! `PORTCULLIS_ACCEPT_API=1 tests/run api`.

mod listing;
mod release;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::listing::{differences, listing};
use crate::release::{Change, NoRelease, Release, Version};

/// The libraries, and the files in which they are listed.
const LISTED: [(&str, &str); 3] = [
    ("portcullis_guard", "middleware/api.txt"),
    ("portcullis_guard_derive", "middleware/derive/api.txt"),
    ("portcullis_policy", "policies/api.txt"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the suites lie in the repository")
}

/// Where the compiler described the libraries.
fn described() -> PathBuf {
    env::var_os("PORTCULLIS_TEST_API").expect("tests/run sets PORTCULLIS_TEST_API").into()
}

#[test]
fn what_the_libraries_show_is_listed() {
    let accepts = env::var_os("PORTCULLIS_ACCEPT_API").is_some();
    let mut wrong = Vec::new();
    for (library, file) in LISTED {
        let shown = listing(&described().join(format!("{library}.json")));
        let path = repository().join(file);
        if accepts {
            fs::write(path, shown).unwrap();
            continue;
        }
        let listed = fs::read_to_string(path).unwrap_or_default();
        wrong.extend(differences(&listed, &shown).iter().map(|line| format!("{file}: {line}")));
    }
    let told = wrong.join("\n");
    assert!(wrong.is_empty(), "if it is meant: PORTCULLIS_ACCEPT_API=1 tests/run api\n{told}");
}

#[test]
fn what_was_released_goes_on_working_or_the_version_says_so() {
    let note = described().join("release");
    let release = match Release::last(repository()) {
        Ok(release) => release,
        Err(NoRelease(why)) => {
            fs::write(note, format!("api: NOT COMPARED with a release, {why}")).unwrap();
            return;
        }
    };
    // What is tried before its release is held to what it will be.
    let now = env!("CARGO_PKG_VERSION").split('-').next().and_then(Version::parse).unwrap();
    for (library, file) in LISTED {
        let (then, shown) = (release.file(file), listing(&described().join(format!("{library}.json"))));
        let change = Change::between(&then, &shown);
        assert!(
            change.allowed(release.version, now),
            "{library} {now} is not the version to follow {}: {change:#?}",
            release.version
        );
    }
    fs::write(note, format!("api: compared with {}", release.version)).unwrap();
}
