//! Activations at a later time: asked for now, carried out by a job, by whichever replica takes it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_policy::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, JobId, ScheduleId};
use crate::domain::policy::PolicyDraft;
use crate::domain::rbac::{Api, AssignmentSubject};
use crate::domain::schedule::{Ending, PolicySchedule, ScheduleEnd, ScheduleRequest};
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::owners::{Owners, is_owner};
use crate::services::paging::{Page, PageQuery};
use crate::services::permission::ACTIVATE_POLICIES;
use crate::services::policies::approval::is_second_person;
use crate::services::policies::candidate::prepare;
use crate::services::policies::find::{find_api, find_draft, find_schedule};
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::publish::{Publication, PutOff, publish, require_change};
use crate::services::policies::{Activation, PolicyService, message};
use crate::services::version::Version;
use crate::storage::{Turn, Tx, clients, jobs, schedules, users};

/// The kind of the job that carries out a schedule.
pub(crate) const ACTIVATION_JOB: &str = "policy_activation";

/// How far ahead an activation may be put off.
const MAX_AHEAD: Duration = Duration::from_hours(365 * 24);

/// What the job is told.
#[derive(Deserialize, Serialize)]
pub(crate) struct ActivationJob {
    pub(crate) schedule: ScheduleId,
}

impl PolicyService {
    /// Puts the draft in force at a later time, as it is now. Everything that stands against it now is refused now.
    pub async fn schedule(
        &self,
        api: &ApiId,
        activation: Activation,
        activate_at: &str,
        caller: &Caller,
    ) -> Result<PolicySchedule, AdminError> {
        let activate_at = later(activate_at, caller.now)?;
        let message = message(&activation.message)?;
        let mut tx = self.store.read().await?;
        let found = find_api(&mut tx, api).await?;
        let draft = find_draft(&mut tx, &found).await?;
        drop(tx);
        if !activation.precondition.holds(&Version::number(draft.version)) {
            return Err(AdminError::Stale);
        }
        let snapshot = prepare(draft.text.clone()).await?;
        let asked = Asked {
            id: ScheduleId::generate(caller.now, &self.entropy),
            job: JobId::generate(caller.now, &self.entropy),
            draft,
            message,
            activate_at,
        };
        let (api, caller, owners) = (api.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    if find_draft(tx, &api).await?.version != asked.draft.version {
                        return Err(AdminError::Stale);
                    }
                    require_change(tx, &api, &asked.draft.text).await?;
                    if api.administers {
                        owners.require_editor(tx, &snapshot).await?;
                    }
                    asked.add(tx, &api, &caller).await
                })
            })
            .await
    }

    /// The schedules of an API, newest first, without their texts.
    pub async fn schedules(
        &self,
        api: &ApiId,
        query: &PageQuery,
    ) -> Result<Page<PolicySchedule>, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        let found = schedules::list(&mut tx, &api.id, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |schedule| schedule.id.to_string()))
    }

    /// One schedule, with its text while it waits.
    pub async fn find_schedule(&self, api: &ApiId, id: &ScheduleId) -> Result<PolicySchedule, AdminError> {
        let mut tx = self.store.read().await?;
        find_schedule(&mut tx, api, id).await
    }

    /// The schedule that waits for an API, if one does.
    pub async fn waiting(&self, api: &ApiId) -> Result<Option<PolicySchedule>, AdminError> {
        let mut tx = self.store.read().await?;
        match schedules::find_waiting(&mut tx, api).await? {
            Some(id) => Ok(schedules::find(&mut tx, &id).await?),
            None => Ok(None),
        }
    }

    /// Takes a schedule back that has not been carried out.
    pub async fn cancel(&self, api: &ApiId, id: &ScheduleId, caller: &Caller) -> Result<(), AdminError> {
        let (api, id, caller) = (api.clone(), id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    let schedule = find_schedule(tx, &api.id, &id).await?;
                    let end = ScheduleEnd { at: caller.now, how: Ending::Cancelled, revision: None };
                    if !schedules::finish(tx, &schedule.id, end).await? {
                        return Err(AdminError::Conflict("It has ended already."));
                    }
                    let detail = json!({ "schedule": schedule.id, "sha256": schedule.sha256.hex() });
                    let event = caller.event(AuditAction::PolicyActivationCancelled).on(&api.id);
                    tx.audit(event.with(detail));
                    Ok(())
                })
            })
            .await
    }

    /// Carries a schedule out, or ends it with the reason why not. Whoever comes second finds that it has ended: a job may be
    /// done twice, when the replica that took it dies before it says that it is done. An error is a fault, and worth another try.
    pub(crate) async fn carry_out(&self, id: &ScheduleId, now: Timestamp) -> Result<(), AdminError> {
        let mut tx = self.store.read().await?;
        let found = schedules::find(&mut tx, id).await?;
        drop(tx);
        // An API takes its schedules with it.
        let Some(schedule) = found.filter(|schedule| schedule.end.is_none()) else { return Ok(()) };
        let prepared = match prepare(schedule.text).await {
            Ok(snapshot) => Ok(snapshot),
            Err(AdminError::Cases(_)) => Err(Ending::FailingCases),
            Err(AdminError::Policy(_)) => Err(Ending::Unusable),
            Err(error) => return Err(error),
        };
        // What decides who may activate is the policy in force now, wherever it was activated.
        self.live.refresh().await?;
        let (owners, live, id) = (self.owners.clone(), self.live.clone(), schedule.id);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let found = schedules::find(tx, &id).await?;
                    let Some(schedule) = found.filter(|schedule| schedule.end.is_none()) else {
                        return Ok(());
                    };
                    let api = find_api(tx, &schedule.api).await?;
                    let due = Due { api, schedule, owners, live };
                    let caller = Caller::system(now);
                    match due.obstacle(tx, prepared).await? {
                        Some(obstacle) => due.refuse(tx, obstacle, &caller).await,
                        None => due.publish(tx, &caller).await,
                    }
                })
            })
            .await?;
        self.follow().await;
        Ok(())
    }
}

