//! The page of the sessions of whoever is signed in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::browser_name::BrowserName;
use crate::domain::ids::SessionId;
use crate::domain::session::Session;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::account::sessions::Ending;

/// The page.
#[derive(Serialize)]
struct SessionsPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    current: Shown,
    others: Vec<Shown>,
    /// Whether there are older ones.
    more: bool,
    csrf_token: String,
}

impl Page for SessionsPage {
    const TEMPLATE: &'static str = "sessions.html";
}

/// One session.
#[derive(Serialize)]
struct Shown {
    id: String,
    browser: Option<String>,
    system: Option<&'static str>,
    address: Option<String>,
    signed_in: TimeShown,
    seen: TimeShown,
}

impl Shown {
    fn of(session: &Session) -> Self {
        let BrowserName { browser, system } = BrowserName::of(&session.origin.user_agent);
        Self {
            id: session.id.to_string(),
            browser,
            system,
            address: session.origin.address.map(|address| address.to_string()),
            signed_in: TimeShown::of(session.auth_time),
            seen: TimeShown::of(session.last_seen_at),
        }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct SessionsQuery {
    notice: Option<String>,
}

/// What the page says after something was done.
const NOTICES: [&str; 2] = ["ended", "others_ended"];

/// `GET /account/sessions`.
pub(in crate::http::pages) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<SessionsQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Sessions.login()));
    };
    let others = match desk.account.other_sessions(live, visitor.visit.now).await {
        Ok(others) => others,
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let page = SessionsPage {
        problem: None,
        notice: NOTICES.into_iter().find(|known| query.notice.as_deref() == Some(known)),
        current: Shown::of(&live.session),
        others: others.found.iter().map(Shown::of).collect(),
        more: others.more,
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /account/sessions/end`: one of them. The one that asks has the button that signs out.
pub(in crate::http::pages) async fn end(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Sessions.login()));
    };
    let ending = match SessionId::parse(fields.text("session")) {
        Ok(session) if session != live.session.id => {
            desk.account.end_session(session, live, &visitor.visit).await
        }
        Ok(_) | Err(_) => Ok(Ending::Unknown),
    };
    match ending {
        Ok(Ending::Ended) => visitor.answer(desk.pages.go("/account/sessions?notice=ended")),
        Ok(Ending::Unknown) => failure::not_found(&desk.pages, id),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

/// `POST /account/sessions/end-others`.
pub(in crate::http::pages) async fn end_others(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let visitor = form.visitor;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Sessions.login()));
    };
    match desk.account.end_other_sessions(live, &visitor.visit).await {
        Ok(()) => visitor.answer(desk.pages.go("/account/sessions?notice=others_ended")),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    use crate::domain::clock::Timestamp;

    let shown = |id: &str, browser: Option<&str>, system, address: Option<&str>| Shown {
        id: id.to_owned(),
        browser: browser.map(str::to_owned),
        system,
        address: address.map(str::to_owned),
        signed_in: TimeShown::of(Timestamp::from_secs(1_795_352_700)),
        seen: TimeShown::of(Timestamp::from_secs(1_795_356_300)),
    };
    let current = || shown("ses_1", Some("Firefox"), Some("Linux"), Some("2001:db8::1"));
    let page = |notice, others: Vec<Shown>, more| SessionsPage {
        problem: None,
        notice,
        current: current(),
        others,
        more,
        csrf_token: "token".to_owned(),
    };
    let others = vec![
        shown("ses_2", Some("<b>x</b>"), None, Some("192.0.2.1")),
        shown("ses_3", None, Some("Android"), None),
        shown("ses_4", None, None, None),
    ];
    vec![
        page(None, others, true),
        page(Some("ended"), Vec::new(), false),
        page(Some("others_ended"), Vec::new(), false),
    ]
}
