//! Questions about a policy: why, who, what, and what changes. They change nothing.

use std::str::FromStr;
use std::sync::Arc;

use portcullis_policy::{
    Allowed, Analysis, Difference, Examiner, Explanation, Page, Permissions, Request, Roles, Shown,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::{ApiId, ScheduleId};
use crate::domain::policy::PolicyText;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::fields::FieldErrors;
use crate::services::policies::candidate::{apart, source};
use crate::services::policies::find::{find_active, find_api, find_draft, find_schedule};
use crate::storage::{Store, policies};

/// How many questions are worked on at once. One about a large policy keeps a processor busy for a while.
const PLACES: usize = 2;

/// How many replays are worked on at once. One of a long history takes so long that other questions do not wait for it.
const REPLAYS: usize = 1;

/// The most roles that one caller has in a question.
const MAX_ROLES: usize = 64;

/// Which text a question is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Edition {
    /// The revision in force.
    Active,
    /// The draft.
    Draft,
    /// The revision of this number.
    Revision(u64),
    /// What waits to be put in force.
    Schedule(ScheduleId),
}

/// The text names no edition.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be `active`, `draft`, the number of a revision or a scheduled activation that waits")]
pub(crate) struct UnknownEdition;

impl FromStr for Edition {
    type Err = UnknownEdition;

    fn from_str(raw: &str) -> Result<Self, UnknownEdition> {
        match raw {
            "active" => Ok(Self::Active),
            "draft" => Ok(Self::Draft),
            named => named
                .parse()
                .map(Self::Revision)
                .or_else(|_| named.parse().map(Self::Schedule))
                .map_err(|_| UnknownEdition),
        }
    }
}

/// The text that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    /// The draft, at this version.
    Draft(u64),
    /// The revision of this number.
    Revision(u64),
    /// What waits to be put in force.
    Schedule(ScheduleId),
}

/// An answer, and the text that it is about.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    pub(crate) seen: Seen,
    pub(crate) answer: T,
    /// Roles in the question that no rule names: the answer is right, and seldom what was meant.
    pub(crate) unknown_roles: Vec<String>,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    /// The subject. `None` for one whom no rule names.
    pub(crate) user: Option<String>,
    /// The roles.
    pub(crate) roles: Vec<String>,
    /// The organisation. Empty for one that no rule names.
    pub(crate) domain: String,
    /// What the token shows.
    pub(crate) shown: Shown,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// With what.
    pub(crate) object: String,
    /// What.
    pub(crate) action: String,
}

/// Answers questions about policies.
#[derive(Clone)]
pub(crate) struct QuestionService {
    pub(super) store: Store,
    places: Arc<Semaphore>,
    replays: Arc<Semaphore>,
}

