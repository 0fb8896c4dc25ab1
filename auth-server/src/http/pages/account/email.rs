//! The page on which somebody has another address written to, which takes the place of theirs once it is confirmed.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::http::extract::form::OwnForm;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::addresses::AddressError;
use crate::services::login::{LoginError, PasswordProof};
use crate::services::visit::LiveSession;

/// The page.
#[derive(Serialize)]
struct EmailPage {
    problem: Option<&'static str>,
    /// Whether anybody can be written to.
    is_on: bool,
    /// The address that the account has.
    address: Option<String>,
    username: String,
    typed: String,
    csrf_token: String,
}

impl Page for EmailPage {
    const TEMPLATE: &'static str = "email.html";
}

/// `GET /account/profile/email`.
pub(in crate::http::pages) async fn show(State(desk): State<Desk>, visitor: Visitor) -> Response {
    match &visitor.visit.session {
        Some(live) => desk.email_page(&visitor, live, (None, "")),
        None => visitor.answer(desk.pages.go(&Next::Profile.login())),
    }
}

/// `POST /account/profile/email`.
pub(in crate::http::pages) async fn change(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Profile.login()));
    };
    if !desk.by_letter.addresses.is_on() {
        return desk.email_page(&visitor, live, (None, ""));
    }
    let proof = PasswordProof {
        current: fields.text("password"),
        user: &live.user,
        browser: visitor.traits(),
        visit: &visitor.visit,
    };
    let typed = fields.text("email");
    let problem = match desk.by_letter.addresses.change(typed, &proof).await {
        Ok(()) => return visitor.answer(desk.pages.go("/account/profile?notice=address_sent")),
        Err(AddressError::Invalid(_)) => "invalid",
        Err(AddressError::Same) => "same",
        Err(AddressError::Weak) => "weak",
        Err(AddressError::Login(error)) => match failure::login(&desk.pages, id, &error) {
            Some(response) => return response,
            None => "wrong_password",
        },
    };
    desk.email_page(&visitor, live, (Some(problem), typed))
}

/// `POST /account/profile/email/confirm`: another letter to an address that is not confirmed.
pub(in crate::http::pages) async fn send_again(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, .. } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Profile.login()));
    };
    match desk.by_letter.addresses.ask(&live.user, visitor.traits().user_agent, &visitor.visit).await {
        Ok(()) => visitor.answer(desk.pages.go("/account/profile?notice=confirmation_sent")),
        Err(LoginError::Throttled(wait)) => failure::throttled(&desk.pages, id, wait.retry_after),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

impl Desk {
    fn email_page(
        &self,
        visitor: &Visitor,
        live: &LiveSession,
        (problem, typed): (Option<&'static str>, &str),
    ) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let page = EmailPage {
            problem,
            is_on: self.by_letter.addresses.is_on(),
            address: live.user.email.as_ref().map(|email| email.as_str().to_owned()),
            username: live.user.username.as_str().to_owned(),
            typed: typed.to_owned(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let page = |problem: Option<&'static str>, is_on: bool| EmailPage {
        problem,
        is_on,
        address: problem.is_none().then(|| "<b>@example.com".to_owned()),
        username: "alice".to_owned(),
        typed: "\"><b>".to_owned(),
        csrf_token: "token".to_owned(),
    };
    vec![
        page(None, true),
        page(None, false),
        page(Some("invalid"), true),
        page(Some("same"), true),
        page(Some("weak"), true),
        page(Some("wrong_password"), true),
    ]
}
