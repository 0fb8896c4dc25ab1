//! Policies: one draft per API that changes, revisions that do not, and the pointer to the one in force.

mod approval;
pub(crate) mod candidate;
pub(crate) mod compare;
pub(crate) mod decide;
mod find;
pub(crate) mod inventory;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod notes;
pub(crate) mod publish;
pub(crate) mod questions;
pub(crate) mod records;
pub(crate) mod replay;
pub(crate) mod route_report;
pub(crate) mod schedule;
pub(crate) mod search;
pub(crate) mod shadow;
pub(crate) mod snapshot;

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyDraft, PolicyRevision};
use crate::domain::secret::Entropy;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::fields::{FieldErrors, display_name};
use crate::services::owners::Owners;
use crate::services::paging::{Page, PageQuery};
use crate::services::policies::approval::require_second_person;
pub use crate::services::policies::candidate::{Checked, Proposal};
use crate::services::policies::candidate::{check, prepare};
use crate::services::policies::find::{find_active, find_api, find_draft};
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::publish::{Publication, publish, require_change};
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Store, Turn, policies};

/// The longest message of a revision, in characters.
const MAX_MESSAGE: usize = 500;

/// The page with a way to the rules of each API, below the issuer.
pub(crate) const RULES_PATH: &str = "/admin/policies";

/// The page on which the rules of an API are edited, below the issuer.
pub(crate) fn rules_path(api: &ApiId) -> String {
    format!("{RULES_PATH}/{api}")
}

/// The page on which activations of an API are put off, approved and taken back, below the issuer.
pub(crate) fn activation_path(api: &ApiId) -> String {
    format!("{}/activation", rules_path(api))
}

/// The page of the revisions of an API, below the issuer.
pub(crate) fn history_path(api: &ApiId) -> String {
    format!("{}/history", rules_path(api))
}

/// The page on which the draft of an API is tried, below the issuer.
pub(crate) fn trial_path(api: &ApiId) -> String {
    format!("{}/try", rules_path(api))
}

/// The page of what services told of their routes, below the issuer.
pub(crate) fn routes_path(api: &ApiId) -> String {
    format!("{}/routes", rules_path(api))
}

/// Why and from what state a draft is activated.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The versions of the draft that the author saw.
    pub precondition: Precondition,
    /// Why: it is shown in the history.
    pub message: String,
}

/// Which older revision is brought back, over which one, and why.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// The older revision.
    pub number: u64,
    /// The revision that has to be in force still. `None` for whoever looked at none.
    pub over: Option<u64>,
    /// Why: it is shown in the history.
    pub message: String,
}

/// Writes drafts, checks them and puts them in force.
#[derive(Clone)]
pub struct PolicyService {
    store: Store,
    entropy: Entropy,
    owners: Owners,
    live: AdminPolicy,
}

