//! Signing out at the wish of an application ([RP-Initiated Logout 1.0]), and what follows.
//!
//! [RP-Initiated Logout 1.0]: https://openid.net/specs/openid-connect-rpinitiated-1_0.html

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::{Extensions, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;

use crate::domain::parameters::{Parameters, ParametersError};
use crate::http::error::Cause;
use crate::http::extract::form::{OwnForm, is_form};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::noted::Noted;
use crate::http::pages::account::forget_session;
use crate::http::pages::person::Person;
use crate::http::pages::{Desk, failure};
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Forms, Page, Pages};
use crate::services::logout::{LogoutError, LogoutOutcome, LogoutRequest};

/// The page that asks before it signs out.
#[derive(Serialize)]
struct LogoutPage {
    problem: Option<&'static str>,
    client: Option<String>,
    user: Option<Person>,
    csrf_token: String,
    /// What the application sent, for the form.
    carried: Vec<(&'static str, String)>,
}

impl Page for LogoutPage {
    const FORMS: Forms = Forms::LeadAway;
    const TEMPLATE: &'static str = "logout.html";
}

/// `GET /logout`.
pub(super) async fn by_link(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Response {
    match read(&extensions, query) {
        Ok(request) => {
            let outcome = desk.logout.begin(request, &visitor.visit).await;
            desk.after_logout(&visitor, outcome, id)
        }
        Err(error) => desk.bad_logout(id, error),
    }
}

/// What an application asks for. Whoever it says it is, is noted for the log.
fn read(extensions: &Extensions, query: Option<String>) -> Result<LogoutRequest, ParametersError> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes())?;
    let request = LogoutRequest::read(&parameters)?;
    if let Some(client) = &request.client_id {
        Noted::note_claimed(extensions, client);
    }
    Ok(request)
}

/// `POST /logout`: the same request, sent by a form of the application. It may come from any site, so it may do no
/// more than the link does.
pub(super) async fn by_form(State(desk): State<Desk>, id: RequestId, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = if is_form(&parts.headers) { body.collect().await.ok() } else { None };
    let Some(body) = body else {
        return desk.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str()));
    };
    // Browsers keep our cookies from a form of another site, so it could not be told whose session is meant. They send
    // them when that form leads to a link, and the link asks before it does anything.
    match Parameters::parse(&body.to_bytes()) {
        Ok(parameters) => desk.pages.go(&format!("/logout?{}", parameters.encode())),
        Err(error) => desk.bad_logout(id, error),
    }
}

/// `GET /logout/confirm`: the question itself, at an address of its own.
pub(super) async fn ask(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Response {
    let request = match read(&extensions, query) {
        // A token proves nothing here: whoever is asked has to answer.
        Ok(request) => LogoutRequest { id_token_hint: None, ..request },
        Err(error) => return desk.bad_logout(id, error),
    };
    match desk.logout.begin(request, &visitor.visit).await {
        Ok(LogoutOutcome::Confirm { request, client }) => desk.ask_first(&visitor, &request, client),
        outcome => desk.after_logout(&visitor, outcome, id),
    }
}

/// `POST /logout/confirm`: the user said yes.
pub(super) async fn confirm(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let text = |name| fields.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let request = LogoutRequest {
        client_id: text("client_id"),
        id_token_hint: None,
        logout_hint: None,
        post_logout_redirect_uri: text("post_logout_redirect_uri"),
        state: text("state"),
        ui_locales: None,
    };
    let outcome = desk.logout.confirm(&request, &visitor.visit).await;
    desk.after_logout(&visitor, outcome, id)
}

impl Desk {
    fn after_logout(
        &self,
        visitor: &Visitor,
        outcome: Result<LogoutOutcome, LogoutError>,
        id: RequestId,
    ) -> Response {
        match outcome {
            Ok(LogoutOutcome::Confirm { request, .. }) => {
                let query =
                    form_urlencoded::Serializer::new(String::new()).extend_pairs(request.carried()).finish();
                visitor.answer(self.pages.go(&format!("/logout/confirm?{query}")))
            }
            Ok(LogoutOutcome::Done { redirect }) => {
                let response = match redirect {
                    Some(uri) => Pages::leave(&uri),
                    None => self.pages.go(&self.logged_out_path(&visitor.visit)),
                };
                visitor.answer(match &visitor.visit.session {
                    Some(_) => forget_session(response),
                    None => response,
                })
            }
            Err(LogoutError::Fault(error)) => failure::fault(&self.pages, id, &error),
            Err(error) => {
                let (parameter, reason) = (error.parameter(), error.to_string());
                let cause = Cause::said(format!("{parameter} {reason}")).to(error.client().cloned());
                let page = ErrorPage::new(ErrorKind::BadSignOut).parameter(parameter, reason).caused(cause);
                self.pages.error(&page.reference(id.as_str()))
            }
        }
    }

    fn ask_first(&self, visitor: &Visitor, request: &LogoutRequest, client: Option<String>) -> Response {
        let carried = request.carried().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let page = LogoutPage {
            problem: None,
            client,
            user: visitor.visit.session.as_ref().map(|live| Person::of(&live.user)),
            csrf_token: self.guard.token(&visitor.visit.browser),
            carried,
        };
        visitor.answer(self.pages.show(StatusCode::OK, &page))
    }

    fn bad_logout(&self, id: RequestId, error: ParametersError) -> Response {
        self.pages.error(&ErrorPage::new(ErrorKind::BadRequest).because(&error).reference(id.as_str()))
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let person = || Some(Person::of(&crate::http::pages::person::sample()));
    let carried = || vec![("state", "<b>".to_owned())];
    [(Some("<b>Orders</b>".to_owned()), person(), carried()), (None, None, Vec::new())]
        .into_iter()
        .map(|(client, user, carried)| LogoutPage {
            problem: None,
            client,
            user,
            csrf_token: "token".to_owned(),
            carried,
        })
        .collect()
}
