//! What stands before a route.

use crate::authorize::Requirement;
use crate::limit::Passage;

/// What a route requires, and what limits it.
pub(crate) struct Gate {
    pub(crate) requirement: Requirement,
    pub(crate) passage: Passage,
}