/// A schedule that is to be added.
struct Asked {
    id: ScheduleId,
    job: JobId,
    draft: PolicyDraft,
    message: String,
    activate_at: Timestamp,
}

impl Asked {
    async fn add(self, tx: &mut Tx, api: &Api, caller: &Caller) -> Result<PolicySchedule, AdminError> {
        if schedules::find_waiting(tx, &api.id).await?.is_some() {
            return Err(AdminError::Conflict("An activation of this API waits already. Cancel it first."));
        }
        // Whoever puts off what another wrote is the second person.
        let approves = is_second_person(&caller.actor, &[&self.draft.updated_by]);
        let schedule = PolicySchedule {
            id: self.id,
            api: api.id.clone(),
            sha256: self.draft.text.sha256(),
            text: self.draft.text,
            message: self.message,
            base_revision: api.active_revision,
            activate_at: self.activate_at,
            request: ScheduleRequest {
                written_by: self.draft.updated_by,
                requested_by: caller.actor.to_string(),
                requested_at: caller.now,
            },
            approved_by: (api.four_eyes && approves).then(|| caller.actor.to_string()),
            end: None,
        };
        schedules::insert(tx, &schedule).await?;
        let job = json!(ActivationJob { schedule: schedule.id.clone() }).to_string();
        jobs::insert(tx, &self.job, ACTIVATION_JOB, &job, schedule.activate_at).await?;
        let detail = json!({
            "schedule": schedule.id,
            "activate_at": schedule.activate_at.rfc3339(),
            "replaces": schedule.base_revision,
            "sha256": schedule.sha256.hex(),
            "message": schedule.message,
        });
        tx.audit(caller.event(AuditAction::PolicyActivationScheduled).on(&api.id).with(detail));
        Ok(schedule)
    }
}

