//! What may become a revision: a text that compiles, and whose rules decide its cases as the cases say.

use std::sync::Arc;

use portcullis_policy::{Cases, Examiner, Outcome, PolicySource, Report, Snapshot};

use crate::domain::policy::PolicyText;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::policies::known::Stored;

/// The longest text of a model or of rules, in bytes: some ten thousand rules.
pub(super) const MAX_TEXT: usize = 2 * 1024 * 1024;

/// The longest text of cases, in bytes: some five thousand.
pub(super) const MAX_CASES: usize = 256 * 1024;

/// How many failing cases are explained. Explaining one goes through all rules; the rest are counted.
const MAX_EXPLAINED: usize = 50;

/// What somebody wants a policy to say.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Model and rules.
    pub source: PolicySource,
    /// The decisions that the rules must keep. `None` leaves those that the draft has: whoever knows nothing of them
    /// takes none away.
    pub cases: Option<String>,
}

impl From<PolicySource> for Proposal {
    fn from(source: PolicySource) -> Self {
        Self { source, cases: None }
    }
}

impl From<PolicyText> for Proposal {
    fn from(PolicyText { model, rules, cases }: PolicyText) -> Self {
        Self { source: PolicySource { model, rules }, cases: Some(cases) }
    }
}

impl Proposal {
    /// The whole text, with `kept` as its cases if it has none of its own.
    pub(super) fn over(self, kept: String) -> PolicyText {
        let PolicySource { model, rules } = self.source;
        PolicyText { model, rules, cases: self.cases.unwrap_or(kept) }
    }

    /// Refuses what is too long to be looked at.
    pub(super) fn check_size(&self) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        let PolicySource { model, rules } = &self.source;
        let cases = self.cases.as_deref().unwrap_or_default();
        for (pointer, text, most) in
            [("/model", model.as_str(), MAX_TEXT), ("/rules", rules, MAX_TEXT), ("/cases", cases, MAX_CASES)]
        {
            if text.len() > most {
                errors.refuse(pointer, "too-long", format!("must not be longer than {most} bytes"));
            }
        }
        errors.finish(Some(()))
    }

    /// Refuses cases that are none. Rules may be saved with mistakes, because they are not used as they are; cases that
    /// cannot be read would guard nothing.
    pub(super) fn check_cases(&self) -> Result<(), AdminError> {
        let cases = self.cases.as_deref().unwrap_or_default();
        Cases::parse(cases).map(drop).map_err(AdminError::Policy)
    }
}

/// What a check of a text found.
#[derive(Debug)]
pub struct Checked {
    /// What is wrong with model, rules and cases.
    pub report: Report,
    /// What came of the cases. `None` when there are none, or mistakes stand before them.
    pub outcome: Option<Outcome>,
}

impl Checked {
    /// Whether it could be put in force as it is.
    pub fn is_usable(&self) -> bool {
        !self.report.has_errors() && self.outcome.as_ref().is_none_or(|outcome| outcome.failed_total == 0)
    }
}

/// Model and rules as the engine takes them.
pub(crate) fn source(text: &PolicyText) -> PolicySource {
    PolicySource { model: text.model.clone(), rules: text.rules.clone() }
}

/// Looks at everything, by what is known beside it, and refuses nothing.
pub(super) async fn check(text: PolicyText, known: Stored) -> Result<Checked, AdminError> {
    apart(move || look(&text, known)).await?
}

fn look(text: &PolicyText, known: Stored) -> Result<Checked, AdminError> {
    let source = source(text);
    let report = known.lint(&source)?;
    Ok(tested(text, source, report))
}

