//! The pages for whoever forgot the password: they ask for a letter, and set another password with what is in it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::password::new_password_problem;
use crate::http::render::{Page, Pages};
use crate::services::addresses::AddressService;
use crate::services::login::LoginError;
use crate::services::recovery::{Forgetful, RecoveryService};

/// The page that asks who forgot the password.
#[derive(Serialize)]
struct RecoverPage {
    problem: Option<&'static str>,
    /// Whether anybody can be written to.
    is_on: bool,
    csrf_token: String,
}

impl Page for RecoverPage {
    const TEMPLATE: &'static str = "recover.html";
}

/// The page that says that a letter is on its way, whether there is one or not.
#[derive(Serialize)]
struct SentPage {
    problem: Option<&'static str>,
}

impl Page for SentPage {
    const TEMPLATE: &'static str = "recover_sent.html";
}

/// The page that the letter leads to: it asks for the code, and then for the password.
#[derive(Default, Serialize)]
struct NewPasswordPage {
    problem: Option<&'static str>,
    code: String,
    /// Whose password it is, once the code is known.
    username: Option<String>,
    /// Whether the address was just put back.
    is_put_back: bool,
    csrf_token: String,
}

impl Page for NewPasswordPage {
    const TEMPLATE: &'static str = "recover_new.html";
}

/// The page that puts an address back that somebody else changed.
#[derive(Default, Serialize)]
struct PutBackPage {
    problem: Option<&'static str>,
    code: String,
    csrf_token: String,
}

impl Page for PutBackPage {
    const TEMPLATE: &'static str = "recover_address.html";
}

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct RecoverDesk {
    pub(super) pages: Pages,
    pub(super) guard: FormGuard,
    pub(super) recovery: RecoveryService,
    pub(super) addresses: AddressService,
}

/// `GET /recover`.
pub(super) async fn show(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    desk.question(&visitor, None)
}

/// `POST /recover`.
pub(super) async fn ask(State(desk): State<RecoverDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let who = fields.text("username");
    if !desk.recovery.is_on() {
        return desk.question(&visitor, None);
    }
    if who.trim().is_empty() {
        return desk.question(&visitor, Some("empty"));
    }
    let asked = Forgetful { who, user_agent: visitor.traits().user_agent, visit: &visitor.visit };
    match desk.recovery.ask(asked).await {
        Ok(()) => visitor.answer(desk.pages.go("/recover/sent")),
        Err(error) => desk.failed(id, &error),
    }
}

/// `GET /recover/sent`.
pub(super) async fn sent(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    visitor.answer(desk.pages.show(StatusCode::OK, &SentPage { problem: None }))
}

/// `GET /recover/new`. Whoever opens it for somebody, as programs that look through letters do, changes nothing: the code is behind `#`.
pub(super) async fn open(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    desk.form(&visitor, NewPasswordPage::default())
}

/// `POST /recover/new`: with the code alone it is said whose password it sets; with a password it is set.
pub(super) async fn set(State(desk): State<RecoverDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let (code, visit) = (fields.text("code"), &visitor.visit);
    let username = match desk.recovery.whose(code, visit).await {
        Ok(username) => username,
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let Some(username) = username else { return desk.form(&visitor, bad_code(code)) };
    let page = NewPasswordPage {
        code: code.to_owned(),
        username: Some(username.as_str().to_owned()),
        ..NewPasswordPage::default()
    };
    let Some(new) = fields.get("new-password") else { return desk.form(&visitor, page) };
    match desk.recovery.reset(code, new, visit).await {
        Ok(()) => visitor.answer(desk.pages.go("/login?renewed")),
        Err(LoginError::NewPassword(refused)) => {
            let problem = Some(new_password_problem(refused));
            desk.form(&visitor, NewPasswordPage { problem, ..page })
        }
        // Somebody else was faster.
        Err(LoginError::Wrong) => desk.form(&visitor, bad_code(code)),
        Err(error) => desk.failed(id, &error),
    }
}

/// `GET /recover/address`. Whoever opens it for somebody changes nothing.
pub(super) async fn ask_back(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    desk.put_back_form(&visitor, PutBackPage::default())
}

/// `POST /recover/address`: the address is the old one again, and the next page sets another password.
pub(super) async fn put_back(State(desk): State<RecoverDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let code = fields.text("code");
    match Box::pin(desk.addresses.put_back(code, &visitor.visit)).await {
        Ok((next, username)) => {
            let page = NewPasswordPage {
                code: next.expose().to_owned(),
                username: Some(username.as_str().to_owned()),
                is_put_back: true,
                ..NewPasswordPage::default()
            };
            desk.form(&visitor, page)
        }
        Err(LoginError::Wrong) => {
            let page =
                PutBackPage { problem: Some("bad_code"), code: code.to_owned(), ..PutBackPage::default() };
            desk.put_back_form(&visitor, page)
        }
        Err(error) => desk.failed(id, &error),
    }
}

fn bad_code(code: &str) -> NewPasswordPage {
    NewPasswordPage { problem: Some("bad_code"), code: code.to_owned(), ..NewPasswordPage::default() }
}

impl RecoverDesk {
    fn question(&self, visitor: &Visitor, problem: Option<&'static str>) -> Response {
        let csrf_token = self.guard.token(&visitor.visit.browser);
        let page = RecoverPage { problem, is_on: self.recovery.is_on(), csrf_token };
        visitor.answer(self.pages.show(status(problem), &page))
    }

    fn form(&self, visitor: &Visitor, page: NewPasswordPage) -> Response {
        let csrf_token = self.guard.token(&visitor.visit.browser);
        visitor.answer(self.pages.show(status(page.problem), &NewPasswordPage { csrf_token, ..page }))
    }

    fn put_back_form(&self, visitor: &Visitor, page: PutBackPage) -> Response {
        let csrf_token = self.guard.token(&visitor.visit.browser);
        visitor.answer(self.pages.show(status(page.problem), &PutBackPage { csrf_token, ..page }))
    }

    pub(super) fn failed(&self, id: RequestId, error: &LoginError) -> Response {
        failure::login(&self.pages, id, error).unwrap_or_else(|| failure::not_found(&self.pages, id))
    }
}

const fn status(problem: Option<&'static str>) -> StatusCode {
    if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

#[cfg(test)]
pub(super) fn question_samples() -> Vec<impl Page> {
    [(None, true), (Some("empty"), true), (None, false)]
        .map(|(problem, is_on)| RecoverPage { problem, is_on, csrf_token: "token".to_owned() })
        .into()
}

#[cfg(test)]
pub(super) fn sent_samples() -> Vec<impl Page> {
    vec![SentPage { problem: None }]
}

#[cfg(test)]
pub(super) fn put_back_samples() -> Vec<impl Page> {
    [None, Some("bad_code")]
        .map(|problem| PutBackPage { problem, code: "\"><b>".to_owned(), csrf_token: "token".to_owned() })
        .into()
}

#[cfg(test)]
pub(super) fn new_samples() -> Vec<impl Page> {
    let page = |problem, username: Option<&str>| NewPasswordPage {
        problem,
        code: "\"><b>".to_owned(),
        username: username.map(str::to_owned),
        is_put_back: false,
        csrf_token: "token".to_owned(),
    };
    let known = Some("alice");
    let mut samples = vec![page(None, None), page(Some("bad_code"), None), page(None, known)];
    samples.push(NewPasswordPage { is_put_back: true, ..page(None, known) });
    samples.extend(
        ["breached", "common", "guessable", "personal", "same", "too_long", "too_short"]
            .map(|name| page(Some(name), known)),
    );
    samples
}
