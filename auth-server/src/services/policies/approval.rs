//! Four eyes: what one person wrote or asked for, another puts in force.

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction};
use crate::domain::ids::{ApiId, ScheduleId};
use crate::domain::rbac::Api;
use crate::domain::schedule::PolicySchedule;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::owners::Owners;
use crate::services::policies::PolicyService;
use crate::services::policies::find::{find_api, find_schedule};
use crate::storage::{Turn, schedules};

/// Whether `approver` is a person, and another than all of these. Whoever runs commands or uses the secret of a client is
/// nobody in particular, and may be the very person who wrote it.
pub(super) fn is_second_person(approver: &Actor, others: &[&str]) -> bool {
    matches!(approver, Actor::User(_)) && !others.contains(&approver.as_str())
}

/// Refuses to put a draft in force, where that takes a second person, unless another wrote it.
pub(super) fn require_second_person(api: &Api, approver: &Actor, written_by: &str) -> Result<(), AdminError> {
    if !api.four_eyes || is_second_person(approver, &[written_by]) {
        Ok(())
    } else {
        Err(AdminError::SelfApproval)
    }
}

impl PolicyService {
    /// Approves an activation that waits. Whoever may put policies in force and neither wrote nor asked for this one can.
    pub async fn approve(
        &self,
        api: &ApiId,
        id: &ScheduleId,
        caller: &Caller,
    ) -> Result<PolicySchedule, AdminError> {
        let (api, id, caller) = (api.clone(), id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    let schedule = find_schedule(tx, &api.id, &id).await?;
                    let request = &schedule.request;
                    if !is_second_person(&caller.actor, &[&request.written_by, &request.requested_by]) {
                        return Err(AdminError::SelfApproval);
                    }
                    let by = caller.actor.as_str();
                    if !schedules::approve(tx, &schedule.id, by).await? {
                        return Err(AdminError::Conflict("It has ended or is approved already."));
                    }
                    let detail = json!({ "schedule": schedule.id, "sha256": schedule.sha256.hex() });
                    let event = caller.event(AuditAction::PolicyActivationApproved).on(&api.id);
                    tx.audit(event.with(detail));
                    Ok(PolicySchedule { approved_by: Some(by.to_owned()), ..schedule })
                })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_policy::PolicySource;

    use super::*;
    use crate::domain::ids::{ClientId, UserId};
    use crate::domain::schedule::Ending;
    use crate::services::apis::ApiPatch;
    use crate::services::caller::Authority;
    use crate::services::policies::Activation;
    use crate::services::trial::{START, Trial, operator};
    use crate::services::version::Precondition;

    const HOUR: Duration = Duration::from_hours(1);

    /// An API whose activations take a second person, and two people who may activate.
    struct Desk {
        trial: Trial,
        api: ApiId,
        writer: Caller,
        other: Caller,
    }

    fn person(id: UserId) -> Caller {
        Caller { actor: Actor::User(id), authority: Authority::Delegate, ..operator() }
    }

    fn now() -> Activation {
        Activation { precondition: Precondition::Any, message: "Change".to_owned() }
    }

    async fn set(
        trial: &Trial,
        api: &ApiId,
        four_eyes: Option<bool>,
        caller: &Caller,
    ) -> Result<bool, AdminError> {
        let patch =
            ApiPatch { name: "Orders".to_owned(), access_token_ttl_secs: 300, four_eyes, scopes: None };
        let changed = trial.apis.update(api, &patch, &Precondition::Any, caller).await?;
        Ok(changed.value.four_eyes)
    }

    impl Desk {
        async fn open() -> Self {
            let trial = Trial::begin().await;
            let api = trial.api("https://orders.example").await.id;
            let admin = trial.admin_api().await.id;
            let mut people = Vec::new();
            for name in ["ada", "bea"] {
                let id = trial.user(name).await;
                trial.grant(&admin, "policy-approver", id.as_str()).await;
                people.push(person(id));
            }
            let [writer, other] = people.try_into().unwrap();
            assert!(set(&trial, &api, Some(true), &writer).await.unwrap());
            let desk = Self { trial, api, writer, other };
            desk.save("p, viewer, *, orders, read", &desk.writer).await;
            desk
        }

        async fn save(&self, rules: &str, caller: &Caller) {
            let source = PolicySource::with_default_model(rules);
            let policies = self.trial.policies();
            policies.save_draft(&self.api, source, &Precondition::Any, caller).await.unwrap();
        }

        async fn put_off(&self, caller: &Caller) -> PolicySchedule {
            let at = START.plus(HOUR).rfc3339();
            self.trial.policies().schedule(&self.api, now(), &at, caller).await.unwrap()
        }

        async fn ending(&self, schedule: &PolicySchedule) -> Ending {
            let policies = self.trial.policies();
            policies.carry_out(&schedule.id, START.plus(HOUR)).await.unwrap();
            policies.find_schedule(&self.api, &schedule.id).await.unwrap().end.unwrap().how
        }
    }

