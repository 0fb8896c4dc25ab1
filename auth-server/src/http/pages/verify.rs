//! The page on which somebody confirms an address of mail, with the link of a letter.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::http::extract::form::OwnForm;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::recover::RecoverDesk;
use crate::http::render::Page;
use crate::services::login::LoginError;

/// The page: it asks for the code, then whether the address belongs to the account, and says that it does.
#[derive(Default, Serialize)]
struct VerifyPage {
    problem: Option<&'static str>,
    is_done: bool,
    code: String,
    /// What would be confirmed, once the code is known.
    claimed: Option<Claimed>,
    csrf_token: String,
}

/// An address, and the account that says that it is its own.
#[derive(Serialize)]
struct Claimed {
    username: String,
    address: String,
}

impl Page for VerifyPage {
    const TEMPLATE: &'static str = "verify.html";
}

/// `GET /verify`. Whoever opens it for somebody changes nothing: the code is behind `#`.
pub(super) async fn show(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    answer(&desk, &visitor, VerifyPage::default())
}

/// `GET /verify/done`.
pub(super) async fn done(State(desk): State<RecoverDesk>, visitor: Visitor) -> Response {
    answer(&desk, &visitor, VerifyPage { is_done: true, ..VerifyPage::default() })
}

/// `POST /verify`: with the code alone it is said what it confirms; with the word of the person it is confirmed.
pub(super) async fn confirm(State(desk): State<RecoverDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let (code, visit) = (fields.text("code"), &visitor.visit);
    let bad_code =
        || VerifyPage { problem: Some("bad_code"), code: code.to_owned(), ..VerifyPage::default() };
    let claimed = match desk.addresses.claimed(code, visit).await {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return answer(&desk, &visitor, bad_code()),
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    if fields.get("confirm").is_none() {
        let claimed = Claimed {
            username: claimed.username.as_str().to_owned(),
            address: claimed.address.as_str().to_owned(),
        };
        let page = VerifyPage { code: code.to_owned(), claimed: Some(claimed), ..VerifyPage::default() };
        return answer(&desk, &visitor, page);
    }
    match desk.addresses.confirm(code, visit).await {
        Ok(()) => visitor.answer(desk.pages.go("/verify/done")),
        Err(LoginError::Wrong) => answer(&desk, &visitor, bad_code()),
        Err(error) => desk.failed(id, &error),
    }
}

fn answer(desk: &RecoverDesk, visitor: &Visitor, page: VerifyPage) -> Response {
    let status = if page.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let csrf_token = desk.guard.token(&visitor.visit.browser);
    visitor.answer(desk.pages.show(status, &VerifyPage { csrf_token, ..page }))
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let page = || VerifyPage { csrf_token: "token".to_owned(), ..VerifyPage::default() };
    let claimed = Claimed { username: "<b>alice".to_owned(), address: "<b>@example.com".to_owned() };
    vec![
        page(),
        VerifyPage { problem: Some("bad_code"), code: "\"><b>".to_owned(), ..page() },
        VerifyPage { claimed: Some(claimed), code: "\"><b>".to_owned(), ..page() },
        VerifyPage { is_done: true, ..page() },
    ]
}
