//! The text of a policy, as people edit it and as a signed snapshot carries it.

use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::snapshot::{self, Snapshot};

/// The default model: roles inherit, deny wins, objects are names or route templates.
pub const DEFAULT_MODEL: &str = include_str!("../models/default.conf");

/// The rules that guard the server's own admin API.
pub const ADMIN_API_RULES: &str = include_str!("../defaults/admin-api.csv");

/// The rules that a new API starts with.
pub const STARTER_RULES: &str = include_str!("../defaults/api.csv");

/// A policy as text: a Casbin model and its rules.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PolicySource {
    /// The model, in Casbin's PERM language. See [`DEFAULT_MODEL`].
    pub model: String,
    /// The rules, one a line: `p, role, domain, object, action[, allow | deny]` or
    /// `g, role, inherited role, domain`.
    pub rules: String,
}

impl PolicySource {
    /// These rules under the [`DEFAULT_MODEL`].
    pub fn with_default_model(rules: impl Into<String>) -> Self {
        Self { model: DEFAULT_MODEL.to_owned(), rules: rules.into() }
    }
}

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
        snapshot::compile(&self.model, &self.rules, self.revision)
    }
}
