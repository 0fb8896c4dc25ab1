//! What the server signs and services fetch.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::Report;
use crate::snapshot::{self, Snapshot};
use crate::source::PolicySource;

/// One revision of the policy of one API: what a signed snapshot carries.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SnapshotDocument {
    /// The API (its audience) whose policy this is.
    pub api: String,
    /// The number of the revision. It only grows.
    pub revision: u64,
    /// See [`PolicySource::model`].
    pub model: String,
    /// See [`PolicySource::rules`].
    pub rules: String,
}

impl SnapshotDocument {
    /// Revision `revision` of the policy of `api`.
    pub fn new(api: impl Into<String>, revision: u64, source: PolicySource) -> Self {
        let PolicySource { model, rules } = source;
        Self { api: api.into(), revision, model, rules }
    }

    /// Compiles the policy. The receiver checks it again: a signature proves who wrote it, not that
    /// this version of the engine can evaluate it.
    pub fn compile(&self) -> Result<Snapshot, Report> {
        self.compile_with(Options::default())
    }

    /// Compiles the policy as [`SnapshotDocument::compile`] does, with options.
    pub fn compile_with(&self, options: Options) -> Result<Snapshot, Report> {
        snapshot::compile_with(&self.model, &self.rules, self.revision, options)
    }
}