/// A schedule whose time has come.
struct Due {
    api: Api,
    schedule: PolicySchedule,
    owners: Owners,
    live: AdminPolicy,
}

impl Due {
    /// What stands against it now.
    async fn obstacle(
        &self,
        tx: &mut Tx,
        prepared: Result<Arc<Snapshot>, Ending>,
    ) -> Result<Option<Ending>, AdminError> {
        if self.api.active_revision != self.schedule.base_revision {
            return Ok(Some(Ending::BaseMoved));
        }
        if !self.may_activate(tx, &self.schedule.request.requested_by).await? {
            return Ok(Some(Ending::NotPermitted));
        }
        if self.api.four_eyes {
            let approved = match &self.schedule.approved_by {
                Some(approver) => self.may_activate(tx, approver).await?,
                None => false,
            };
            if !approved {
                return Ok(Some(Ending::NotApproved));
            }
        }
        let snapshot = match prepared {
            Ok(snapshot) => snapshot,
            Err(obstacle) => return Ok(Some(obstacle)),
        };
        if !self.api.administers {
            return Ok(None);
        }
        match self.owners.require_editor(tx, &snapshot).await {
            Ok(()) => Ok(None),
            Err(AdminError::Lockout) => Ok(Some(Ending::Lockout)),
            Err(error) => Err(error),
        }
    }

    /// Whether whoever asked for it, or approved it, could still do so. Somebody who left must not change a policy weeks later.
    async fn may_activate(&self, tx: &mut Tx, who: &str) -> Result<bool, AdminError> {
        let Ok(actor) = who.parse::<Actor>() else { return Ok(false) };
        let (enabled, subject) = match actor {
            Actor::Operator | Actor::System => return Ok(true),
            Actor::Anonymous => return Ok(false),
            Actor::User(id) => {
                let enabled = users::find(tx, &id).await?.is_some_and(|user| user.is_enabled());
                (enabled, AssignmentSubject::User(id))
            }
            Actor::Client(id) => {
                let enabled = clients::find(tx, &id).await?.is_some_and(|client| client.is_enabled());
                (enabled, AssignmentSubject::Client(id))
            }
        };
        if !enabled {
            return Ok(false);
        }
        let roles = self.owners.roles(tx, &subject).await?;
        let ranks = !self.api.administers || roles.iter().any(is_owner);
        // What a rule asks of the sign-in was met when they asked: nobody is signed in when the time has come.
        Ok(ranks && self.live.may_allow(&roles, ACTIVATE_POLICIES))
    }

    async fn refuse(&self, tx: &mut Tx, obstacle: Ending, caller: &Caller) -> Result<(), AdminError> {
        let end = ScheduleEnd { at: caller.now, how: obstacle, revision: None };
        schedules::finish(tx, &self.schedule.id, end).await?;
        let detail = json!({
            "schedule": self.schedule.id,
            "reason": obstacle.as_str(),
            "requested_by": self.schedule.request.requested_by,
            "expected": self.schedule.base_revision,
            "found": self.api.active_revision,
            "sha256": self.schedule.sha256.hex(),
        });
        let event = caller.event(AuditAction::PolicyActivationRefused).on(&self.api.id).refused();
        tx.audit(event.with(detail));
        tracing::warn!(
            api.id = %self.api.id, schedule.id = %self.schedule.id, reason = obstacle.as_str(),
            "a scheduled activation was not carried out"
        );
        Ok(())
    }

    async fn publish(self, tx: &mut Tx, caller: &Caller) -> Result<(), AdminError> {
        let PolicySchedule { id, text, message, request, approved_by, .. } = self.schedule;
        let publication = Publication {
            message,
            draft_version: None,
            restores: None,
            over: None,
            text,
            put_off: Some(PutOff { schedule: id.clone(), requested_by: request.requested_by, approved_by }),
        };
        let revision = publish(tx, &self.api, publication, caller).await?;
        let end = ScheduleEnd { at: caller.now, how: Ending::Activated, revision: Some(revision.number) };
        schedules::finish(tx, &id, end).await?;
        Ok(())
    }
}

