//! The account of whoever is signed in.

pub(super) mod apps;
pub(super) mod data;
pub(super) mod deletion;
pub(super) mod email;
pub(super) mod log;
pub(super) mod passkeys;
pub(super) mod profile;
pub(super) mod security;
pub(super) mod sessions;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::http::extract::cookies::{self, Keep};
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::person::Person;
use crate::http::pages::rules::RulesDesk;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::ciba::error::Step;
use crate::services::login::SignedIn;
use crate::services::visit::{LiveSession, Visit};

/// The account page.
#[derive(Serialize)]
struct AccountPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    user: Person,
    signed_in: TimeShown,
    /// Whether the rules of APIs are this user's business.
    sees_rules: bool,
    /// How many requests wait for approval, if there can be any.
    approvals: Option<usize>,
    csrf_token: String,
}

impl Page for AccountPage {
    const TEMPLATE: &'static str = "account.html";
}

/// The query of the account page.
#[derive(Deserialize)]
pub(super) struct AccountQuery {
    notice: Option<String>,
}

/// `GET /account`.
pub(super) async fn show(
    State(desk): State<Desk>,
    State(rules): State<RulesDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<AccountQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Account.login()));
    };
    let sees_rules = match rules.may_read(&visitor).await {
        Ok(sees_rules) => sees_rules,
        Err(error) => return rules.failed(id, &error),
    };
    let waiting = match desk.approvals(live, &visitor.visit).await {
        Ok(waiting) => waiting,
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let page = AccountPage {
        problem: None,
        notice: (query.notice.as_deref() == Some("password_changed")).then_some("password_changed"),
        user: Person::of(&live.user),
        signed_in: TimeShown::of(live.session.auth_time),
        sees_rules,
        approvals: waiting,
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

impl Desk {
    /// How many requests wait for whoever is signed in.
    async fn approvals(&self, live: &LiveSession, visit: &Visit) -> Step<Option<usize>> {
        if !self.ciba.is_on() {
            return Ok(None);
        }
        Ok(Some(self.ciba.waiting(live, visit.now).await?.len()))
    }
}

/// `POST /account/sign-out`.
pub(super) async fn sign_out(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    match desk.login.sign_out(&form.visitor.visit).await {
        Ok(()) => {
            let next = desk.pages.go(&desk.logged_out_path(&form.visitor.visit));
            form.visitor.answer(forget_session(next))
        }
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

/// Gives the browser its new session, and the proof that this account signed in here.
pub(super) fn remember(response: &mut Response, signed_in: &SignedIn) {
    let headers = response.headers_mut();
    cookies::set(headers, cookies::SESSION, signed_in.token.expose(), Keep::UntilClosed);
    cookies::set(headers, cookies::DEVICE, &signed_in.device, Keep::Longest);
}

/// Takes the session out of the browser. The server has ended it already.
pub(super) fn forget_session(mut response: Response) -> Response {
    let headers = response.headers_mut();
    cookies::set(headers, cookies::SESSION, "", Keep::Never);
    // ASVS 14.3.1. Not "cookies": the proof that an account signed in here has to survive.
    headers.insert("clear-site-data", HeaderValue::from_static("\"storage\""));
    response
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    [None, Some("password_changed")]
        .into_iter()
        .map(|notice| AccountPage {
            problem: None,
            notice,
            user: Person::of(&crate::http::pages::person::sample()),
            signed_in: TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_795_352_700)),
            sees_rules: notice.is_some(),
            approvals: notice.map(str::len),
            csrf_token: "token".to_owned(),
        })
        .collect()
}
