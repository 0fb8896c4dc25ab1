//! Who may change a policy alone.

use crate::report::{Finding, Place, quoted};
use crate::request::{Request, Roles};
use crate::snapshot::Snapshot;

/// Nobody: what is asked is what a role gives.
const NOBODY: &str = "-";

/// What it takes to change rules, where rules say who may: whoever may do all of `actions` with `object`.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    /// What stands for the rules.
    pub object: &'a str,
    /// All that has to be done with them, from writing them to putting them in force.
    pub actions: &'a [&'a str],
    /// Roles that are meant to do it alone.
    pub meant_for: &'a [&'a str],
}

impl Control<'_> {
    /// A warning for each other role that may do it all. Whoever holds it writes the rules by which it is judged.
    ///
    /// ```
    /// use portcullis_policy::{Control, PolicySource, Snapshot};
    ///
    /// let source = PolicySource::with_default_model("p, editor, *, policies, *\np, viewer, *, policies, read");
    /// let control = Control { object: "policies", actions: &["update", "activate"], meant_for: &[] };
    /// let found = control.check(&Snapshot::compile(&source, 1)?);
    /// assert_eq!((found.len(), found[0].code, found[0].line), (1, "edits-own-policy", 1));
    /// # Ok::<(), portcullis_policy::Report>(())
    /// ```
    pub fn check(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let roles = snapshot.roles().filter(|role| !self.meant_for.contains(role));
        roles.filter_map(|role| self.finding(role, snapshot)).collect()
    }

    fn finding(&self, role: &str, snapshot: &Snapshot) -> Option<Finding> {
        let held = [role];
        let mut line = 1;
        for action in self.actions {
            let (roles, object) = (Roles::from(&held), self.object);
            let decision = snapshot.decide(&Request { subject: NOBODY, roles, domain: "", object, action });
            // Whoever can meet a condition may do it too.
            if !decision.allowed && snapshot.wanting(decision).is_none() {
                return None;
            }
            line = decision.rule.map_or(line, |rule| rule.line);
        }
        let (role, actions) = (quoted(role), self.actions.join(" and "));
        let message = format!("{role} alone may {actions} rules, those that give it more among them");
        Some(Finding::warning(Place::rules(line, 1), "edits-own-policy", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{ADMIN_API_RULES, PolicySource};

    fn found(rules: &str) -> Vec<(u32, String)> {
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1).unwrap();
        let control = Control { object: "policies", actions: &["update", "activate"], meant_for: &["owner"] };
        control.check(&snapshot).into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    #[test]
    fn the_admin_rules_give_it_to_owners_only() {
        assert_eq!(found(ADMIN_API_RULES), []);
    }

    #[test]
    fn whoever_may_do_all_of_it_is_named_however_they_come_by_it() {
        let rules = "p, writer, *, policies, update\n\
                     p, approver, *, policies, activate\n\
                     g, chief, writer, *\n\
                     g, chief, approver, *\n\
                     p, boss, *, *, *\n\
                     p, stopped, *, policies, *\n\
                     p, stopped, *, policies, activate, deny\n\
                     p, local, acme, policies, *\n\
                     p, careful, *, policies, *, allow, acr=phrh";
        let said = |role: &str| {
            format!("`{role}` alone may update and activate rules, those that give it more among them")
        };
        let mut all = found(rules);
        all.sort();
        assert_eq!(all, [(2, said("chief")), (5, said("boss")), (9, said("careful"))]);
    }
}