impl QuestionService {
    /// The service over this store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store, places: Arc::new(Semaphore::new(PLACES)), replays: Arc::new(Semaphore::new(REPLAYS)) }
    }

    /// Says why a request is allowed or denied.
    pub(crate) async fn explain(
        &self,
        api: &ApiId,
        edition: Edition,
        asker: Asker,
        deed: Deed,
    ) -> Result<Answered<Explanation>, AdminError> {
        check_roles(&asker)?;
        let (seen, text) = self.text(api, edition).await?;
        let (answer, unknown_roles) = self
            .work(move || {
                let examiner = Examiner::of(source(&text)).map_err(AdminError::Policy)?;
                let request = Request {
                    subject: asker.user.as_deref().unwrap_or(examiner.nobody()),
                    roles: Roles::from(&asker.roles),
                    domain: &asker.domain,
                    object: &deed.object,
                    action: &deed.action,
                };
                let explanation = examiner.explain_with(&request, &asker.shown.assurance());
                let unknown = asker.roles.into_iter().filter(|role| examiner.knows_nothing_of(role));
                Ok((explanation, unknown.collect()))
            })
            .await?;
        Ok(Answered { seen, answer, unknown_roles })
    }

    /// Finds the roles and users that may do something in an organisation.
    pub(crate) async fn who_can(
        &self,
        api: &ApiId,
        edition: Edition,
        (deed, domain): (Deed, String),
        page: Page,
    ) -> Result<Answered<Allowed>, AdminError> {
        let (seen, text) = self.text(api, edition).await?;
        let found = move || Ok(analysis(&text)?.who_can(&deed.object, &deed.action, &domain, page));
        Ok(Answered { seen, answer: self.work(found).await?, unknown_roles: Vec::new() })
    }

    /// Finds the rules that concern somebody.
    pub(crate) async fn what_can(
        &self,
        api: &ApiId,
        edition: Edition,
        asker: Asker,
        page: Page,
    ) -> Result<Answered<Permissions>, AdminError> {
        check_roles(&asker)?;
        if asker.user.is_none() && asker.roles.is_empty() {
            return Err(FieldErrors::of("/roles", "missing", "say who: `roles`, `user` or both").into());
        }
        let (seen, text) = self.text(api, edition).await?;
        let (answer, unknown_roles) = self
            .work(move || {
                let analysis = analysis(&text)?;
                let held = Roles::from(&asker.roles);
                let found = analysis.what_can(asker.user.as_deref(), held, &asker.domain, page);
                Ok((found, unknown(&analysis, asker.roles)))
            })
            .await?;
        Ok(Answered { seen, answer, unknown_roles })
    }

    /// Finds the grants that are gained and lost from one text to another.
    pub(crate) async fn diff(
        &self,
        api: &ApiId,
        from: Edition,
        to: Edition,
    ) -> Result<(Seen, Answered<Difference>), AdminError> {
        let (before, old) = self.text(api, from).await?;
        let (seen, new) = self.text(api, to).await?;
        let answer = self.work(move || Ok(analysis(&old)?.diff(&analysis(&new)?))).await?;
        Ok((before, Answered { seen, answer, unknown_roles: Vec::new() }))
    }

    pub(super) async fn text(&self, api: &ApiId, edition: Edition) -> Result<(Seen, PolicyText), AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        let revision = match edition {
            Edition::Draft => {
                let draft = find_draft(&mut tx, &api).await?;
                return Ok((Seen::Draft(draft.version), draft.text));
            }
            Edition::Active => {
                find_active(&mut tx, &api).await?.ok_or(AdminError::NotFound(Thing::Policy))?
            }
            Edition::Revision(number) => policies::find_revision(&mut tx, &api.id, number)
                .await?
                .ok_or(AdminError::NotFound(Thing::Revision))?,
            Edition::Schedule(id) => {
                let schedule = find_schedule(&mut tx, &api.id, &id).await?;
                // The text of one that ended is gone.
                return match schedule.end {
                    None => Ok((Seen::Schedule(schedule.id), schedule.text)),
                    Some(_) => Err(AdminError::NotFound(Thing::Schedule)),
                };
            }
        };
        Ok((Seen::Revision(revision.number), revision.text))
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| AdminError::Compiler)?;
        Self::work_at(place, work).await
    }

    /// A place among the replays that are worked on. Whoever waits for it holds no texts and no records yet.
    pub(super) async fn replay_place(&self) -> Result<OwnedSemaphorePermit, AdminError> {
        Arc::clone(&self.replays).acquire_owned().await.map_err(|_| AdminError::Compiler)
    }

    /// The same, if one is free.
    pub(super) fn free_replay_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.replays).try_acquire_owned().ok()
    }

    pub(super) async fn work_at<T: Send + 'static>(
        place: OwnedSemaphorePermit,
        work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        apart(move || {
            // Whoever gave up waiting does not free the place: the work goes on.
            let _place = place;
            work()
        })
        .await?
    }
}

pub(super) fn analysis(text: &PolicyText) -> Result<Analysis, AdminError> {
    Analysis::of(source(text)).map_err(AdminError::Policy)
}

fn check_roles(asker: &Asker) -> Result<(), FieldErrors> {
    if asker.roles.len() > MAX_ROLES {
        return Err(FieldErrors::of("/roles", "too-many", format!("has to be at most {MAX_ROLES} roles")));
    }
    Ok(())
}

