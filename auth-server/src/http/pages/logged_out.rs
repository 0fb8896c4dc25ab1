//! The page after a sign-out that leads nowhere else: which applications were told, and which are still to be.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::backchannel::NoticeState;
use crate::domain::ids::SessionId;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::logout::Told;
use crate::services::visit::Visit;

/// The page.
#[derive(Serialize)]
struct LoggedOutPage {
    problem: Option<&'static str>,
    told: Vec<ToldShown>,
    /// Where to look again, while an application has not answered.
    again: Option<String>,
}

impl Page for LoggedOutPage {
    const TEMPLATE: &'static str = "logged_out.html";
}

/// An application that took part in the session.
#[derive(Serialize)]
struct ToldShown {
    client: String,
    state: &'static str,
}

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct LoggedOutQuery {
    session: Option<String>,
    /// Shows that this browser had the session: which applications somebody uses is nobody else's business.
    ticket: Option<String>,
}

/// `GET /logged-out`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<LoggedOutQuery>,
) -> Response {
    let asked = query
        .session
        .zip(query.ticket)
        .filter(|(session, ticket)| desk.guard.is_ticket(&visitor.visit.browser, session, ticket));
    let told = match asked.as_ref().and_then(|(session, _)| SessionId::parse(session).ok()) {
        Some(session) => match desk.logout.told(&session).await {
            Ok(told) => told,
            Err(error) => return failure::fault(&desk.pages, id, &error),
        },
        None => Vec::new(),
    };
    let waits = told.iter().any(|told| told.state == NoticeState::Waiting);
    let again = asked.filter(|_| waits).map(|(session, ticket)| path(&session, &ticket));
    let told = told.into_iter().map(ToldShown::from).collect();
    visitor.answer(desk.pages.show(StatusCode::OK, &LoggedOutPage { problem: None, told, again }))
}

impl From<Told> for ToldShown {
    fn from(told: Told) -> Self {
        Self { client: told.client, state: told.state.as_str() }
    }
}

impl Desk {
    /// The page after the sign-out of this visit.
    pub(super) fn logged_out_path(&self, visit: &Visit) -> String {
        let Some(live) = &visit.session else { return "/logged-out".to_owned() };
        let session = live.session.id.as_str();
        path(session, &self.guard.ticket(&visit.browser, session))
    }
}

/// Neither holds a character that a query could not.
fn path(session: &str, ticket: &str) -> String {
    format!("/logged-out?session={session}&ticket={ticket}")
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let told = |state: NoticeState| ToldShown { client: format!("<b>{state}</b>"), state: state.as_str() };
    [(Vec::new(), None), (NoticeState::ALL.map(told).into(), Some(path("ses_1", "ticket")))]
        .into_iter()
        .map(|(told, again)| LoggedOutPage { problem: None, told, again })
        .collect()
}
