//! The page of what is to come into force: an activation is put off, approved by a second person, or taken back.

mod page;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::domain::ids::ScheduleId;
use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::{LinkPath, LinkQuery};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Part;
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::activation::page::samples;
use crate::http::pages::rules::activation::page::{Order, is_own, number};
use crate::http::pages::rules::desk::{Entered, READ, RulesDesk, UPDATE_APIS, notice_of};
use crate::http::pages::when::in_utc;
use crate::services::admin_error::AdminError;
use crate::services::apis::ApiPatch;
use crate::services::fields::FieldErrors;
use crate::services::permission::{ACTIVATE_POLICIES, Permission};
use crate::services::policies::{Activation, activation_path};
use crate::services::version::{Precondition, Version};

/// What a form of the page asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Approve,
    Cancel,
    FourEyes(bool),
    Schedule,
}

impl Step {
    fn named(name: &str) -> Option<Self> {
        match name {
            "approve" => Some(Self::Approve),
            "cancel" => Some(Self::Cancel),
            "four_eyes_off" => Some(Self::FourEyes(false)),
            "four_eyes_on" => Some(Self::FourEyes(true)),
            "schedule" => Some(Self::Schedule),
            _ => None,
        }
    }

    const fn needs(self) -> &'static [Permission] {
        match self {
            Self::Approve | Self::Cancel | Self::Schedule => &[ACTIVATE_POLICIES],
            Self::FourEyes(_) => &[UPDATE_APIS],
        }
    }
}

/// What the page may say when it is led back to.
const NOTICES: [&str; 6] = [APPROVED, CANCELLED, DECLINED, FOUR_EYES_OFF, FOUR_EYES_ON, SCHEDULED];
const APPROVED: &str = "approved";
const CANCELLED: &str = "cancelled";
const DECLINED: &str = "declined";
const FOUR_EYES_OFF: &str = "four_eyes_off";
const FOUR_EYES_ON: &str = "four_eyes_on";
const SCHEDULED: &str = "scheduled";

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct ActivationQuery {
    notice: Option<String>,
}

/// Why a form did nothing.
enum Refusal {
    /// The page says so.
    Said(StatusCode, &'static str),
    /// The form is none of ours.
    Unreadable,
    Failed(AdminError),
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        let (status, problem) = match &error {
            AdminError::Cases(_) => (StatusCode::CONFLICT, "failing_cases"),
            AdminError::Conflict(_) | AdminError::NotFound(_) => (StatusCode::CONFLICT, "too_late"),
            AdminError::Invalid(fields) => (StatusCode::UNPROCESSABLE_ENTITY, wrong_field(fields)),
            AdminError::Lockout => (StatusCode::CONFLICT, "lockout"),
            AdminError::NothingChanged => (StatusCode::CONFLICT, "nothing"),
            AdminError::OwnersOnly => (StatusCode::FORBIDDEN, "owners_only"),
            AdminError::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "findings"),
            AdminError::SelfApproval => (StatusCode::FORBIDDEN, "self_approval"),
            AdminError::Stale => (StatusCode::CONFLICT, "stale"),
            _ => return Self::Failed(error),
        };
        Self::Said(status, problem)
    }
}

/// Which of the two fields is wrong. Of a time that was read it is known before whether it is over.
fn wrong_field(fields: &FieldErrors) -> &'static str {
    match fields.iter().next() {
        Some(field) if field.pointer == "/activate_at" => "too_far",
        _ => "message",
    }
}

