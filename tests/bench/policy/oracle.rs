//! Casbin itself, set up as the comments of the default model say.

use std::time::Duration;

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::{CoreApi as _, DefaultModel, Enforcer, MgmtApi as _};
use portcullis_policy::{DEFAULT_MODEL, Snapshot};

use super::workload::{Kind, Question, source};
use crate::cpu;

/// Casbin with a policy, and what it is asked.
pub(super) struct Oracle {
    enforcer: Enforcer,
    /// How many requests of each kind it is asked: fewer, the more rules it goes through for each.
    asked: usize,
    /// What it took to load the policy.
    pub(super) load: Duration,
}

impl Oracle {
    /// Loads the policy of so many rules, and the roles of the requests that it is going to be asked.
    pub(super) async fn load(count: u32, kinds: &[Kind]) -> Self {
        let text = source(count).rules;
        let rows = |start: &str| -> Vec<Vec<String>> {
            let rows = text.lines().filter_map(|line| line.strip_prefix(start));
            rows.map(|row| row.split(", ").map(str::to_owned).collect()).collect()
        };
        let allow = |mut row: Vec<String>| {
            if row.len() == 4 {
                row.push("allow".to_owned());
            }
            row
        };
        let (permissions, links) = (rows("p, ").into_iter().map(allow).collect(), rows("g, "));
        let asked = (100_000 / count as usize).clamp(1, 50);
        let model = DefaultModel::from_str(DEFAULT_MODEL).await.expect("the default model");
        let mut enforcer = Enforcer::new(model, ()).await.expect("an enforcer");
        let before = cpu::of_this_thread();
        enforcer.add_function(
            "keyMatch5",
            OperatorFunction::Arg2(|path, rule| {
                literal_match(&dynamic_to_str(&path), &dynamic_to_str(&rule)).into()
            }),
        );
        let roles = enforcer.get_role_manager();
        roles.write().matching_fn(None, Some(|domain, row| row == "*" || row == domain));
        enforcer.add_policies(permissions).await.expect("rows");
        enforcer.add_grouping_policies(links).await.expect("rows");
        let load = cpu::of_this_thread().saturating_sub(before);
        let mut oracle = Self { enforcer, asked, load };
        let held = oracle.questions(kinds).flat_map(|(name, question)| {
            let roles = question.request().roles;
            roles.iter().map(|role| vec![name.clone(), role.to_owned(), "*".to_owned()]).collect::<Vec<_>>()
        });
        let held = held.collect();
        oracle.enforcer.add_grouping_policies(held).await.expect("rows");
        oracle
    }

    /// What stands for each request, and the request.
    fn questions<'a>(&self, kinds: &'a [Kind]) -> impl Iterator<Item = (String, &'a Question)> {
        let asked = self.asked;
        kinds.iter().enumerate().flat_map(move |(position, kind)| {
            let questions = kind.questions.iter().take(asked).enumerate();
            questions.map(move |(number, question)| (format!("request:{position}:{number}"), question))
        })
    }

    /// CPU nanoseconds of one decision, which has to be the one of the snapshot.
    pub(super) fn nanos_per_decision(&self, kinds: &[Kind], snapshot: &Snapshot) -> f64 {
        let questions: Vec<_> = self.questions(kinds).collect();
        let mut next = questions.iter();
        let count = u32::try_from(questions.len()).expect("a few");
        cpu::micros_per_operation(count, || {
            let (subject, question) = next.next().expect("as many as there are");
            let request = question.request();
            let values = (subject.as_str(), request.domain, request.object, request.action);
            let allowed = self.enforcer.enforce(values).expect("Casbin decides");
            assert_eq!(allowed, snapshot.decide(&request).allowed, "{request:?}");
        }) * 1e3
    }
}

/// A `keyMatch5` in which nothing is special but `{name}` and a final `/*`.
fn literal_match(path: &str, rule: &str) -> bool {
    let (rule, is_open) = rule.strip_suffix("/*").map_or((rule, false), |rule| (rule, true));
    let mut path = path.split('/');
    let fits = |rule: &str| {
        path.next().is_some_and(|path| rule == path || (rule.starts_with('{') && !path.is_empty()))
    };
    rule.split('/').all(fits) && path.next().is_some() == is_open
}