/// Holds rules to their cases, unless mistakes stand before them.
fn tested(text: &PolicyText, source: PolicySource, mut report: Report) -> Checked {
    let cases = match Cases::parse(&text.cases) {
        Ok(cases) => cases,
        Err(found) => {
            report.findings.extend(found.findings);
            return Checked { report, outcome: None };
        }
    };
    if report.has_errors() || cases.is_empty() {
        return Checked { report, outcome: None };
    }
    match Examiner::of(source) {
        Ok(examiner) => {
            let outcome = examiner.test_within(&cases, MAX_EXPLAINED);
            report.findings.extend(outcome.warnings.findings.iter().cloned());
            Checked { report, outcome: Some(outcome) }
        }
        Err(found) => {
            report.findings.extend(found.errors().cloned());
            Checked { report, outcome: None }
        }
    }
}

/// Compiles a text and holds it to its cases.
pub(super) async fn prepare(text: PolicyText) -> Result<Arc<Snapshot>, AdminError> {
    apart(move || {
        let cases = Cases::parse(&text.cases).map_err(AdminError::Policy)?;
        let source = source(&text);
        if cases.is_empty() {
            return Snapshot::compile(&source, 0).map(Arc::new).map_err(AdminError::Policy);
        }
        let examiner = Examiner::of(source).map_err(AdminError::Policy)?;
        let outcome = examiner.test_within(&cases, MAX_EXPLAINED);
        if outcome.failed_total > 0 {
            return Err(AdminError::Cases(Box::new(outcome)));
        }
        Ok(Arc::new(examiner.into_snapshot()))
    })
    .await?
}