/// `GET /admin/policies/{api}/activation`.
pub(in crate::http::pages) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<ActivationQuery>,
) -> Response {
    let entered = match desk.enter((&raw, Part::Activation), &visitor, &[READ], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let page = desk.activation_page(&entered, &visitor).await;
    let notice = notice_of(query.notice.as_deref(), &NOTICES);
    desk.answer(&visitor, id, StatusCode::OK, page.map(|page| page.saying(notice)))
}

/// `POST /admin/policies/{api}/activation`.
pub(in crate::http::pages) async fn act(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(step) = Step::named(fields.text("step")) else { return desk.unreadable(id) };
    let entered = match desk.enter((&raw, Part::Activation), &visitor, step.needs(), id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let (status, problem) = match desk.act(step, &entered, &fields).await {
        Ok(notice) => {
            let path = format!("{}?notice={notice}", activation_path(&entered.api.id));
            return visitor.answer(desk.pages.go(&path));
        }
        Err(Refusal::Said(status, problem)) => (status, problem),
        Err(Refusal::Unreadable) => return desk.unreadable(id),
        Err(Refusal::Failed(error)) => return desk.failed(id, &error),
    };
    let page = async { desk.activation_page(&desk.again(entered).await?, &visitor).await }.await;
    let order = Order::of(fields.text("at"), fields.text("message"));
    desk.answer(&visitor, id, status, page.map(|page| page.refusing(problem, order)))
}

impl RulesDesk {
    /// Does what a form asks for, and gives what the page is to say of it.
    async fn act(&self, step: Step, entered: &Entered, fields: &Fields) -> Result<&'static str, Refusal> {
        let Entered { api, who } = entered;
        let policies = &self.console.policies;
        match step {
            Step::Approve => {
                policies.approve(&api.id, &named(fields)?, &who.caller).await?;
                Ok(APPROVED)
            }
            Step::Cancel => {
                let schedule = policies.find_schedule(&api.id, &named(fields)?).await?;
                policies.cancel(&api.id, &schedule.id, &who.caller).await?;
                Ok(if is_own(&schedule.request.requested_by, &who.caller.actor) {
                    CANCELLED
                } else {
                    DECLINED
                })
            }
            Step::FourEyes(wanted) => self.set_four_eyes(wanted, entered, fields).await,
            Step::Schedule => self.schedule(entered, fields).await,
        }
    }

    async fn schedule(&self, entered: &Entered, fields: &Fields) -> Result<&'static str, Refusal> {
        let Entered { api, who } = entered;
        let policies = &self.console.policies;
        let wrong = |problem| Refusal::Said(StatusCode::UNPROCESSABLE_ENTITY, problem);
        if policies.waiting(&api.id).await?.is_some() {
            return Err(Refusal::Said(StatusCode::CONFLICT, "waits_already"));
        }
        let at = in_utc(fields.text("at")).ok_or_else(|| wrong("no_time"))?;
        if at <= who.caller.now {
            return Err(wrong("past"));
        }
        let message = fields.text("message").trim().to_owned();
        if message.is_empty() {
            return Err(wrong("message"));
        }
        // It is put off over the revision that is in force when it is asked for; this is the one that was looked at.
        if fields.text("active") != number(api) {
            return Err(AdminError::Stale.into());
        }
        let activation = Activation { precondition: seen(fields), message };
        match policies.schedule(&api.id, activation, &at.rfc3339(), &who.caller).await {
            Ok(_) => Ok(SCHEDULED),
            // Somebody was faster by the blink of an eye.
            Err(AdminError::Conflict(_)) => Err(Refusal::Said(StatusCode::CONFLICT, "waits_already")),
            Err(error) => Err(error.into()),
        }
    }

    async fn set_four_eyes(
        &self,
        wanted: bool,
        entered: &Entered,
        fields: &Fields,
    ) -> Result<&'static str, Refusal> {
        let Entered { api, who } = entered;
        let patch = ApiPatch {
            name: api.name.clone(),
            access_token_ttl_secs: api.access_token_ttl.as_secs(),
            four_eyes: Some(wanted),
            scopes: None,
        };
        self.console.apis.update(&api.id, &patch, &seen(fields), &who.caller).await?;
        Ok(if wanted { FOUR_EYES_ON } else { FOUR_EYES_OFF })
    }
}

/// The state that the form was filled from.
fn seen(fields: &Fields) -> Precondition {
    Precondition::Matches(vec![Version::named(fields.text("version"))])
}

/// The schedule that the form is about.
fn named(fields: &Fields) -> Result<ScheduleId, Refusal> {
    ScheduleId::parse(fields.text("schedule")).map_err(|_| Refusal::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_page_asks_for_its_permission() {
        for name in ["approve", "cancel", "schedule"] {
            assert_eq!(Step::named(name).map(Step::needs), Some([ACTIVATE_POLICIES].as_slice()), "{name}");
        }
        for name in ["four_eyes_on", "four_eyes_off"] {
            assert_eq!(Step::named(name).map(Step::needs), Some([UPDATE_APIS].as_slice()), "{name}");
        }
        assert_eq!(Step::named("activate"), None);
    }
}
