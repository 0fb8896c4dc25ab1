//! Test data made by others, which lies beside the repository.

use std::path::{Path, PathBuf};

/// The folder of the data. A test without it has checked nothing and says so; where `PORTCULLIS_VECTORS` names it, as it does in
/// `tests/run`, it has to be there.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PORTCULLIS_VECTORS") {
        let folder = Path::new(&named).join(name);
        assert!(folder.exists(), "PORTCULLIS_VECTORS has no {name}");
        return Some(folder);
    }
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let beside = |at: &Path| at.join("shared/vectors").join(name);
    let found = Path::new(&package).ancestors().map(beside).find(|folder| folder.exists());
    if found.is_none() {
        println!("NOT CHECKED: there is no shared/vectors/{name} beside the repository");
    }
    found
}

/// A JSON document of the data.
pub(crate) fn document(name: &str) -> Option<serde_json::Value> {
    folder(name).map(|file| read(&file))
}

pub(crate) fn read(file: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
