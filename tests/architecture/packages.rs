//! Packages point down: `auth-server -> middleware -> policies`.

use std::fs;

use toml::{Table, Value};

use crate::map::PACKAGES;
use crate::source::workspace_root;

/// The manifest of a package of this workspace.
pub(crate) fn manifest(directory: &str) -> Table {
    let path = workspace_root().join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The packages of this workspace that a manifest names, in any table of dependencies, but that the map forbids.
pub(crate) fn forbidden(directory: &str, manifest: &Table) -> Vec<String> {
    let allowed =
        PACKAGES.iter().find(|(name, _)| *name == directory).map_or(&[][..], |(_, allowed)| allowed);
    let mut named = Vec::new();
    dependencies(manifest, &mut named);
    named.retain(|name| name.starts_with("portcullis-") && !allowed.contains(&name.as_str()));
    named
}

/// Dependencies may stand under `target.'cfg(..)'` too, so every table is searched.
fn dependencies(table: &Table, named: &mut Vec<String>) {
    for (key, value) in table {
        let Value::Table(inner) = value else { continue };
        if key.ends_with("dependencies") {
            named.extend(inner.iter().map(|(name, value)| real_name(name, value)));
        } else {
            dependencies(inner, named);
        }
    }
}

fn real_name(name: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned()
}

/// Whether the package takes the lints of the workspace.
pub(crate) fn takes_lints(manifest: &Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool) == Some(true)
}
