//! The page that changes a password.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::domain::user::InvalidPassword;
use crate::http::extract::form::OwnForm;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::account::remember;
use crate::http::pages::next::Next;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::login::{BadNewPassword, LoginError, PasswordChange};
use crate::services::password_quality::Weakness;

/// The page that changes a password.
#[derive(Serialize)]
struct PasswordPage {
    problem: Option<&'static str>,
    username: String,
    csrf_token: String,
}

impl Page for PasswordPage {
    const TEMPLATE: &'static str = "password.html";
}

/// `GET /account/security/password`.
pub(super) async fn show(State(desk): State<Desk>, visitor: Visitor) -> Response {
    match &visitor.visit.session {
        Some(live) => desk.password_page(&visitor, live.user.username.as_str(), None),
        None => visitor.answer(desk.pages.go(&Next::Password.login())),
    }
}

/// `POST /account/security/password`.
pub(super) async fn change(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Password.login()));
    };
    let change = PasswordChange {
        current: fields.text("password"),
        new: fields.text("new-password"),
        user: &live.user,
        browser: visitor.traits(),
        visit: &visitor.visit,
    };
    match desk.login.change_password(change).await {
        Ok(signed_in) => {
            let mut response = desk.pages.go("/account?notice=password_changed");
            remember(&mut response, &signed_in);
            visitor.answer(response)
        }
        // Somebody signed this browser out while the password was looked at.
        Err(LoginError::Overtaken) => visitor.answer(desk.pages.go(&Next::Password.login())),
        Err(error) => failure::login(&desk.pages, id, &error).unwrap_or_else(|| {
            desk.password_page(&visitor, live.user.username.as_str(), Some(problem(&error)))
        }),
    }
}

impl Desk {
    fn password_page(&self, visitor: &Visitor, username: &str, problem: Option<&'static str>) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let csrf_token = self.guard.token(&visitor.visit.browser);
        visitor.answer(
            self.pages.show(status, &PasswordPage { problem, username: username.to_owned(), csrf_token }),
        )
    }
}

fn problem(error: &LoginError) -> &'static str {
    match error {
        LoginError::NewPassword(refused) => new_password_problem(*refused),
        LoginError::Hash(_)
        | LoginError::Leaving(_)
        | LoginError::Overtaken
        | LoginError::StepGone
        | LoginError::Store(_)
        | LoginError::Throttled(_)
        | LoginError::Wrong => "wrong_password",
    }
}

/// The name of the sentence that says why a new password is refused.
pub(super) const fn new_password_problem(refused: BadNewPassword) -> &'static str {
    match refused {
        BadNewPassword::Length(InvalidPassword::TooLong) => "too_long",
        BadNewPassword::Length(InvalidPassword::TooShort) => "too_short",
        BadNewPassword::Same => "same",
        BadNewPassword::Weak(Weakness::Breached) => "breached",
        BadNewPassword::Weak(Weakness::Common) => "common",
        BadNewPassword::Weak(Weakness::Guessable) => "guessable",
        BadNewPassword::Weak(Weakness::Personal) => "personal",
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let refused = [
        BadNewPassword::Length(InvalidPassword::TooLong),
        BadNewPassword::Length(InvalidPassword::TooShort),
        BadNewPassword::Same,
        BadNewPassword::Weak(Weakness::Breached),
        BadNewPassword::Weak(Weakness::Common),
        BadNewPassword::Weak(Weakness::Guessable),
        BadNewPassword::Weak(Weakness::Personal),
    ];
    let problems = refused.into_iter().map(|refused| Some(problem(&LoginError::NewPassword(refused))));
    problems
        .chain([None, Some(problem(&LoginError::Wrong))])
        .map(|problem| PasswordPage { problem, username: "alice".to_owned(), csrf_token: "token".to_owned() })
        .collect()
}
