//! What changes from one text of a policy to another, in grants and in lines: for people who decide about it.

use portcullis_policy::{Analysis, Difference};

use crate::domain::ids::ApiId;
use crate::domain::policy::PolicyText;
use crate::services::admin_error::AdminError;
use crate::services::policies::candidate::source;
use crate::services::policies::lines::LineChanges;
use crate::services::policies::questions::{Edition, QuestionService, Seen};

/// What changes from one text to another.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The text that it is compared with.
    pub(crate) from: Seen,
    /// The grants that are gained and lost. `None` where a text does not compile.
    pub(crate) grants: Option<Difference>,
    pub(crate) rules: LineChanges,
    /// Whether one of the two has another model than the default, under which grants are not compared.
    pub(crate) other_model: bool,
    pub(crate) cases: LineChanges,
    pub(crate) model: LineChanges,
}

impl QuestionService {
    /// Compares two texts.
    pub(crate) async fn compare(
        &self,
        api: &ApiId,
        from: Edition,
        to: Edition,
    ) -> Result<Comparison, AdminError> {
        let (from, old) = self.text(api, from).await?;
        let (_, new) = self.text(api, to).await?;
        self.work(move || Ok(compared(from, &old, &new))).await
    }
}

fn compared(from: Seen, old: &PolicyText, new: &PolicyText) -> Comparison {
    let analysis = |text: &PolicyText| Analysis::of(source(text)).ok();
    let grants = analysis(old).zip(analysis(new)).map(|(old, new)| old.diff(&new));
    Comparison {
        from,
        grants,
        other_model: [old, new].into_iter().any(|text| !source(text).has_default_model()),
        rules: LineChanges::between(&old.rules, &new.rules),
        cases: LineChanges::between(&old.cases, &new.cases),
        model: LineChanges::between(&old.model, &new.model),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::*;
    use crate::services::policies::{Activation, Proposal};
    use crate::services::trial::{Trial, operator};
    use crate::services::version::Precondition;

    async fn saved(rules: &str) -> (Trial, ApiId, QuestionService) {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let start = PolicySource::with_default_model("# orders\np, viewer, *, orders, read\n");
        trial.policies().save_draft(&api, start, &Precondition::Any, &operator()).await.unwrap();
        let now = Activation { precondition: Precondition::Any, message: "Start".to_owned() };
        trial.policies().activate(&api, now, &operator()).await.unwrap();
        let draft = Proposal {
            source: PolicySource::with_default_model(rules),
            cases: Some("allow, viewer, *, orders, read\n".to_owned()),
        };
        trial.policies().save_draft(&api, draft, &Precondition::Any, &operator()).await.unwrap();
        let questions = QuestionService::new(trial.store.clone());
        (trial, api, questions)
    }

    #[tokio::test]
    async fn a_change_is_told_in_grants_and_in_lines() {
        let (_trial, api, questions) = saved("# orders\np, viewer, *, orders, write\n").await;
        let found = questions.compare(&api, Edition::Active, Edition::Draft).await.unwrap();
        assert_eq!(found.from, Seen::Revision(2));
        let grants = found.grants.unwrap();
        let gained: Vec<_> =
            grants.changes.iter().map(|change| (change.action.as_str(), change.is_gain())).collect();
        assert!(gained.contains(&("write", true)) && gained.contains(&("read", false)), "{gained:?}");
        assert_eq!(found.rules.hunks.len(), 1);
        assert_eq!(found.cases.hunks[0].lines.len(), 1);
        assert_eq!(found.model, LineChanges::default());
    }

    #[tokio::test]
    async fn a_text_with_mistakes_is_compared_in_lines() {
        let (_trial, api, questions) = saved("p, viewer\n").await;
        let found = questions.compare(&api, Edition::Active, Edition::Draft).await.unwrap();
        assert!(found.grants.is_none() && !found.rules.hunks.is_empty());
    }

    #[tokio::test]
    async fn another_model_is_compared_in_lines_and_it_is_said_why() {
        let (trial, api, questions) = saved("p, viewer, *, orders, read\n").await;
        let found = questions.compare(&api, Edition::Active, Edition::Draft).await.unwrap();
        assert!(found.grants.is_some() && !found.other_model);
        let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\n\
                     e = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub && r.obj == p.obj && r.act == p.act";
        let other = PolicySource { model: model.to_owned(), rules: "p, viewer, orders, read\n".to_owned() };
        trial.policies().save_draft(&api, other, &Precondition::Any, &operator()).await.unwrap();
        let found = questions.compare(&api, Edition::Active, Edition::Draft).await.unwrap();
        assert!(found.grants.is_none() && found.other_model && !found.model.hunks.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_compared() {
        let (_trial, api, questions) = saved("p, viewer, *, orders, read\n").await;
        let refused = questions.compare(&api, Edition::Active, Edition::Revision(9)).await;
        assert!(matches!(refused, Err(AdminError::NotFound(_))));
    }
}
