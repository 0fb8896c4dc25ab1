//! The checks of the guard that `tests/mutations` takes out: each is where its list says.

use std::fs;

use serde::Deserialize;

use crate::source::workspace_root;

#[derive(Deserialize)]
struct Listed {
    check: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
struct Edit {
    file: String,
    find: String,
    within: Option<String>,
}

/// What of the list is not found, or more than once.
pub(crate) fn strayed() -> Vec<String> {
    let root = workspace_root();
    let listed = fs::read_to_string(root.join("tests/mutations.toml")).expect("the list is there");
    let listed: Listed = toml::from_str(&listed).expect("the list can be read");
    let mut strayed = Vec::new();
    for Check { name, edits } in listed.check {
        for Edit { file, find, within } in edits {
            let text = fs::read_to_string(root.join("middleware/src").join(&file)).unwrap_or_default();
            let within = within.as_deref().unwrap_or(&find);
            if (text.matches(within).count(), within.matches(find.as_str()).count()) != (1, 1) {
                strayed.push(format!("{name}: {file} does not have this once: {find}"));
            }
        }
    }
    strayed
}