/// Works off the threads that serve requests: a large policy takes tens of milliseconds.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AdminError::Compiler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ApiId;
    use crate::services::policies::Activation;
    use crate::services::trial::{Trial, delegate, operator};
    use crate::services::version::Precondition;

    const READ: &str = "p, viewer, *, orders, read";
    const MAY_READ: &str = "# staff\r\nallow, viewer, acme, orders, read\n";

    fn proposal(rules: &str, cases: &str) -> Proposal {
        Proposal { source: PolicySource::with_default_model(rules), cases: Some(cases.to_owned()) }
    }

    fn now() -> Activation {
        Activation { precondition: Precondition::Any, message: "Change".to_owned() }
    }

    async fn save(trial: &Trial, api: &ApiId, proposal: impl Into<Proposal>) -> Result<String, AdminError> {
        let saved = trial.policies().save_draft(api, proposal, &Precondition::Any, &delegate()).await?;
        Ok(saved.value.text.cases)
    }

    #[tokio::test]
    async fn cases_lie_beside_the_rules_byte_for_byte_and_are_part_of_the_digest() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        save(&trial, &api, proposal(READ, MAY_READ)).await.unwrap();
        let with = trial.policies().activate(&api, now(), &delegate()).await.unwrap();
        assert_eq!(with.text.cases, MAY_READ);
        assert_eq!(trial.policies().revision(&api, with.number).await.unwrap(), with);
        save(&trial, &api, proposal(READ, "")).await.unwrap();
        let without = trial.policies().activate(&api, now(), &delegate()).await.unwrap();
        assert_ne!(with.sha256, without.sha256);
    }

    #[tokio::test]
    async fn whoever_says_nothing_of_cases_takes_none_away() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        save(&trial, &api, proposal(READ, MAY_READ)).await.unwrap();
        let other = PolicySource::with_default_model("p, editor, *, orders, read");
        assert_eq!(save(&trial, &api, other.clone()).await.unwrap(), MAY_READ);
        let checked = trial.policies().validate(&api, other).await.unwrap();
        assert_eq!(checked.outcome.as_ref().map(|outcome| outcome.failed_total), Some(1));
        assert!(!checked.is_usable());
        assert_eq!(save(&trial, &api, proposal(READ, "")).await.unwrap(), "");
    }

    #[tokio::test]
    async fn rules_that_decide_a_case_otherwise_are_not_put_in_force() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let before = trial.policies().active(&api).await.unwrap();
        let cases = format!("{MAY_READ}deny, viewer, acme, orders, delete\n");
        save(&trial, &api, proposal("p, viewer, *, orders, delete", &cases)).await.unwrap();
        let trail = trial.trail().await;
        let refused = trial.policies().activate(&api, now(), &operator()).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "2 of 2 cases are decided otherwise than they say, in lines 2, 3",
            "{refused:?}"
        );
        assert_eq!(trial.policies().active(&api).await.unwrap(), before);
        assert_eq!(trial.trail().await, trail);
        save(&trial, &api, proposal("p, viewer, *, orders, write", &cases)).await.unwrap();
        let one = trial.policies().activate(&api, now(), &operator()).await.unwrap_err();
        assert_eq!(one.to_string(), "1 of 2 cases is decided otherwise than it says, in line 2");
    }

    /// What was in force may stand against its cases later: a newer engine, or a database that somebody wrote to.
    #[tokio::test]
    async fn a_rollback_runs_the_cases_of_the_revision_that_comes_back() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await;
        let text = proposal("p, other, *, orders, read", MAY_READ).over(String::new());
        let wrong = crate::domain::policy::PolicyRevision {
            api: api.id.clone(),
            number: 2,
            sha256: text.sha256(),
            text,
            author: "operator".to_owned(),
            message: "Wrong".to_owned(),
            created_at: api.created_at,
        };
        let added: Result<(), AdminError> = trial
            .store
            .write(move |tx| {
                Box::pin(async move { Ok(crate::storage::policies::insert_revision(tx, &wrong).await?) })
            })
            .await;
        added.unwrap();
        let refused = trial.policies().rollback(&api.id, 2, "Back", &operator()).await;
        assert!(matches!(refused, Err(AdminError::Cases(_))), "{refused:?}");
        assert_eq!(trial.policies().active(&api.id).await.unwrap().number, 1);
    }

    #[tokio::test]
    async fn cases_that_cannot_be_read_are_refused_at_their_place_and_nothing_is_saved() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let bad = proposal(READ, "allow, viewer, acme, orders, read\nalow, viewer, acme, orders, read");
        let checked = trial.policies().validate(&api, bad.clone()).await.unwrap();
        let Err(AdminError::Policy(report)) = save(&trial, &api, bad).await else { panic!("it was saved") };
        for finding in [&report.findings[0], &checked.report.findings[0]] {
            assert_eq!((finding.line, finding.column, finding.code), (2, 1, "unknown-decision"));
        }
        assert!(!checked.is_usable() && checked.outcome.is_none());
        assert_eq!(trial.policies().draft(&api).await.unwrap().value.version, 0);
        let long = proposal(READ, &"#".repeat(MAX_CASES + 1));
        assert!(matches!(save(&trial, &api, long).await, Err(AdminError::Invalid(_))));
    }

    #[tokio::test]
    async fn cases_are_run_under_any_model() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let model = "[request_definition]\nr = sub, obj\n[policy_definition]\np = sub, obj\n\
                     [policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && r.obj == p.obj";
        let source = PolicySource { model: model.to_owned(), rules: "p, ada, orders".to_owned() };
        let with = |cases: &str| Proposal { source: source.clone(), cases: Some(cases.to_owned()) };
        let (kept, broken) =
            ("allow, ada, *, orders, read", "deny, ada, *, orders, read\nallow, bob, *, orders, read");
        for good in ["# none", kept] {
            assert!(trial.policies().validate(&api, with(good)).await.unwrap().is_usable(), "{good}");
        }
        let checked = trial.policies().validate(&api, with(broken)).await.unwrap();
        let failed: Vec<_> =
            checked.outcome.unwrap().failed.iter().map(|failed| failed.explanation.to_string()).collect();
        assert!(failed[0].starts_with("allowed by line 1\n"), "{failed:?}");
        assert!(failed[1].starts_with("denied: no single rule decides it\n"), "{failed:?}");
        save(&trial, &api, with(broken)).await.unwrap();
        let refused = trial.policies().activate(&api, now(), &operator()).await;
        assert!(matches!(refused, Err(AdminError::Cases(_))), "{refused:?}");
        save(&trial, &api, with(kept)).await.unwrap();
        trial.policies().activate(&api, now(), &operator()).await.unwrap();
    }
}
