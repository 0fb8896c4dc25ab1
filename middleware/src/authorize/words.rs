//! What a requirement is called in logs and records.

use std::sync::{Arc, OnceLock};

use super::node::Node;

/// The words of a requirement, written when they are first asked for: refusals under load share them.
#[derive(Clone, Debug)]
pub(super) struct Words(OnceLock<Arc<str>>);

impl Words {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(super) fn of(&self, node: &Node) -> Arc<str> {
        Arc::clone(self.0.get_or_init(|| node.to_string().into()))
    }
}

/// They follow from the rest of a requirement, and make none differ.
impl PartialEq for Words {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Words {}
