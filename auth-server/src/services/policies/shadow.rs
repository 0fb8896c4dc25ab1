//! Rules that services try beside those in force: nobody is answered by them, and what they would decide otherwise is told.

use portcullis_policy::{Replayed, Snapshot};
use serde_json::json;
use tokio::sync::mpsc;

use crate::domain::audit::AuditAction;
use crate::domain::decision::DecisionRecord;
use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyShadow, PolicyText};
use crate::domain::secret::Digest32;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::owners::Owners;
use crate::services::policies::PolicyService;
use crate::services::policies::candidate::{apart, source};
use crate::services::policies::find::{find_active, find_api, find_draft};
use crate::services::policies::questions::QuestionService;
use crate::services::policies::replay::{AHEAD, PAGE, replayed};
use crate::services::version::{Precondition, Version};
use crate::storage::{Turn, shadows};

/// What rules on trial would decide otherwise.
#[derive(Debug)]
pub(crate) struct Shadowed {
    /// The rules, and how much there is.
    pub(crate) shadow: PolicyShadow,
    /// Who would be answered otherwise.
    pub(crate) replayed: Replayed,
}

/// A text without its cases: no service gets them.
pub(crate) fn without_cases(text: PolicyText) -> PolicyText {
    PolicyText { cases: String::new(), ..text }
}

