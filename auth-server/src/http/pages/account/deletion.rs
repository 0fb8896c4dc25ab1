//! The page on which people have their own account deleted, and the one that says what becomes of it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::domain::user::User;
use crate::http::extract::form::OwnForm;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::account::data::DataDesk;
use crate::http::pages::account::forget_session;
use crate::http::pages::failure;
use crate::http::pages::leaving::LeavingPage;
use crate::http::pages::next::Next;
use crate::http::render::Page;
use crate::services::leaving::LeaveError;

/// The page.
#[derive(Serialize)]
struct DeletionPage {
    problem: Option<&'static str>,
    /// Whether the server would be left without an owner.
    is_last: bool,
    /// How long the account can be kept.
    days: u32,
    username: String,
    /// What was typed.
    typed: String,
    csrf_token: String,
}

impl Page for DeletionPage {
    const TEMPLATE: &'static str = "deletion.html";
}

/// `GET /account/data/deletion`.
pub(in crate::http::pages) async fn show(
    State(desk): State<DataDesk>,
    visitor: Visitor,
    id: RequestId,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Deletion.login()));
    };
    match desk.leaving.may_ask(live, visitor.visit.now).await {
        Ok(()) => desk.deletion_page(&visitor, &live.user, (None, "")),
        Err(error) => desk.stays(&visitor, (&live.user, ""), &error, id),
    }
}

/// `POST /account/data/deletion`.
pub(in crate::http::pages) async fn ask(
    State(desk): State<DataDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Deletion.login()));
    };
    let typed = fields.text("confirmation");
    match desk.leaving.ask(typed, live, &visitor.visit).await {
        Ok(farewell) => {
            let page = LeavingPage::after(&farewell);
            visitor.answer(forget_session(desk.pages.show(StatusCode::OK, &page)))
        }
        Err(error) => desk.stays(&visitor, (&live.user, typed), &error, id),
    }
}

impl DataDesk {
    fn deletion_page(
        &self,
        visitor: &Visitor,
        user: &User,
        (problem, typed): (Option<&'static str>, &str),
    ) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let page = DeletionPage {
            problem,
            is_last: problem == Some(LAST),
            days: self.leaving.grace_days(),
            username: user.username.to_string(),
            typed: typed.to_owned(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }

    /// Where somebody goes on whose account stays what it was.
    fn stays(
        &self,
        visitor: &Visitor,
        (user, typed): (&User, &str),
        error: &LeaveError,
        id: RequestId,
    ) -> Response {
        match error {
            LeaveError::Closed => failure::not_found(&self.pages, id),
            LeaveError::LastOwner => self.deletion_page(visitor, user, (Some(LAST), typed)),
            LeaveError::Mismatch => self.deletion_page(visitor, user, (Some("mismatch"), typed)),
            LeaveError::NotFresh | LeaveError::Overtaken => {
                visitor.answer(self.pages.go(&Next::Deletion.login_again()))
            }
            LeaveError::Owners(cause) => failure::fault(&self.pages, id, cause),
            LeaveError::Store(cause) => failure::fault(&self.pages, id, cause),
            LeaveError::Throttled { retry_after } => failure::throttled(&self.pages, id, *retry_after),
        }
    }
}

/// The problem of whoever administrates the server alone.
const LAST: &str = "last_owner";

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    [(None, 14), (None, 1), (None, 0), (Some("mismatch"), 14), (Some(LAST), 14)]
        .into_iter()
        .map(|(problem, days)| DeletionPage {
            problem,
            is_last: problem == Some(LAST),
            days,
            username: "alice".to_owned(),
            typed: "<b>alice".to_owned(),
            csrf_token: "token".to_owned(),
        })
        .collect()
}
