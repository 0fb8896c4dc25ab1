//! The page on which a draft is tried: on what services decided lately, and at the services beside the active rules.

mod page;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::domain::secret::Digest32;
use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::{LinkPath, LinkQuery};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Part;
use crate::http::pages::rules::desk::{Entered, READ, RulesDesk};
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::trial::page::samples;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::permission::ACTIVATE_POLICIES;
use crate::services::policies::trial_path;
use crate::services::version::{Precondition, Version};

/// The days that may be looked at: bounded, because they are decided while somebody waits for the page.
const SPANS: [u32; 3] = [1, DEFAULT_DAYS, 30];
/// The days that are looked at unless it is said.
pub(super) const DEFAULT_DAYS: u32 = 7;

/// What the page may say when it is led back to.
const NOTICES: [&str; 2] = [STARTED, STOPPED];
const STARTED: &str = "started";
const STOPPED: &str = "stopped";

/// What a form of the page asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Start,
    Stop,
}

impl Step {
    fn named(name: &str) -> Option<Self> {
        match name {
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct TrialQuery {
    days: Option<String>,
    notice: Option<String>,
}

/// The days that a link or a form names.
fn days(raw: Option<&str>) -> u32 {
    let named = raw.and_then(|raw| raw.parse().ok());
    named.filter(|days| SPANS.contains(days)).unwrap_or(DEFAULT_DAYS)
}

/// `GET /admin/policies/{api}/try`.
pub(in crate::http::pages) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<TrialQuery>,
) -> Response {
    let entered = match desk.enter((&raw, Part::Trial), &visitor, &[READ], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    match desk.trial_page(&entered, days(query.days.as_deref()), &visitor).await {
        Ok(page) => {
            let notice = NOTICES.into_iter().find(|notice| query.notice.as_deref() == Some(*notice));
            visitor.answer(desk.pages.show(StatusCode::OK, &page.saying(notice)))
        }
        Err(error) => desk.failed(id, &error),
    }
}

/// `POST /admin/policies/{api}/try`.
pub(in crate::http::pages) async fn act(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(step) = Step::named(fields.text("step")) else { return desk.unreadable(id) };
    let entered = match desk.enter((&raw, Part::Trial), &visitor, &[ACTIVATE_POLICIES], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let days = days(Some(fields.text("days")));
    let done = match step {
        Step::Start => desk.start_trial(&entered, &fields).await.map(|()| STARTED),
        Step::Stop => {
            let Ok(tried) = fields.text("tried").parse() else { return desk.unreadable(id) };
            desk.stop_trial(&entered, &tried).await.map(|()| STOPPED)
        }
    };
    let (status, problem) = match done {
        Ok(notice) => {
            let path = format!("{}?days={days}&notice={notice}", trial_path(&entered.api.id));
            return visitor.answer(desk.pages.go(&path));
        }
        Err(error) => match said(&error) {
            Some(said) => said,
            None => return desk.failed(id, &error),
        },
    };
    // What it says now, which may be what stood in the way.
    let page = async {
        let api = desk.console.apis.show(&entered.api.id).await?.value;
        desk.trial_page(&Entered { api, ..entered }, days, &visitor).await
    };
    match page.await {
        Ok(page) => visitor.answer(desk.pages.show(status, &page.refusing(problem))),
        Err(error) => desk.failed(id, &error),
    }
}

/// What the page says to a form that did nothing. `None` where there is nothing to say on it.
const fn said(error: &AdminError) -> Option<(StatusCode, &'static str)> {
    Some(match error {
        AdminError::Conflict(_) => (StatusCode::CONFLICT, "same"),
        AdminError::NotFound(Thing::Policy) => (StatusCode::CONFLICT, "no_active"),
        AdminError::NotFound(Thing::Shadow) => (StatusCode::CONFLICT, "not_on_trial"),
        AdminError::OwnersOnly => (StatusCode::FORBIDDEN, "owners_only"),
        AdminError::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "findings"),
        AdminError::Stale => (StatusCode::CONFLICT, "stale"),
        _ => return None,
    })
}

impl RulesDesk {
    async fn start_trial(&self, entered: &Entered, fields: &Fields) -> Result<(), AdminError> {
        let Entered { api, who } = entered;
        let seen = Precondition::Matches(vec![Version::named(fields.text("version"))]);
        self.console.policies.start_shadow(&api.id, &seen, &who.caller).await.map(drop)
    }

    async fn stop_trial(&self, entered: &Entered, tried: &Digest32) -> Result<(), AdminError> {
        let Entered { api, who } = entered;
        self.console.policies.stop_shadow(&api.id, Some(tried), &who.caller).await
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::Report;

    use super::*;

    #[test]
    fn only_some_days_are_looked_at() {
        assert_eq!(days(None), 7);
        for (raw, expected) in [("1", 1), ("7", 7), ("30", 30), ("366", 7), ("0", 7), ("x", 7), ("", 7)] {
            assert_eq!(days(Some(raw)), expected, "{raw}");
        }
    }

    #[test]
    fn what_keeps_a_draft_from_its_trial_is_said_on_the_page() {
        for (error, expected) in [
            (AdminError::Conflict("x"), "same"),
            (AdminError::NotFound(Thing::Policy), "no_active"),
            (AdminError::NotFound(Thing::Shadow), "not_on_trial"),
            (AdminError::OwnersOnly, "owners_only"),
            (AdminError::Policy(Report::default()), "findings"),
            (AdminError::Stale, "stale"),
        ] {
            assert_eq!(said(&error).map(|(_, problem)| problem), Some(expected), "{error:?}");
        }
        for other in [AdminError::NotFound(Thing::Api), AdminError::Compiler] {
            assert_eq!(said(&other), None, "{other:?}");
        }
    }
}