impl PolicyService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, entropy: Entropy, owners: Owners, live: AdminPolicy) -> Self {
        Self { store, entropy, owners, live }
    }

    /// The draft of an API. Until somebody saves one it is the active revision, at version 0.
    pub async fn draft(&self, api: &ApiId) -> Result<Versioned<PolicyDraft>, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        find_draft(&mut tx, &api).await.map(versioned)
    }

    /// Saves the draft. Its rules may hold mistakes: they stop the activation, not the work. Its cases may not.
    pub async fn save_draft(
        &self,
        api: &ApiId,
        proposal: impl Into<Proposal>,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<PolicyDraft>, AdminError> {
        let proposal = proposal.into();
        proposal.check_size()?;
        proposal.check_cases()?;
        let (api, precondition, caller) = (api.clone(), precondition.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    let before = find_draft(tx, &api).await?;
                    if !precondition.holds(&Version::number(before.version)) {
                        return Err(AdminError::Stale);
                    }
                    let after = PolicyDraft {
                        api: api.id,
                        text: proposal.over(before.text.cases),
                        version: before.version.saturating_add(1),
                        updated_by: caller.actor.to_string(),
                        updated_at: caller.now,
                    };
                    if !policies::save_draft(tx, &after).await? {
                        return Err(AdminError::Stale);
                    }
                    let detail = json!({ "version": after.version });
                    tx.audit(caller.event(AuditAction::PolicyDraftSaved).on(&after.api).with(detail));
                    Ok(versioned(after))
                })
            })
            .await
    }

    /// Checks a policy, and holds it to its cases, without saving it.
    pub async fn validate(&self, api: &ApiId, proposal: impl Into<Proposal>) -> Result<Checked, AdminError> {
        let proposal = proposal.into();
        proposal.check_size()?;
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        let kept = match proposal.cases {
            Some(_) => String::new(),
            None => find_draft(&mut tx, &api).await?.text.cases,
        };
        drop(tx);
        check(proposal.over(kept)).await
    }

    /// Makes the draft the next revision and puts it in force, unless that would change nothing: a revision that says what
    /// the one before says tells whoever reads the history of a change that there was none. A restored one may: it is about
    /// the decision to go back.
    pub async fn activate(
        &self,
        api: &ApiId,
        activation: Activation,
        caller: &Caller,
    ) -> Result<PolicyRevision, AdminError> {
        let mut tx = self.store.read().await?;
        let found = find_api(&mut tx, api).await?;
        let draft = find_draft(&mut tx, &found).await?;
        drop(tx);
        if !activation.precondition.holds(&Version::number(draft.version)) {
            return Err(AdminError::Stale);
        }
        let publication = Publication {
            message: message(&activation.message)?,
            draft_version: Some(draft.version),
            restores: None,
            over: None,
            text: draft.text,
            put_off: None,
        };
        self.put_in_force(api, publication, caller).await
    }

    /// The revision in force.
    pub async fn active(&self, api: &ApiId) -> Result<PolicyRevision, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        find_active(&mut tx, &api).await?.ok_or(AdminError::NotFound(Thing::Policy))
    }

    /// The revisions of an API, newest first.
    pub async fn history(&self, api: &ApiId, query: &PageQuery) -> Result<Page<PolicyRevision>, AdminError> {
        let before =
            query.after().map(str::parse::<u64>).transpose().map_err(|_| {
                FieldErrors::of("/after", "invalid", "has to be the `next` of the page before")
            })?;
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        let found = policies::list_revisions(&mut tx, &api.id, before, query.probe()).await?;
        Ok(Page::of(found, query, |revision| revision.number.to_string()))
    }

    /// One revision.
    pub async fn revision(&self, api: &ApiId, number: u64) -> Result<PolicyRevision, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        policies::find_revision(&mut tx, &api.id, number).await?.ok_or(AdminError::NotFound(Thing::Revision))
    }

    /// Puts the content of an older revision in force again, as a new revision. One person may do it where an activation takes
    /// two: what was in force before is better known than what broke, and whoever has to undo that may be alone.
    pub async fn rollback(
        &self,
        api: &ApiId,
        number: u64,
        reason: &str,
        caller: &Caller,
    ) -> Result<PolicyRevision, AdminError> {
        let restoration = Restoration { number, over: None, message: reason.to_owned() };
        self.restore(api, restoration, caller).await
    }

    /// The same for somebody who looked at what it changes, so that they replace what they saw and nothing else.
    pub async fn restore(
        &self,
        api: &ApiId,
        restoration: Restoration,
        caller: &Caller,
    ) -> Result<PolicyRevision, AdminError> {
        let Restoration { number, over, message } = restoration;
        let publication = Publication {
            message: self::message(&message)?,
            draft_version: None,
            restores: Some(number),
            over,
            text: self.revision(api, number).await?.text,
            put_off: None,
        };
        self.put_in_force(api, publication, caller).await
    }

    /// Compiles and tests before the transaction, so that nobody waits for it, and tells the guard of the admin API after.
    async fn put_in_force(
        &self,
        api: &ApiId,
        publication: Publication,
        caller: &Caller,
    ) -> Result<PolicyRevision, AdminError> {
        let snapshot = prepare(publication.text.clone()).await?;
        let (api, caller, owners) = (api.clone(), caller.clone(), self.owners.clone());
        let revision = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    if publication.over.is_some() && publication.over != api.active_revision {
                        return Err(AdminError::Stale);
                    }
                    if let Some(version) = publication.draft_version {
                        let draft = find_draft(tx, &api).await?;
                        if draft.version != version {
                            return Err(AdminError::Stale);
                        }
                        require_change(tx, &api, &publication.text).await?;
                        require_second_person(&api, &caller.actor, &draft.updated_by)?;
                    }
                    if api.administers {
                        owners.require_editor(tx, &snapshot).await?;
                    }
                    publish(tx, &api, publication, &caller).await
                })
            })
            .await?;
        self.follow().await;
        Ok(revision)
    }

    /// Takes over what was put in force. It is in force whatever comes of this: this replica reads it again in a moment, as
    /// every other one does.
    async fn follow(&self) {
        if let Err(error) = self.live.refresh().await {
            tracing::warn!(cause = %error, "a policy was activated and cannot be read yet");
        }
    }
}

