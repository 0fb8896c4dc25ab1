//! Rules that are tried beside those in force.

use portcullis_policy::{Decision, Request, Snapshot};

use super::Table;

/// Rules that answer nobody.
pub(crate) struct OnTrial {
    /// What the server calls them.
    pub(crate) name: String,
    snapshot: Snapshot,
    /// What they would decide otherwise.
    pub(crate) differences: Table,
}

impl OnTrial {
    pub(crate) fn new(name: String, snapshot: Snapshot) -> Self {
        Self { name, snapshot, differences: Table::new() }
    }

    /// Notes the request if these rules would decide it otherwise.
    pub(crate) fn compare(&self, request: &Request<'_>, decision: Decision) {
        if self.snapshot.decide(request).allowed != decision.allowed {
            self.differences.note(request, decision);
        }
    }
}
