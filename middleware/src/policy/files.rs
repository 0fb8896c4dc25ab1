//! A policy in a folder.

use std::path::{Path, PathBuf};

use portcullis_policy::{DEFAULT_MODEL, Options, PolicySource, Report, Snapshot};

const MODEL: &str = "model.conf";
const RULES: &str = "policy.csv";

/// Why a policy could not be read from its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The policy has errors.
    #[error("the policy in {folder} has errors:\n{report}")]
    Invalid {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong with it.
        report: Report,
    },
    /// A file cannot be read.
    #[error("{file}: {cause}")]
    Io {
        /// Which one.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// Reads and compiles the policy of a folder. Without a model of its own it has the default one.
pub(crate) fn read(folder: &Path, revision: u64, options: Options) -> Result<Snapshot, FilesError> {
    let model = match text(folder.join(MODEL)) {
        Err(FilesError::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
            DEFAULT_MODEL.to_owned()
        }
        other => other?,
    };
    let source = PolicySource { model, rules: text(folder.join(RULES))? };
    Snapshot::compile_with(&source, revision, options)
        .map_err(|report| FilesError::Invalid { folder: folder.to_owned(), report })
}

fn text(file: PathBuf) -> Result<String, FilesError> {
    std::fs::read_to_string(&file).map_err(|cause| FilesError::Io { file, cause })
}