/// A time that lies ahead, and not too far.
fn later(raw: &str, now: Timestamp) -> Result<Timestamp, FieldErrors> {
    let refused = |code, message: String| Err(FieldErrors::of("/activate_at", code, message));
    let at = match raw.parse::<Timestamp>() {
        Ok(at) => at,
        Err(error) => return refused("invalid", error.to_string()),
    };
    if at <= now {
        return refused("out-of-range", "has to lie in the future".to_owned());
    }
    if at > now.plus(MAX_AHEAD) {
        return refused("out-of-range", "must not lie more than 365 days ahead".to_owned());
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{DEFAULT_MODEL, PolicySource};

    use super::*;
    use crate::domain::policy::PolicyText;
    use crate::services::admin_error::Thing;
    use crate::services::caller::Authority;
    use crate::services::policies::Proposal;
    use crate::services::trial::{START, Trial, delegate, operator};
    use crate::services::version::Precondition;

    const HOUR: Duration = Duration::from_hours(1);

    fn later_today() -> Activation {
        Activation { precondition: Precondition::Any, message: "Later".to_owned() }
    }

    fn text(rules: &str, cases: &str) -> PolicyText {
        let [model, rules, cases] = [DEFAULT_MODEL, rules, cases].map(str::to_owned);
        PolicyText { model, rules, cases }
    }

    async fn save(trial: &Trial, api: &ApiId, rules: &str) {
        let proposal = Proposal::from(text(rules, ""));
        trial.policies().save_draft(api, proposal, &Precondition::Any, &operator()).await.unwrap();
    }

    async fn ask(trial: &Trial, api: &ApiId, caller: &Caller) -> Result<PolicySchedule, AdminError> {
        let at = START.plus(HOUR).rfc3339();
        trial.policies().schedule(api, later_today(), &at, caller).await
    }

    async fn ended(trial: &Trial, schedule: &PolicySchedule) -> ScheduleEnd {
        trial.policies().carry_out(&schedule.id, START.plus(HOUR)).await.unwrap();
        let found = trial.policies().find_schedule(&schedule.api, &schedule.id).await.unwrap();
        assert_eq!(found.text, PolicyText::default());
        found.end.unwrap()
    }

    /// Adds a schedule that no check ever saw.
    async fn add_unseen(trial: &Trial, api: &Api, text: PolicyText) -> PolicySchedule {
        let asked = Asked {
            id: ScheduleId::generate(START, &trial.entropy),
            job: JobId::generate(START, &trial.entropy),
            draft: PolicyDraft {
                api: api.id.clone(),
                text,
                version: 1,
                updated_by: "operator".to_owned(),
                updated_at: START,
            },
            message: "Later".to_owned(),
            activate_at: START.plus(HOUR),
        };
        let api = api.clone();
        let work =
            trial.store.write(move |tx| Box::pin(async move { asked.add(tx, &api, &operator()).await }));
        work.await.unwrap()
    }

    #[tokio::test]
    async fn what_was_asked_for_comes_into_force_once_whatever_becomes_of_the_draft() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        save(&trial, &api, "p, viewer, *, orders, read").await;
        let schedule = ask(&trial, &api, &operator()).await.unwrap();
        assert_eq!(trial.policies().active(&api).await.unwrap().number, 1);
        save(&trial, &api, "p, viewer, *, orders, write").await;
        let end = ended(&trial, &schedule).await;
        assert_eq!((end.how, end.revision), (Ending::Activated, Some(2)));
        let active = trial.policies().active(&api).await.unwrap();
        assert_eq!(
            (active.text.rules.as_str(), active.sha256),
            ("p, viewer, *, orders, read", schedule.sha256)
        );
        assert_eq!((active.author.as_str(), active.created_at), ("operator", START.plus(HOUR)));
        assert_eq!(ended(&trial, &schedule).await, end, "a job that is done twice");
        assert_eq!(trial.policies().active(&api).await.unwrap().number, 2);
        let trail = trial.trail().await;
        assert_eq!(trail[..3], ["policy.activated", "policy.draft_saved", "policy.activation_scheduled"]);
    }

    #[tokio::test]
    async fn another_revision_in_the_meantime_stands_against_it() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        save(&trial, &api, "p, viewer, *, orders, read").await;
        let schedule = ask(&trial, &api, &operator()).await.unwrap();
        trial.policies().rollback(&api, 1, "Again", &operator()).await.unwrap();
        assert_eq!(ended(&trial, &schedule).await.how, Ending::BaseMoved);
        assert_eq!(trial.policies().active(&api).await.unwrap().number, 2);
        assert_eq!(trial.trail().await[0], "policy.activation_refused");
    }

    #[tokio::test]
    async fn the_checks_run_again_when_the_time_has_come() {
        let trial = Trial::begin().await;
        trial.owner("ada").await;
        let orders = trial.api("https://orders.example").await;
        let admin = trial.admin_api().await;
        for (api, text, how) in [
            (
                &orders,
                text("p, viewer, *, orders, read", "deny, viewer, *, orders, read"),
                Ending::FailingCases,
            ),
            (&orders, text("p, viewer", ""), Ending::Unusable),
            (&admin, text("p, auditor, *, audit, read", ""), Ending::Lockout),
        ] {
            let schedule = add_unseen(&trial, api, text).await;
            assert_eq!(
                ended(&trial, &schedule).await,
                ScheduleEnd { at: START.plus(HOUR), how, revision: None }
            );
            assert_eq!(trial.policies().active(&api.id).await.unwrap().number, 1, "{how:?}");
            assert_eq!(trial.trail().await[0], "policy.activation_refused");
        }
    }

    #[tokio::test]
    async fn who_may_not_activate_any_more_activates_nothing() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let user = trial.user("ada").await;
        trial.grant(&trial.admin_api().await.id, "policy-approver", user.as_str()).await;
        let caller =
            Caller { actor: Actor::User(user.clone()), authority: Authority::Delegate, ..operator() };
        save(&trial, &api, "p, viewer, *, orders, read").await;
        let first = ask(&trial, &api, &caller).await.unwrap();
        assert_eq!(ended(&trial, &first).await.how, Ending::Activated);
        save(&trial, &api, "p, viewer, *, orders, write").await;
        let second = ask(&trial, &api, &caller).await.unwrap();
        trial.users.disable(&user, &operator()).await.unwrap();
        assert_eq!(ended(&trial, &second).await.how, Ending::NotPermitted);
        let stranger = Caller { actor: Actor::User(trial.user("eve").await), ..caller };
        let third = ask(&trial, &api, &stranger).await.unwrap();
        assert_eq!(ended(&trial, &third).await.how, Ending::NotPermitted);
    }

    #[tokio::test]
    async fn what_a_rule_asks_of_the_sign_in_was_met_when_it_was_put_off() {
        let trial = Trial::begin().await;
        trial.owner("ada").await;
        let (api, admin) = (trial.api("https://orders.example").await.id, trial.admin_api().await.id);
        let user = trial.user("bob").await;
        trial.grant(&admin, "policy-approver", user.as_str()).await;
        let caller = Caller { actor: Actor::User(user), authority: Authority::Delegate, ..operator() };
        let asking = "p, policy-approver, *, policies, activate, allow, acr=phr, max_age=300";
        for (action, more, how) in [
            ("read", asking.to_owned(), Ending::Activated),
            (
                "write",
                format!("{asking}\np, policy-approver, *, policies, activate, deny"),
                Ending::NotPermitted,
            ),
            ("create", asking.replace("activate", "read"), Ending::NotPermitted),
        ] {
            save(&trial, &admin, &format!("p, owner, *, *, *\n{more}")).await;
            trial.policies().activate(&admin, later_today(), &operator()).await.unwrap();
            save(&trial, &api, &format!("p, viewer, *, orders, {action}")).await;
            let schedule = ask(&trial, &api, &caller).await.unwrap();
            assert_eq!(ended(&trial, &schedule).await.how, how, "{more}");
        }
    }

    #[tokio::test]
    async fn one_waits_at_a_time_and_can_be_taken_back_once() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let other = trial.api("https://bills.example").await.id;
        save(&trial, &api, "p, viewer, *, orders, read").await;
        let schedule = ask(&trial, &api, &delegate()).await.unwrap();
        assert!(matches!(ask(&trial, &api, &delegate()).await, Err(AdminError::Conflict(_))));
        let policies = trial.policies();
        let foreign = policies.cancel(&other, &schedule.id, &delegate()).await;
        assert!(matches!(foreign, Err(AdminError::NotFound(Thing::Schedule))));
        policies.cancel(&api, &schedule.id, &delegate()).await.unwrap();
        assert_eq!(trial.trail().await[0], "policy.activation_cancelled");
        let again = policies.cancel(&api, &schedule.id, &delegate()).await;
        assert!(matches!(again, Err(AdminError::Conflict(_))));
        assert_eq!(ended(&trial, &schedule).await.how, Ending::Cancelled);
        assert_eq!(policies.active(&api).await.unwrap().number, 1);
        ask(&trial, &api, &delegate()).await.unwrap();
        let listed = policies.schedules(&api, &PageQuery::default()).await.unwrap().items;
        assert_eq!(listed.len(), 2);
        trial.apis.delete(&api, &operator()).await.unwrap();
        policies.carry_out(&listed[0].id, START.plus(HOUR)).await.unwrap();
    }

    #[tokio::test]
    async fn what_stands_against_it_now_is_refused_now() {
        let trial = Trial::begin().await;
        trial.owner("ada").await;
        let orders = trial.api("https://orders.example").await.id;
        let admin = trial.admin_api().await.id;
        assert!(matches!(ask(&trial, &admin, &delegate()).await, Err(AdminError::OwnersOnly)));
        assert!(matches!(ask(&trial, &orders, &delegate()).await, Err(AdminError::NothingChanged)));
        save(&trial, &admin, "p, auditor, *, audit, read").await;
        assert!(matches!(ask(&trial, &admin, &operator()).await, Err(AdminError::Lockout)));
        let failing = Proposal {
            source: PolicySource::with_default_model("p, viewer, *, orders, read"),
            cases: Some("deny, viewer, *, orders, read".to_owned()),
        };
        trial.policies().save_draft(&orders, failing, &Precondition::Any, &operator()).await.unwrap();
        assert!(matches!(ask(&trial, &orders, &operator()).await, Err(AdminError::Cases(_))));
        let old =
            Activation { precondition: Precondition::Matches(vec![Version::number(0)]), ..later_today() };
        let at = START.plus(HOUR).rfc3339();
        let stale = trial.policies().schedule(&orders, old, &at, &operator()).await;
        assert!(matches!(stale, Err(AdminError::Stale)));
        assert!(!trial.trail().await.contains(&"policy.activation_scheduled"));
    }

    #[test]
    fn a_time_lies_ahead_and_not_too_far() {
        for (ahead, accepted) in [
            (Duration::ZERO, false),
            (Duration::from_secs(1), true),
            (MAX_AHEAD, true),
            (MAX_AHEAD + Duration::from_secs(1), false),
        ] {
            assert_eq!(later(&START.plus(ahead).rfc3339(), START).is_ok(), accepted, "{ahead:?}");
        }
        assert!(later(&START.minus(HOUR).rfc3339(), START).is_err());
        assert!(later("soon", START).is_err());
    }
}
