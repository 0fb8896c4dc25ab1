//! The page that makes the first administrator. It is there until it has done so, and only for this machine.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Page, Pages};
use crate::services::fields::FieldErrors;
use crate::services::setup::{NewAdmin, SetupError, SetupService};
use crate::services::visit::Visit;

/// The set-up page.
#[derive(Default, Serialize)]
struct SetupPage {
    /// What is wrong, as a sentence of ours or in the words of the rule that was broken.
    problem: Option<&'static str>,
    detail: Option<String>,
    /// The field that the problem is about.
    problem_field: &'static str,
    code: String,
    username: String,
    csrf_token: String,
}

impl Page for SetupPage {
    const TEMPLATE: &'static str = "setup.html";
}

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct SetupDesk {
    pub(super) pages: Pages,
    pub(super) guard: FormGuard,
    pub(super) setup: SetupService,
}

/// `GET /setup`.
pub(super) async fn show(State(desk): State<SetupDesk>, visitor: Visitor, id: RequestId) -> Response {
    if let Some(refusal) = desk.refusal(&visitor.visit, id).await {
        return refusal;
    }
    let page = SetupPage { csrf_token: desk.guard.token(&visitor.visit.browser), ..SetupPage::default() };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /setup`.
pub(super) async fn create(State(desk): State<SetupDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let visit = &visitor.visit;
    if let Some(refusal) = desk.refusal(visit, id).await {
        return refusal;
    }
    let new = NewAdmin {
        code: fields.text("code").to_owned(),
        username: fields.text("username").to_owned(),
        password: fields.text("new-password").to_owned(),
    };
    let problem = match desk.setup.create_admin(&new, visit.address, visit.now).await {
        Ok(_) => return visitor.answer(desk.pages.go("/login?ready")),
        Err(SetupError::Code) => Problem { field: "code", name: "bad_code", detail: None },
        Err(SetupError::Invalid(errors)) => Problem::of(&errors),
        Err(error) => return desk.failed(id, &error),
    };
    let page = SetupPage {
        problem: Some(problem.name),
        detail: problem.detail,
        problem_field: problem.field,
        code: new.code,
        username: new.username,
        csrf_token: desk.guard.token(&visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

impl SetupDesk {
    /// To anybody else, and once it is done, there is no such page.
    async fn refusal(&self, visit: &Visit, id: RequestId) -> Option<Response> {
        match self.setup.pending().await {
            Ok(true) if self.setup.is_open_to(visit.address) => None,
            Ok(_) => Some(self.failed(id, &SetupError::Finished)),
            Err(error) => Some(self.failed(id, &error)),
        }
    }

    fn failed(&self, id: RequestId, error: &SetupError) -> Response {
        let page = match error {
            SetupError::Busy { retry_after } => {
                ErrorPage::new(ErrorKind::Busy).retry_after(*retry_after).back_to("/setup")
            }
            SetupError::Finished => ErrorPage::new(ErrorKind::NotFound),
            SetupError::Code | SetupError::Failed(_) | SetupError::Invalid(_) => {
                return failure::fault(&self.pages, id, error);
            }
        };
        self.pages.error(&page.because(error).reference(id.as_str()))
    }
}

/// What somebody who makes an account can mend.
pub(super) struct Problem {
    pub(super) field: &'static str,
    pub(super) name: &'static str,
    pub(super) detail: Option<String>,
}

impl Problem {
    /// The first field that cannot be accepted.
    pub(super) fn of(errors: &FieldErrors) -> Self {
        let first = errors.iter().next();
        match first.map(|error| (error.pointer.as_str(), error.code)) {
            Some(("/password", _)) => Self {
                field: "new-password",
                name: "password",
                detail: first.map(|error| sentence(&error.message)),
            },
            Some(("/name", _)) => Self { field: "name", name: "bad_name", detail: None },
            Some(("/username", "foreign")) => {
                Self { field: "username", name: "foreign_address", detail: None }
            }
            Some(("/username", "taken")) => Self { field: "username", name: "taken", detail: None },
            _ => Self { field: "username", name: "bad_username", detail: None },
        }
    }
}

fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(std::iter::once('.')).collect()
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let page = || SetupPage { csrf_token: "token".to_owned(), ..SetupPage::default() };
    vec![
        page(),
        SetupPage { problem: Some("bad_code"), problem_field: "code", code: "<b>".to_owned(), ..page() },
        SetupPage { problem: Some("taken"), problem_field: "username", ..page() },
        SetupPage { problem: Some("bad_username"), problem_field: "username", ..page() },
        SetupPage {
            problem: Some("password"),
            detail: Some("A password has at least 15 characters.".to_owned()),
            problem_field: "new-password",
            ..page()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_field_is_the_one_that_is_named() {
        let problem =
            Problem::of(&FieldErrors::of("/password", "invalid", "a password has at least 15 characters"));
        assert_eq!((problem.field, problem.name), ("new-password", "password"));
        assert_eq!(problem.detail.as_deref(), Some("A password has at least 15 characters."));
        assert_eq!(Problem::of(&FieldErrors::of("/username", "taken", "is taken")).name, "taken");
        assert_eq!(Problem::of(&FieldErrors::of("/username", "invalid", "no")).name, "bad_username");
        assert_eq!(Problem::of(&FieldErrors::of("/username", "foreign", "no")).name, "foreign_address");
        assert_eq!(Problem::of(&FieldErrors::of("/name", "invalid", "no")).field, "name");
    }
}