fn unknown(analysis: &Analysis, mut roles: Vec<String>) -> Vec<String> {
    roles.retain(|role| !analysis.snapshot().roles().any(|known| known == role));
    roles
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Reason};

    use super::*;
    use crate::services::policies::Activation;
    use crate::services::trial::{START, Trial, operator};
    use crate::services::version::Precondition;

    const RULES: &str = "p, viewer, *, orders, read\ng, editor, viewer, acme\np, editor, *, orders, write";

    async fn with_draft(rules: &str) -> (Trial, QuestionService, ApiId) {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let source = PolicySource::with_default_model(rules);
        trial.policies().save_draft(&api, source, &Precondition::Any, &operator()).await.unwrap();
        let questions = QuestionService::new(trial.store.clone());
        (trial, questions, api)
    }

    fn asker(roles: &[&str]) -> Asker {
        Asker { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..Asker::default() }
    }

    fn deed(object: &str, action: &str) -> Deed {
        Deed { object: object.to_owned(), action: action.to_owned() }
    }

    #[test]
    fn an_edition_is_named_by_a_word_or_a_number() {
        assert_eq!("active".parse(), Ok(Edition::Active));
        assert_eq!("draft".parse(), Ok(Edition::Draft));
        assert_eq!("7".parse(), Ok(Edition::Revision(7)));
        let id = "sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        assert_eq!(id.parse(), Ok(Edition::Schedule(ScheduleId::parse(id).unwrap())));
        for wrong in ["", "-1", "newest", "1.5", "Draft"] {
            assert_eq!(wrong.parse::<Edition>(), Err(UnknownEdition), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_same_question_is_answered_for_the_draft_and_for_a_revision() {
        let (_trial, questions, api) = with_draft(RULES).await;
        let ask = async |edition| {
            questions
                .explain(&api, edition, asker(&["viewer", "veiwer"]), deed("orders", "write"))
                .await
                .unwrap()
        };
        let draft = ask(Edition::Draft).await;
        assert_eq!(
            (draft.seen, draft.unknown_roles.as_slice()),
            (Seen::Draft(1), &["veiwer".to_owned()][..])
        );
        assert!(matches!(draft.answer.reason, Reason::NoRule));
        assert_eq!(ask(Edition::Active).await.seen, Seen::Revision(1));
        assert_eq!(ask(Edition::Revision(1)).await.seen, Seen::Revision(1));
    }

    #[tokio::test]
    async fn who_and_what_are_found_and_a_difference_is_told() {
        let (_trial, questions, api) = with_draft(RULES).await;
        let target = (deed("orders", "read"), "acme".to_owned());
        let who = questions.who_can(&api, Edition::Draft, target, Page::FIRST).await.unwrap();
        assert_eq!(who.answer.allowed_total, 2);
        let in_acme = Asker { domain: "acme".to_owned(), ..asker(&["editor"]) };
        let what = questions.what_can(&api, Edition::Draft, in_acme, Page::FIRST).await.unwrap();
        assert_eq!(what.answer.total, 2);
        let (before, same) = questions.diff(&api, Edition::Draft, Edition::Draft).await.unwrap();
        assert_eq!((before, same.seen, same.answer.changes.len()), (Seen::Draft(1), Seen::Draft(1), 0));
        let (_, changed) = questions.diff(&api, Edition::Active, Edition::Draft).await.unwrap();
        assert!(!changed.answer.changes.is_empty());
    }

    #[tokio::test]
    async fn whoever_approves_sees_what_would_change() {
        let (trial, questions, api) = with_draft(RULES).await;
        let policies = trial.policies();
        let activation = Activation { precondition: Precondition::Any, message: "Later".to_owned() };
        let at = START.plus(std::time::Duration::from_hours(1)).rfc3339();
        let id = policies.schedule(&api, activation, &at, &operator()).await.unwrap().id;
        let ask = async || questions.diff(&api, Edition::Active, Edition::Schedule(id.clone())).await;
        let (_, found) = ask().await.unwrap();
        assert_eq!(found.seen, Seen::Schedule(id.clone()));
        assert!(!found.answer.changes.is_empty());
        policies.cancel(&api, &id, &operator()).await.unwrap();
        assert!(matches!(ask().await, Err(AdminError::NotFound(Thing::Schedule))));
    }

    #[tokio::test]
    async fn what_cannot_be_answered_is_refused() {
        let (trial, questions, api) = with_draft("p, viewer").await;
        let broken = questions.diff(&api, Edition::Active, Edition::Draft).await;
        assert!(matches!(broken, Err(AdminError::Policy(report)) if report.has_errors()));
        let missing = questions.diff(&api, Edition::Revision(9), Edition::Draft).await;
        assert!(matches!(missing, Err(AdminError::NotFound(Thing::Revision))));
        let nobody = questions.what_can(&api, Edition::Active, asker(&[]), Page::FIRST).await;
        assert!(matches!(nobody, Err(AdminError::Invalid(_))));
        let many = vec!["viewer"; MAX_ROLES + 1];
        let crowd = questions.explain(&api, Edition::Active, asker(&many), deed("orders", "read")).await;
        assert!(matches!(crowd, Err(AdminError::Invalid(_))));
        trial.apis.delete(&api, &operator()).await.unwrap();
        let gone = questions.diff(&api, Edition::Active, Edition::Active).await;
        assert!(matches!(gone, Err(AdminError::NotFound(Thing::Api))));
    }
}
