//! What is in a requirement, for those who keep to it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use portcullis_policy::Need;

use super::Requirement;
use super::node::{Binding, Node};
use crate::limit::Limit;

impl Requirement {
    pub(crate) const fn request_cost(&self) -> NonZeroU32 {
        self.cost
    }

    pub(crate) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    pub(crate) const fn asks_when_stale(&self) -> bool {
        self.asks_when_stale
    }

    pub(crate) const fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// What a caller has to have.
    pub(crate) fn needed(&self) -> Arc<str> {
        self.words.of(&self.node)
    }

    /// The same, as the server is told it.
    pub(crate) fn need(&self) -> Need {
        self.node.need()
    }

    pub(crate) fn ignores_tokens(&self) -> bool {
        self.node == Node::Public
    }

    pub(crate) fn admits_anonymous(&self) -> bool {
        self.node.admits_anonymous()
    }

    /// What tokens have to be bound to, in any part of it.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let mut bindings = Vec::new();
        self.node.collect_bindings(&mut bindings);
        bindings
    }

    /// The issuers that it names, in any part of it.
    pub(crate) fn issuers(&self) -> Vec<&str> {
        let mut issuers = Vec::new();
        self.node.collect_issuers(&mut issuers);
        issuers
    }

    /// The scopes that it cannot do without, as a challenge names them.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        self.node.collect_scopes(false, &mut scopes);
        scopes
    }

    /// Every type of details that it mentions.
    pub(crate) fn details_mentioned(&self) -> Vec<&str> {
        let mut kinds = Vec::new();
        self.node.collect_details(&mut kinds);
        kinds
    }

    /// Every scope that it mentions.
    pub(crate) fn scopes_mentioned(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        self.node.collect_scopes(true, &mut scopes);
        scopes
    }
}