fn versioned(draft: PolicyDraft) -> Versioned<PolicyDraft> {
    let version = Version::number(draft.version);
    Versioned { value: draft, version }
}

fn message(raw: &str) -> Result<String, FieldErrors> {
    display_name(raw, MAX_MESSAGE)
        .map_err(|refusal| FieldErrors::of("/message", "invalid", refusal.to_string()))
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::candidate::MAX_TEXT;
    use super::*;
    use crate::domain::rbac::RoleName;
    use crate::services::permission::Permission;
    use crate::services::trial::{Trial, delegate, operator};

    fn rules(text: &str) -> PolicySource {
        PolicySource::with_default_model(text)
    }

    fn now(message: &str) -> Activation {
        Activation { precondition: Precondition::Any, message: message.to_owned() }
    }

    #[tokio::test]
    async fn the_draft_is_the_active_revision_until_somebody_saves_one() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let draft = trial.policies().draft(&api).await.unwrap();
        let active = trial.policies().active(&api).await.unwrap();
        assert_eq!((draft.value.version, draft.value.text), (0, active.text));
    }

    #[tokio::test]
    async fn of_two_people_who_write_at_once_one_is_told() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let seen = Precondition::Matches(vec![trial.policies().draft(&api).await.unwrap().version]);
        let saved =
            trial.policies().save_draft(&api, rules("p, a, *, x, read"), &seen, &delegate()).await.unwrap();
        assert_eq!(saved.value.version, 1);
        let late = trial.policies().save_draft(&api, rules("p, b, *, x, read"), &seen, &delegate()).await;
        assert!(matches!(late, Err(AdminError::Stale)));
        let late = Activation { precondition: seen, message: "Now".to_owned() };
        assert!(matches!(trial.policies().activate(&api, late, &delegate()).await, Err(AdminError::Stale)));
    }

    #[tokio::test]
    async fn an_activation_adds_a_revision_and_points_at_it() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let text = "p, viewer, *, orders, read";
        trial.policies().save_draft(&api, rules(text), &Precondition::Any, &delegate()).await.unwrap();
        let revision = trial.policies().activate(&api, now("Less"), &delegate()).await.unwrap();
        assert_eq!(
            (revision.number, revision.text.rules.as_str(), revision.message.as_str()),
            (2, text, "Less")
        );
        assert_eq!(trial.policies().active(&api).await.unwrap(), revision);
        assert_eq!(trial.trail().await.first(), Some(&"policy.activated"));
        let history = trial.policies().history(&api, &PageQuery::default()).await.unwrap();
        let numbers: Vec<_> = history.items.iter().map(|revision| revision.number).collect();
        assert_eq!(numbers, [2, 1]);
    }

    #[tokio::test]
    async fn what_is_in_force_is_not_activated_again_and_each_of_its_texts_is_a_change() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let policies = trial.policies();
        let unsaved = policies.activate(&api, now("The starter rules"), &delegate()).await;
        assert!(matches!(unsaved, Err(AdminError::NothingChanged)), "{unsaved:?}");
        let source = rules("p, viewer, *, orders, read");
        let model = format!("# mine\n{}", source.model);
        let cases = "allow, viewer, acme, orders, read\n".to_owned();
        for (changed, proposal) in [
            ("rules", Proposal { source: source.clone(), cases: None }),
            ("cases", Proposal { source: source.clone(), cases: Some(cases) }),
            ("model", Proposal { source: PolicySource { model, ..source.clone() }, cases: None }),
            ("ends of lines", Proposal::from(rules("p, viewer, *, orders, read\r\n"))),
        ] {
            policies.save_draft(&api, proposal, &Precondition::Any, &delegate()).await.unwrap();
            let number = policies.activate(&api, now(changed), &delegate()).await.unwrap().number;
            let trail = trial.trail().await;
            let again = policies.activate(&api, now("Once more"), &operator()).await;
            assert!(matches!(again, Err(AdminError::NothingChanged)), "{changed}: {again:?}");
            assert_eq!(policies.active(&api).await.unwrap().number, number, "{changed}");
            assert_eq!(trial.trail().await, trail, "{changed}");
        }
        // Going back is a decision, whatever it goes back to.
        let active = policies.active(&api).await.unwrap().number;
        let back = policies.rollback(&api, active, "It stays", &operator()).await.unwrap();
        assert_eq!(back.number, active + 1);
    }

    #[tokio::test]
    async fn a_policy_with_mistakes_is_saved_but_not_put_in_force() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let before = trial.policies().active(&api).await.unwrap();
        for bad in
            ["p, viewer, *, orders", "p, viewer, *, /a(, read", "p, viewer, *, orders, read, perhaps", "x, y"]
        {
            assert!(!trial.policies().validate(&api, rules(bad)).await.unwrap().is_usable(), "{bad}");
            trial.policies().save_draft(&api, rules(bad), &Precondition::Any, &delegate()).await.unwrap();
            let refused = trial.policies().activate(&api, now("Bad"), &delegate()).await;
            assert!(matches!(refused, Err(AdminError::Policy(report)) if report.has_errors()), "{bad}");
        }
        assert_eq!(trial.policies().active(&api).await.unwrap(), before);
    }

    #[tokio::test]
    async fn a_rollback_is_a_new_revision_with_the_old_content() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        trial
            .policies()
            .save_draft(&api, rules("p, a, *, x, read"), &Precondition::Any, &operator())
            .await
            .unwrap();
        trial.policies().activate(&api, now("Change"), &operator()).await.unwrap();
        let back = trial.policies().rollback(&api, 1, "It was wrong", &operator()).await.unwrap();
        let first = trial.policies().revision(&api, 1).await.unwrap();
        assert_eq!((back.number, back.sha256, back.text), (3, first.sha256, first.text));
        let unknown = trial.policies().rollback(&api, 9, "There is none", &operator()).await;
        assert!(matches!(unknown, Err(AdminError::NotFound(Thing::Revision))));
    }

    #[tokio::test]
    async fn whoever_looked_at_a_revision_brings_an_older_one_back_over_that_one_only() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let restoration = |over| Restoration { number: 1, over: Some(over), message: "Back".to_owned() };
        let late = trial.policies().restore(&api, restoration(7), &operator()).await;
        assert!(matches!(late, Err(AdminError::Stale)), "{late:?}");
        assert_eq!(trial.policies().active(&api).await.unwrap().number, 1);
        let back = trial.policies().restore(&api, restoration(1), &operator()).await.unwrap();
        assert_eq!(back.number, 2);
    }

    #[tokio::test]
    async fn the_last_owner_keeps_the_right_to_edit_policies() {
        let trial = Trial::begin().await;
        trial.owner("ada").await;
        let api = trial.admin_api().await.id;
        let shut_out = rules("p, auditor, *, audit, read\np, owner, *, policies, update");
        trial.policies().save_draft(&api, shut_out, &Precondition::Any, &operator()).await.unwrap();
        let refused = trial.policies().activate(&api, now("Oops"), &operator()).await;
        assert!(matches!(refused, Err(AdminError::Lockout)));
        assert_eq!(trial.live.shared().revision(), Some(1));
    }

    #[tokio::test]
    async fn the_guard_of_the_admin_api_hears_of_a_new_policy_at_once() {
        let trial = Trial::begin().await;
        trial.owner("ada").await;
        let api = trial.admin_api().await.id;
        let read = Permission { object: "users", action: "read" };
        let support = [RoleName::parse("support").unwrap()];
        assert!(trial.live.allows(&support, read));
        trial
            .policies()
            .save_draft(&api, rules("p, owner, *, *, *"), &Precondition::Any, &operator())
            .await
            .unwrap();
        trial.policies().activate(&api, now("Owners only"), &operator()).await.unwrap();
        assert!(!trial.live.allows(&support, read));
        assert_eq!(trial.live.shared().revision(), Some(2));
    }

    #[tokio::test]
    async fn only_an_owner_changes_the_policy_of_the_admin_api() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await.id;
        let own = rules("p, policy-editor, *, *, *");
        let saved = trial.policies().save_draft(&api, own, &Precondition::Any, &delegate()).await;
        assert!(matches!(saved, Err(AdminError::OwnersOnly)));
        let activated = trial.policies().activate(&api, now("Mine"), &delegate()).await;
        assert!(matches!(activated, Err(AdminError::OwnersOnly)));
        let back = trial.policies().rollback(&api, 1, "Mine", &delegate()).await;
        assert!(matches!(back, Err(AdminError::OwnersOnly)));
    }

    #[tokio::test]
    async fn a_message_is_required_and_a_text_bounded() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        assert!(matches!(
            trial.policies().activate(&api, now(""), &operator()).await,
            Err(AdminError::Invalid(_))
        ));
        let long = rules(&"#".repeat(MAX_TEXT + 1));
        assert!(matches!(trial.policies().validate(&api, long).await, Err(AdminError::Invalid(_))));
    }
}
