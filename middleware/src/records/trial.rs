//! Rules that are tried beside those in force.

use portcullis_policy::{Decision, Request, Snapshot};

use super::Table;

/// Rules that answer nobody.
pub(crate) struct OnTrial {
    /// What the server calls them.
    pub(crate) name: String,
    snapshot: Snapshot,
    /// Whether it is not to be told who asked.
    pseudonymous: bool,
    /// What they would decide otherwise.
    pub(crate) differences: Table,
}

impl OnTrial {
    pub(crate) fn new(name: String, snapshot: Snapshot, pseudonymous: bool) -> Self {
        Self { name, snapshot, pseudonymous, differences: Table::new() }
    }

    /// Notes the request if these rules would decide it otherwise than those in force, which decided it as `decision`.
    ///
    /// Under pseudonyms both decide it for somebody whom no rule names: whoever puts a rule for one user on trial would
    /// otherwise be told that user's pseudonym, and with it everything else that is recorded of them.
    pub(crate) fn compare(&self, in_force: &Snapshot, request: &Request<'_>, decision: Decision) {
        let (tried, decision) = if self.pseudonymous {
            let nobody = Request { subject: &self.name, ..*request };
            (self.snapshot.decide(&nobody), in_force.decide(&nobody))
        } else {
            (self.snapshot.decide(request), decision)
        };
        if tried.allowed != decision.allowed {
            self.differences.note(request, decision);
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Roles};

    use super::*;

    fn snapshot(rules: &str) -> Snapshot {
        Snapshot::compile(&PolicySource::with_default_model(rules), 3).unwrap()
    }

    /// Who is told when `subject`, a viewer, does all of these with orders.
    fn told(pseudonymous: bool, in_force: &str, on_trial: &str, subject: &str) -> Vec<String> {
        let in_force = snapshot(in_force);
        let trial = OnTrial::new("5f".repeat(32), snapshot(on_trial), pseudonymous);
        for action in ["read", "refund", "write"] {
            let roles = Roles::from(&["viewer"]);
            let request = Request { subject, roles, domain: "", object: "orders", action };
            trial.compare(&in_force, &request, in_force.decide(&request));
        }
        let mut told: Vec<String> =
            trial.differences.take().tuples.iter().map(|tuple| tuple.action.to_string()).collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn what_rules_on_trial_decide_otherwise_is_told() {
        let of_role = "p, viewer, *, orders, read\np, viewer, *, orders, refund";
        assert_eq!(told(false, "p, viewer, *, orders, read", of_role, "alice"), ["refund"]);
        let of_user = "p, viewer, *, orders, read\np, user:alice, *, orders, write";
        assert_eq!(told(false, "p, viewer, *, orders, read", of_user, "alice"), ["write"]);
        assert!(told(false, "p, viewer, *, orders, read", of_user, "bob").is_empty());
    }

    #[test]
    fn under_pseudonyms_no_rule_tells_who_a_user_is() {
        let (plain, named) =
            ("p, viewer, *, orders, read", "p, viewer, *, orders, read\np, user:alice, *, orders, write");
        for (in_force, on_trial) in [(plain, named), (named, plain)] {
            assert!(told(true, in_force, on_trial, "alice").is_empty(), "{on_trial}");
        }
        let denied = "p, viewer, *, orders, read\np, user:alice, *, orders, read, deny";
        assert!(told(true, plain, denied, "alice").is_empty());
        for subject in ["alice", "bob"] {
            assert_eq!(told(true, plain, "p, viewer, *, orders, write", subject), ["read", "write"]);
        }
    }
}
