//! What roles of the admin API permit.

use std::fmt;

use portcullis_policy::{Decision, Request, Roles, Snapshot};

use crate::domain::rbac::RoleName;

/// Something that can be done in the admin API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Permission {
    /// What it is done with.
    pub(crate) object: &'static str,
    /// What is done.
    pub(crate) action: &'static str,
}

impl fmt::Display for Permission {
    /// As a guard writes the requirement of a route.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "rbac({}, {})", self.object, self.action)
    }
}

/// What it takes to put a policy in force.
pub(crate) const ACTIVATE_POLICIES: Permission = Permission { object: "policies", action: "activate" };

/// What it takes to change a policy: write it, and put it in force.
pub(crate) const EDIT_POLICIES: [Permission; 2] =
    [Permission { object: "policies", action: "update" }, ACTIVATE_POLICIES];

impl Permission {
    /// Whether `snapshot`, the policy of the admin API, gives this permission to somebody with these roles, however they signed in.
    pub(crate) fn is_given(self, snapshot: &Snapshot, roles: &[RoleName]) -> bool {
        self.decide(snapshot, roles).allowed
    }

    /// Whether it gives it to somebody with these roles who meets what a rule asks of the sign-in.
    pub(crate) fn may_be_given(self, snapshot: &Snapshot, roles: &[RoleName]) -> bool {
        let decision = self.decide(snapshot, roles);
        decision.allowed || snapshot.wanting(decision).is_some()
    }

    fn decide(self, snapshot: &Snapshot, roles: &[RoleName]) -> Decision {
        let roles: Vec<&str> = roles.iter().map(RoleName::as_str).collect();
        let request = Request {
            // A subject of tokens has 26 characters, so this is nobody in particular.
            subject: "somebody",
            roles: Roles::Borrowed(&roles),
            domain: "",
            object: self.object,
            action: self.action,
        };
        snapshot.decide(&request)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{ADMIN_API_RULES, PolicySource};

    use super::*;

    fn roles(names: &[&str]) -> Vec<RoleName> {
        names.iter().map(|name| RoleName::parse(name).unwrap()).collect()
    }

    #[test]
    fn the_built_in_roles_permit_what_their_names_say() {
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(ADMIN_API_RULES), 1).unwrap();
        let [update, activate] = EDIT_POLICIES;
        assert!(update.is_given(&snapshot, &roles(&["owner"])));
        assert!(activate.is_given(&snapshot, &roles(&["owner"])));
        assert!(!activate.is_given(&snapshot, &roles(&["auditor", "user-admin"])));
        assert!(!update.is_given(&snapshot, &[]));
    }

    #[test]
    fn what_is_only_wanting_a_condition_may_be_given() {
        let rules =
            "p, careful, *, policies, activate, allow, acr=phr\np, stopped, *, policies, activate, deny";
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1).unwrap();
        let [update, activate] = EDIT_POLICIES;
        let careful = roles(&["careful"]);
        assert!(activate.may_be_given(&snapshot, &careful) && !activate.is_given(&snapshot, &careful));
        assert!(!update.may_be_given(&snapshot, &careful));
        assert!(!activate.may_be_given(&snapshot, &roles(&["careful", "stopped"])));
    }
}
