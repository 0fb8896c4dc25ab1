//! The page of what services told of their routes, and of whether these and the rules fit.

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
use crate::http::pages::rules::desk::{Entered, READ, RulesDesk, UPDATE};
use crate::http::pages::rules::routes::page::Of;
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::routes::page::samples;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::policies::inventory::DECIDED;
use crate::services::policies::routes_path;
use crate::services::version::{Precondition, Version};

/// What the page may say when it is led back to.
const NOTICES: [&str; 3] = [APPROVED, FORGOTTEN, REJECTED];
const APPROVED: &str = "approved";
const FORGOTTEN: &str = "forgotten";
const REJECTED: &str = "rejected";

/// What a form of the page asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Approve,
    Forget,
    Reject,
}

impl Step {
    fn named(name: &str) -> Option<Self> {
        match name {
            "approve" => Some(Self::Approve),
            "forget" => Some(Self::Forget),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }

    const fn notice(self) -> &'static str {
        match self {
            Self::Approve => APPROVED,
            Self::Forget => FORGOTTEN,
            Self::Reject => REJECTED,
        }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct RoutesQuery {
    of: Option<String>,
    notice: Option<String>,
}

/// `GET /admin/policies/{api}/routes`.
pub(in crate::http::pages) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<RoutesQuery>,
) -> Response {
    let entered = match desk.enter((&raw, Part::Routes), &visitor, &[READ], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let of = if query.of.as_deref() == Some("draft") { Of::Draft } else { Of::Active };
    match desk.routes_page(&entered, of, &visitor).await {
        Ok(page) => {
            let notice = NOTICES.into_iter().find(|notice| query.notice.as_deref() == Some(*notice));
            visitor.answer(desk.pages.show(StatusCode::OK, &page.saying(notice)))
        }
        Err(error) => desk.failed(id, &error),
    }
}

/// `POST /admin/policies/{api}/routes`.
pub(in crate::http::pages) async fn act(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(step) = Step::named(fields.text("step")) else { return desk.unreadable(id) };
    let entered = match desk.enter((&raw, Part::Routes), &visitor, &[UPDATE], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let Ok(digest) = fields.text("digest").parse() else { return desk.unreadable(id) };
    let (status, problem) = match desk.decide(step, &entered, &digest, &fields).await {
        Ok(()) => {
            let path = format!("{}?notice={}", routes_path(&entered.api.id), step.notice());
            return visitor.answer(desk.pages.go(&path));
        }
        Err(error) => match said(&error) {
            Some(said) => said,
            None => return desk.failed(id, &error),
        },
    };
    match desk.routes_page(&entered, Of::Active, &visitor).await {
        Ok(page) => visitor.answer(desk.pages.show(status, &page.refusing(problem))),
        Err(error) => desk.failed(id, &error),
    }
}

/// What the page says to a form that did nothing. `None` where there is nothing to say on it.
fn said(error: &AdminError) -> Option<(StatusCode, &'static str)> {
    Some(match error {
        AdminError::Conflict(why) if *why == DECIDED => (StatusCode::CONFLICT, "decided"),
        AdminError::Conflict(_) => (StatusCode::CONFLICT, "too_many"),
        AdminError::NotFound(Thing::Inventory) => (StatusCode::CONFLICT, "gone"),
        AdminError::OwnersOnly => (StatusCode::FORBIDDEN, "owners_only"),
        AdminError::Stale => (StatusCode::CONFLICT, "stale"),
        _ => return None,
    })
}

impl RulesDesk {
    async fn decide(
        &self,
        step: Step,
        entered: &Entered,
        digest: &Digest32,
        fields: &Fields,
    ) -> Result<(), AdminError> {
        let Entered { api, who } = entered;
        let inventories = &self.console.inventories;
        let seen = Precondition::Matches(vec![Version::named(fields.text("version"))]);
        match step {
            Step::Approve => inventories.approve(&api.id, digest, &seen, &who.caller).await.map(drop),
            Step::Forget => inventories.delete(&api.id, digest, &seen, &who.caller).await,
            Step::Reject => inventories.reject(&api.id, digest, &seen, &who.caller).await.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_routes_as_they_are_is_said_on_the_page() {
        for (error, expected) in [
            (AdminError::Conflict(DECIDED), "decided"),
            (AdminError::Conflict("x"), "too_many"),
            (AdminError::NotFound(Thing::Inventory), "gone"),
            (AdminError::OwnersOnly, "owners_only"),
            (AdminError::Stale, "stale"),
        ] {
            assert_eq!(said(&error).map(|(_, problem)| problem), Some(expected), "{error:?}");
        }
        for other in [AdminError::NotFound(Thing::Api), AdminError::Compiler] {
            assert_eq!(said(&other), None, "{other:?}");
        }
    }
}
