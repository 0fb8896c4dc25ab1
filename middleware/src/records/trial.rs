//! Rules that are tried on what was decided, behind everybody's back: no request waits for them.

use std::time::Duration;

use portcullis_policy::{Request, Roles, Snapshot, Terms};

use super::table::Tuple;

/// Rules that answer nobody.
pub(crate) struct OnTrial {
    /// What the server calls them.
    pub(crate) name: String,
    snapshot: Snapshot,
    /// Whether it is not to be told who asked.
    pseudonymous: bool,
}

/// What came of trying rules.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// What they would decide otherwise.
    pub(crate) differences: Vec<Tuple>,
    /// How many of the requests they were tried on.
    pub(crate) requests: usize,
    /// How many decisions there was no time for.
    pub(crate) skipped: u64,
}

/// How long may be tried, and by which clock.
pub(crate) struct Budget<C> {
    pub(crate) time: Duration,
    pub(crate) clock: C,
}

impl OnTrial {
    pub(crate) const fn new(name: String, snapshot: Snapshot, pseudonymous: bool) -> Self {
        Self { name, snapshot, pseudonymous }
    }

    /// Tries these rules on what those in force decided, from the place `first` on and around, until the time is up. One request
    /// is always tried.
    pub(crate) fn try_on(
        &self,
        in_force: &Snapshot,
        (decided, first): (&[Tuple], usize),
        budget: &Budget<impl Fn() -> Duration>,
    ) -> Tried {
        let mut tried = Tried::default();
        let begun = (budget.clock)();
        let (behind, ahead) = decided.split_at(first.checked_rem(decided.len()).unwrap_or_default());
        for tuple in ahead.iter().chain(behind) {
            if tried.requests > 0 && (budget.clock)().saturating_sub(begun) >= budget.time {
                tried.skipped += tuple.count;
                continue;
            }
            tried.requests += 1;
            if self.differs(in_force, tuple) {
                tried.differences.push(tuple.clone());
            }
        }
        tried
    }

    /// Whether these rules would decide it otherwise than it was.
    ///
    /// Under pseudonyms both decide it for somebody whom no rule names: whoever puts a rule for one user on trial would
    /// otherwise be told that user's pseudonym, and with it everything else that is recorded of them.
    ///
    /// What was shown of a sign-in is not kept. So where a rule with a condition has a part in it, here or there, the question
    /// is whether both ask for the same.
    fn differs(&self, in_force: &Snapshot, tuple: &Tuple) -> bool {
        let roles: Vec<&str> = tuple.roles.iter().map(AsRef::as_ref).collect();
        let request = Request {
            subject: &tuple.subject,
            roles: Roles::from(&*roles),
            domain: &tuple.domain,
            object: &tuple.object,
            action: &tuple.action,
        };
        if self.pseudonymous {
            let nobody = Request { subject: &self.name, ..request };
            return self.snapshot.terms(&nobody) != in_force.terms(&nobody);
        }
        match (self.snapshot.terms(&request), in_force.terms(&request)) {
            (tried, known @ Terms::If(_)) | (tried @ Terms::If(_), known) => tried != known,
            (tried, _) => (tried == Terms::Always) != tuple.allowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use portcullis_policy::PolicySource;

    use super::*;

    fn snapshot(rules: &str) -> Snapshot {
        Snapshot::compile(&PolicySource::with_default_model(rules), 3).unwrap()
    }

    /// What `in_force` decided when `subject`, a viewer, did this with orders.
    fn decided(in_force: &Snapshot, subject: &str, action: &str) -> Tuple {
        let roles = Roles::from(&["viewer"]);
        let decision = in_force.decide(&Request { subject, roles, domain: "", object: "orders", action });
        Tuple {
            subject: subject.into(),
            roles: Box::new(["viewer".into()]),
            domain: "".into(),
            object: "orders".into(),
            action: action.into(),
            allowed: decision.allowed,
            revision: decision.revision,
            count: 3,
        }
    }

    fn actions(tuples: &[Tuple]) -> Vec<&str> {
        tuples.iter().map(|tuple| &*tuple.action).collect()
    }

    const ENDLESS: Budget<fn() -> Duration> = Budget { time: Duration::MAX, clock: || Duration::ZERO };

    /// What is told when `subject`, a viewer, does all of these with orders.
    fn told(pseudonymous: bool, in_force: &str, on_trial: &str, subject: &str) -> Vec<String> {
        let in_force = snapshot(in_force);
        let trial = OnTrial::new("5f".repeat(32), snapshot(on_trial), pseudonymous);
        let all = ["read", "refund", "write"].map(|action| decided(&in_force, subject, action));
        let tried = trial.try_on(&in_force, (&all, 0), &ENDLESS);
        assert_eq!((tried.requests, tried.skipped), (3, 0));
        actions(&tried.differences).into_iter().map(str::to_owned).collect()
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
    fn a_condition_that_comes_goes_or_changes_is_told_and_the_same_one_is_not() {
        let (plain, asking) =
            ("p, viewer, *, orders, read", "p, viewer, *, orders, read, allow, acr=phr, max_age=60");
        let same = "# moved\np, viewer, *, orders, read, allow, max_age=60, acr=phr";
        for pseudonymous in [false, true] {
            for (in_force, on_trial) in [(plain, asking), (asking, plain), (asking, ""), ("", asking)] {
                assert_eq!(told(pseudonymous, in_force, on_trial, "alice"), ["read"], "{on_trial}");
            }
            assert!(told(pseudonymous, asking, same, "alice").is_empty());
            assert_eq!(told(pseudonymous, asking, &format!("{same}, dpop"), "alice"), ["read"]);
        }
        // It was met once, which says nothing of the next time.
        let in_force = snapshot(asking);
        let trial = OnTrial::new(String::new(), snapshot(same), false);
        let met = Tuple { allowed: true, ..decided(&in_force, "alice", "read") };
        assert!(trial.try_on(&in_force, (&[met], 0), &ENDLESS).differences.is_empty());
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

    #[test]
    fn what_there_is_no_time_for_is_counted_and_has_its_turn() {
        let in_force = snapshot("p, viewer, *, orders, *");
        let trial = OnTrial::new("5f".repeat(32), snapshot("p, editor, *, orders, *"), false);
        let all = ["a", "b", "c", "d", "e"].map(|action| decided(&in_force, "alice", action));
        let time = Cell::new(Duration::ZERO);
        // Every look at the clock takes a second.
        let clock = || time.replace(time.get() + Duration::from_secs(1));
        let (mut first, mut turns) = (0, Vec::new());
        for _ in 0..3 {
            let budget = Budget { time: Duration::from_secs(2), clock };
            let tried = trial.try_on(&in_force, (&all, first), &budget);
            assert_eq!((tried.requests, tried.skipped), (2, 9));
            first += tried.requests;
            turns.push(actions(&tried.differences).concat());
        }
        assert_eq!(turns, ["ab", "cd", "ea"]);
        let none = Budget { time: Duration::ZERO, clock };
        assert_eq!(trial.try_on(&in_force, (&all, 0), &none).requests, 1);
        assert_eq!(trial.try_on(&in_force, (&[], 7), &none).requests, 0);
    }
}
