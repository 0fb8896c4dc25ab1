//! The authorization endpoint ([RFC 6749 §3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)), by link and by form.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use serde::Serialize;

use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::Parameters;
use crate::http::error::Cause;
use crate::http::extract::form::is_form;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::noted::Noted;
use crate::http::oauth::error::Unreadable;
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Forms, Page, Pages};
use crate::http::state::AppState;
use crate::services::authorize::pushed;
use crate::services::authorize::refusal::PageError;
use crate::services::authorize::request::client_id;
use crate::services::authorize::respond::Reply;
use crate::services::authorize::{AuthorizeError, AuthorizeOutcome, AuthorizeService, Refused};
use crate::services::visit::Sender;

/// `GET /authorize`.
pub(super) async fn by_link(
    State(state): State<AppState>,
    State(authorize): State<AuthorizeService>,
    State(pages): State<Pages>,
    id: RequestId,
    request: Request,
) -> Response {
    let shown = Shown { pages: &pages, id: &id };
    let (mut parts, _) = request.into_parts();
    let parameters = match Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return refuse(shown, &AuthorizeError::Page(PageError::Malformed(error))),
    };
    match visitor(&parameters, &mut parts, &state).await {
        Ok(visitor) => begin(&authorize, shown, &visitor, &parameters).await,
        Err(response) => response,
    }
}

/// `POST /authorize` (OpenID Connect Core §3.1.2.1).
///
/// A browser does not send our cookies with a form of another site. Such a request goes on as a link, with which it does:
/// otherwise a person who is signed in would have to do so again, and flows in other tabs would lose their browser.
pub(super) async fn by_form(
    State(state): State<AppState>,
    State(authorize): State<AuthorizeService>,
    State(pages): State<Pages>,
    id: RequestId,
    request: Request,
) -> Response {
    let shown = Shown { pages: &pages, id: &id };
    let (mut parts, body) = request.into_parts();
    if !is_form(&parts.headers) {
        let page = ErrorPage::new(ErrorKind::BadRequest).because(&Unreadable::ContentType);
        return pages.error(&page.reference(id.as_str()));
    }
    let Ok(body) = body.collect().await else {
        return pages.error(&ErrorPage::new(ErrorKind::TooLarge).reference(id.as_str()));
    };
    let parameters = match Parameters::parse(&body.to_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return refuse(shown, &AuthorizeError::Page(PageError::Malformed(error))),
    };
    let visitor = match visitor(&parameters, &mut parts, &state).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    if visitor.is_new() {
        return pages.go(&format!("/authorize?{}", parameters.encode()));
    }
    begin(&authorize, shown, &visitor, &parameters).await
}

/// Who comes, with what that person allowed the client of the request before, and with what it pushed.
async fn visitor(parameters: &Parameters, parts: &mut Parts, state: &AppState) -> Result<Visitor, Response> {
    let client = client_id(parameters).ok();
    if let Some(client) = &client {
        Noted::note_claimed(&parts.extensions, client.as_str());
    }
    let handle = pushed::handle(parameters).ok().flatten().map(|handle| handle.digest());
    let sender = Sender { client, handle };
    Visitor::sent_by(&sender, parts, state).await
}

async fn begin(
    authorize: &AuthorizeService,
    shown: Shown<'_>,
    visitor: &Visitor,
    parameters: &Parameters,
) -> Response {
    match authorize.begin(parameters, &visitor.visit).await {
        Ok(outcome) => visitor.answer(respond(shown.pages, outcome)),
        Err(error) => refuse(shown, &error),
    }
}

/// Sends the browser on, always by 303: no browser repeats a form with a password at the next address (RFC 9700 §4.12).
pub(crate) fn respond(pages: &Pages, outcome: AuthorizeOutcome) -> Response {
    match outcome {
        AuthorizeOutcome::Consent(interaction) => pages.go(&format!("/consent?interaction={interaction}")),
        AuthorizeOutcome::Login(interaction) => pages.go(&format!("/login?interaction={interaction}")),
        AuthorizeOutcome::Refused { why, reply } => because(answered(pages, reply), why),
        AuthorizeOutcome::Reply(reply) => answered(pages, reply),
        AuthorizeOutcome::SignUp(interaction) => pages.go(&format!("/sign-up?interaction={interaction}")),
        AuthorizeOutcome::Told { why, host, reply } => {
            let (code, reason) = (why.error.code().as_str(), why.error.to_string());
            let (uri, fields) = match reply {
                Reply::Link(uri) => (uri, None),
                Reply::Form { uri, fields } => (uri, Some(fields)),
            };
            let page = ToldPage { host, code, reason, uri, fields, problem: true };
            because(pages.show(StatusCode::BAD_REQUEST, &page), why)
        }
    }
}

/// The answer of a client on its way through the browser.
fn answered(pages: &Pages, reply: Reply) -> Response {
    match reply {
        Reply::Link(url) => Pages::leave(&url),
        Reply::Form { uri, fields } => pages.show(StatusCode::OK, &FormPost { uri, fields, problem: None }),
    }
}

/// The answer, with what the log says of it.
fn because(mut response: Response, why: Refused) -> Response {
    let cause = Cause::of(&why.error).coded(why.error.code().as_str()).to(Some(why.client));
    response.extensions_mut().insert(cause);
    response
}

/// An error that leads on only if the person wants it to.
#[derive(Serialize)]
struct ToldPage {
    host: String,
    code: &'static str,
    reason: String,
    uri: String,
    /// The form that leads on, where it is not a link.
    fields: Option<Vec<(&'static str, String)>>,
    problem: bool,
}

impl Page for ToldPage {
    const TEMPLATE: &'static str = "told.html";
    const FORMS: Forms = Forms::LeadAway;
}

/// An answer as a form, which a script sends at once and a person where there is none (OAuth 2.0 Form Post Response Mode §2).
#[derive(Serialize)]
struct FormPost {
    uri: String,
    fields: Vec<(&'static str, String)>,
    problem: Option<&'static str>,
}

impl Page for FormPost {
    const TEMPLATE: &'static str = "form_post.html";
    const FORMS: Forms = Forms::LeadAway;
}

/// What an error page is made with: the pages, and the reference that leads to the line in the log.
#[derive(Clone, Copy)]
struct Shown<'a> {
    pages: &'a Pages,
    id: &'a RequestId,
}

fn refuse(shown: Shown<'_>, error: &AuthorizeError) -> Response {
    let page = match error {
        AuthorizeError::Fault(_) | AuthorizeError::Sign(_) => ErrorPage::fault(error),
        AuthorizeError::Throttled { retry_after } => {
            ErrorPage::new(ErrorKind::Throttled).retry_after(*retry_after)
        }
        AuthorizeError::Document(cause) => {
            let page = ErrorPage::new(ErrorKind::BadClient).code(OAuthErrorCode::InvalidRequest);
            page.parameter("client_id", cause.to_string())
        }
        AuthorizeError::Page(cause) => {
            let page = ErrorPage::new(ErrorKind::BadClient).code(cause.code());
            page.parameter(cause.parameter(), cause.to_string())
        }
    };
    shown.pages.error(&page.because(error).reference(shown.id.as_str()))
}