impl PolicyService {
    /// Has services try the draft beside the rules in force.
    pub(crate) async fn start_shadow(
        &self,
        api: &ApiId,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<PolicyShadow, AdminError> {
        let draft = self.draft(api).await?;
        if !precondition.holds(&draft.version) {
            return Err(AdminError::Stale);
        }
        let text = without_cases(draft.value.text);
        let compiled = source(&text);
        apart(move || Snapshot::compile(&compiled, 0)).await?.map_err(AdminError::Policy)?;
        let shadow = PolicyShadow {
            api: api.clone(),
            sha256: text.sha256(),
            text,
            started_by: caller.actor.to_string(),
            started_at: caller.now,
            requests: 0,
            decisions: 0,
            lost: 0,
            untried: 0,
        };
        self.put_on_trial(shadow, draft.version, caller).await
    }

    async fn put_on_trial(
        &self,
        shadow: PolicyShadow,
        version: Version,
        caller: &Caller,
    ) -> Result<PolicyShadow, AdminError> {
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &shadow.api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    if Version::number(find_draft(tx, &api).await?.version) != version {
                        return Err(AdminError::Stale);
                    }
                    let active = find_active(tx, &api).await?.ok_or(AdminError::NotFound(Thing::Policy))?;
                    if without_cases(active.text).sha256() == shadow.sha256 {
                        return Err(AdminError::Conflict("the rules of the draft are in force already"));
                    }
                    shadows::start(tx, &shadow).await?;
                    let detail =
                        json!({ "sha256": shadow.sha256.hex(), "replaces": api.shadow.map(|old| old.hex()) });
                    tx.audit(caller.event(AuditAction::PolicyShadowStarted).on(&api.id).with(detail));
                    tx.invalidate();
                    Ok(shadow)
                })
            })
            .await
    }

    /// Has services try nothing any more: neither these rules, nor, unless it is said which, any other.
    pub(crate) async fn stop_shadow(
        &self,
        api: &ApiId,
        tried: Option<&Digest32>,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let (api, tried, caller) = (api.clone(), tried.copied(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    let found = api.shadow.ok_or(AdminError::NotFound(Thing::Shadow))?;
                    if tried.is_some_and(|tried| tried != found) {
                        return Err(AdminError::Stale);
                    }
                    shadows::stop(tx, &api.id).await?;
                    let detail = json!({ "sha256": found.hex() });
                    tx.audit(caller.event(AuditAction::PolicyShadowStopped).on(&api.id).with(detail));
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
    }
}

impl QuestionService {
    /// What the rules on trial would decide otherwise than those in force, and for whom.
    pub(crate) async fn shadowed(&self, api: &ApiId) -> Result<Shadowed, AdminError> {
        let place = self.replay_place().await?;
        let mut tx = self.store().read().await?;
        let found = find_api(&mut tx, api).await?;
        let shadow = shadows::find(&mut tx, &found.id).await?.ok_or(AdminError::NotFound(Thing::Shadow))?;
        let active = find_active(&mut tx, &found).await?.ok_or(AdminError::NotFound(Thing::Policy))?;
        drop(tx);
        let (pages, decided) = mpsc::channel(AHEAD);
        let new = shadow.text.clone();
        let decide = Self::work_at(place, move || replayed(&active.text, &new, decided));
        let (replayed, read) = tokio::join!(decide, self.read_differences(api, pages));
        read?;
        Ok(Shadowed { shadow, replayed: replayed? })
    }

    async fn read_differences(
        &self,
        api: &ApiId,
        pages: mpsc::Sender<Vec<DecisionRecord>>,
    ) -> Result<(), AdminError> {
        let mut place = None;
        loop {
            let mut tx = self.store().read().await?;
            let (records, end) = shadows::page(&mut tx, api, place.as_ref(), PAGE).await?;
            drop(tx);
            place = end;
            // Whoever decides may have given up: it says why.
            if place.is_none() || pages.send(records).await.is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::*;
    use crate::services::policies::Activation;
    use crate::services::trial::{Trial, delegate, operator};

    const RULES: &str = "p, editor, *, orders, write";

    async fn with_draft(trial: &Trial, api: &ApiId, rules: &str) {
        let source = PolicySource::with_default_model(rules);
        trial.policies().save_draft(api, source, &Precondition::Any, &operator()).await.unwrap();
    }

    async fn tried(trial: &Trial, api: &ApiId) -> Option<String> {
        let mut tx = trial.store.read().await.unwrap();
        shadows::find(&mut tx, api).await.unwrap().map(|shadow| shadow.text.rules)
    }

    fn now() -> Activation {
        Activation { precondition: Precondition::Any, message: "Now".to_owned() }
    }

    #[tokio::test]
    async fn the_draft_is_tried_until_it_is_activated_and_another_activation_begins_anew() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        with_draft(&trial, &api, RULES).await;
        trial.policies().start_shadow(&api, &Precondition::Any, &delegate()).await.unwrap();
        with_draft(&trial, &api, "p, viewer, *, orders, read").await;
        assert_eq!(tried(&trial, &api).await.as_deref(), Some(RULES), "a copy is tried");
        trial.policies().activate(&api, now(), &operator()).await.unwrap();
        assert_eq!(tried(&trial, &api).await.as_deref(), Some(RULES), "it is compared with others now");
        with_draft(&trial, &api, RULES).await;
        trial.policies().activate(&api, now(), &operator()).await.unwrap();
        assert_eq!(tried(&trial, &api).await, None, "it is in force");
        assert!(trial.trail().await.contains(&"policy.shadow_started"));
        let again = trial.policies().start_shadow(&api, &Precondition::Any, &operator()).await;
        assert!(matches!(again, Err(AdminError::Conflict(_))), "{again:?}");
    }

    #[tokio::test]
    async fn a_trial_is_stopped_by_its_digest_only_while_nothing_else_is_tried() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let policies = trial.policies();
        with_draft(&trial, &api, RULES).await;
        let first = policies.start_shadow(&api, &Precondition::Any, &operator()).await.unwrap();
        with_draft(&trial, &api, "p, viewer, *, orders, read").await;
        let second = policies.start_shadow(&api, &Precondition::Any, &operator()).await.unwrap();
        let stale = policies.stop_shadow(&api, Some(&first.sha256), &operator()).await;
        assert!(matches!(stale, Err(AdminError::Stale)), "{stale:?}");
        policies.stop_shadow(&api, Some(&second.sha256), &operator()).await.unwrap();
        assert_eq!(tried(&trial, &api).await, None);
    }

    #[tokio::test]
    async fn what_cannot_be_tried_is_refused() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        with_draft(&trial, &api, "p, viewer").await;
        let policies = trial.policies();
        let broken = policies.start_shadow(&api, &Precondition::Any, &operator()).await;
        assert!(matches!(broken, Err(AdminError::Policy(report)) if report.has_errors()));
        let old = Precondition::Matches(vec![Version::number(0)]);
        let stale = policies.start_shadow(&api, &old, &operator()).await;
        assert!(matches!(stale, Err(AdminError::Stale)));
        let nothing = policies.stop_shadow(&api, None, &operator()).await;
        assert!(matches!(nothing, Err(AdminError::NotFound(Thing::Shadow))));
        let questions = QuestionService::new(trial.store.clone());
        assert!(matches!(questions.shadowed(&api).await, Err(AdminError::NotFound(Thing::Shadow))));
        let admin = trial.admin_api().await.id;
        let other = policies.start_shadow(&admin, &Precondition::Any, &delegate()).await;
        assert!(matches!(other, Err(AdminError::OwnersOnly)), "{other:?}");
        assert!(matches!(policies.stop_shadow(&admin, None, &delegate()).await, Err(AdminError::OwnersOnly)));
    }
}
