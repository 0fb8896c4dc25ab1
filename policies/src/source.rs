//! The text of a policy, and the texts that come with this crate.

use serde::{Deserialize, Serialize};

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
    /// The rules, one a line: `p, role, domain, object, action[, allow[, condition]* | deny]` or
    /// `g, role, inherited role, domain`.
    pub rules: String,
}

impl PolicySource {
    /// These rules under the [`DEFAULT_MODEL`].
    pub fn with_default_model(rules: impl Into<String>) -> Self {
        Self { model: DEFAULT_MODEL.to_owned(), rules: rules.into() }
    }
}