    #[tokio::test]
    async fn another_person_activates_what_one_wrote() {
        let desk = Desk::open().await;
        let policies = desk.trial.policies();
        let owner = Caller { authority: Authority::Owner, ..desk.writer.clone() };
        let robot = Actor::Client(ClientId::generate(START, &desk.trial.entropy));
        let robot = Caller { actor: robot, ..desk.other.clone() };
        for alone in [&desk.writer, &owner, &operator(), &robot] {
            let refused = policies.activate(&desk.api, now(), alone).await;
            assert!(matches!(refused, Err(AdminError::SelfApproval)), "{alone:?}: {refused:?}");
        }
        assert_eq!(policies.active(&desk.api).await.unwrap().number, 1);
        assert_eq!(policies.activate(&desk.api, now(), &desk.other).await.unwrap().number, 2);
        let nothing = policies.activate(&desk.api, now(), &desk.writer).await;
        assert!(matches!(nothing, Err(AdminError::NothingChanged)), "nobody else would help: {nothing:?}");
        desk.save("p, viewer, *, orders, write", &desk.other).await;
        let refused = policies.activate(&desk.api, now(), &desk.other).await;
        assert!(matches!(refused, Err(AdminError::SelfApproval)), "it is theirs now");
    }

    #[tokio::test]
    async fn what_the_writer_puts_off_waits_for_another_person() {
        let desk = Desk::open().await;
        let policies = desk.trial.policies();
        let schedule = desk.put_off(&desk.writer).await;
        assert_eq!(schedule.approved_by, None);
        for alone in [&desk.writer, &operator()] {
            let refused = policies.approve(&desk.api, &schedule.id, alone).await;
            assert!(matches!(refused, Err(AdminError::SelfApproval)), "{alone:?}");
        }
        let approved = policies.approve(&desk.api, &schedule.id, &desk.other).await.unwrap();
        assert_eq!(approved.approved_by.as_deref(), Some(desk.other.actor.as_str()));
        assert_eq!(desk.trial.trail().await[0], "policy.activation_approved");
        let again = policies.approve(&desk.api, &schedule.id, &desk.other).await;
        assert!(matches!(again, Err(AdminError::Conflict(_))));
        assert_eq!(desk.ending(&schedule).await, Ending::Activated);
        let late = policies.approve(&desk.api, &schedule.id, &desk.other).await;
        assert!(matches!(late, Err(AdminError::Conflict(_))));
    }

    #[tokio::test]
    async fn nobody_approves_by_silence() {
        let desk = Desk::open().await;
        let schedule = desk.put_off(&desk.writer).await;
        assert_eq!(desk.ending(&schedule).await, Ending::NotApproved);
        assert_eq!(desk.trial.policies().active(&desk.api).await.unwrap().number, 1);
        assert_eq!(desk.trial.trail().await[0], "policy.activation_refused");
    }

    #[tokio::test]
    async fn the_approval_of_somebody_who_left_is_none() {
        let desk = Desk::open().await;
        let schedule = desk.put_off(&desk.writer).await;
        desk.trial.policies().approve(&desk.api, &schedule.id, &desk.other).await.unwrap();
        let Actor::User(left) = &desk.other.actor else { panic!("a person approves") };
        desk.trial.users.disable(left, &operator()).await.unwrap();
        assert_eq!(desk.ending(&schedule).await, Ending::NotApproved);
    }

    #[tokio::test]
    async fn who_puts_off_what_another_wrote_has_approved_it() {
        let desk = Desk::open().await;
        let schedule = desk.put_off(&desk.other).await;
        assert_eq!(schedule.approved_by.as_deref(), Some(desk.other.actor.as_str()));
        assert_eq!(desk.ending(&schedule).await, Ending::Activated);
    }

    #[tokio::test]
    async fn what_waits_when_the_option_is_turned_on_needs_an_approval_too() {
        let desk = Desk::open().await;
        set(&desk.trial, &desk.api, Some(false), &operator()).await.unwrap();
        let schedule = desk.put_off(&desk.other).await;
        assert_eq!(schedule.approved_by, None);
        set(&desk.trial, &desk.api, Some(true), &desk.writer).await.unwrap();
        assert_eq!(desk.ending(&schedule).await, Ending::NotApproved);
    }

    #[tokio::test]
    async fn one_person_rolls_back_in_an_emergency() {
        let desk = Desk::open().await;
        desk.trial.policies().activate(&desk.api, now(), &desk.other).await.unwrap();
        let back = desk.trial.policies().rollback(&desk.api, 1, "It broke", &desk.writer).await.unwrap();
        assert_eq!(back.number, 3);
    }

    #[tokio::test]
    async fn an_owner_turns_it_off_and_silence_does_not() {
        let desk = Desk::open().await;
        let refused = set(&desk.trial, &desk.api, Some(false), &desk.writer).await;
        assert!(matches!(refused, Err(AdminError::OwnersOnly)));
        assert!(set(&desk.trial, &desk.api, None, &desk.writer).await.unwrap());
        let owner = Caller { authority: Authority::Owner, ..desk.writer.clone() };
        assert!(!set(&desk.trial, &desk.api, Some(false), &owner).await.unwrap());
        desk.trial.policies().activate(&desk.api, now(), &desk.writer).await.unwrap();
    }
}
