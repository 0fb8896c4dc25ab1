//! The page of what is asked at a sign-in, and the pages that change it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::extract::cookies::{self, Keep};
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::qr::Picture;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::second_step::enrol::{ChangeError, StepOffer, StepState};
use crate::services::second_step::recovery::RecoveryCode;

/// The page of what is asked at a sign-in.
#[derive(Serialize)]
struct SecurityPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    step: Option<StepShown>,
    csrf_token: String,
}

impl Page for SecurityPage {
    const TEMPLATE: &'static str = "security.html";
}

/// The second step of an account.
#[derive(Serialize)]
struct StepShown {
    since: TimeShown,
    codes_left: u32,
}

/// The page that adds a second step.
#[derive(Serialize)]
struct OfferPage {
    problem: Option<&'static str>,
    picture: Option<Picture>,
    secret: String,
    uri: String,
    offer: String,
    csrf_token: String,
}

impl Page for OfferPage {
    const TEMPLATE: &'static str = "second_step.html";
}

/// The page that shows recovery codes, once.
#[derive(Serialize)]
struct CodesPage {
    problem: Option<&'static str>,
    /// Whether the second step was added with them.
    is_added: bool,
    codes: Vec<String>,
}

impl Page for CodesPage {
    const TEMPLATE: &'static str = "recovery_codes.html";
}

/// What the page says, and what it said that leads to it.
const NOTICES: [&str; 2] = ["administration", "removed"];

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct SecurityQuery {
    notice: Option<String>,
}

/// `GET /account/security`.
pub(in crate::http::pages) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<SecurityQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Security.login()));
    };
    let state = match desk.steps.state(live).await {
        Ok(state) => state,
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let page = SecurityPage {
        problem: None,
        notice: NOTICES.into_iter().find(|known| query.notice.as_deref() == Some(known)),
        step: state
            .map(|StepState { since, codes_left }| StepShown { since: TimeShown::of(since), codes_left }),
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `GET /account/security/second-step`.
pub(in crate::http::pages) async fn offer(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::SecondStep.login()));
    };
    match desk.steps.offer(live, visitor.visit.now).await {
        Ok(offer) => desk.offer_page(&visitor, offer, None),
        Err(error) => desk.unchanged(&visitor, &Next::SecondStep, &error, id),
    }
}

/// `POST /account/security/second-step`.
pub(in crate::http::pages) async fn add(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::SecondStep.login()));
    };
    let (sealed, code) = (fields.text("offer"), fields.text("totp"));
    match desk.steps.add((sealed, code), live, &visitor.visit).await {
        Ok((codes, token)) => {
            let mut response = desk.codes_page(&visitor, &codes, true);
            let headers = response.headers_mut();
            cookies::set(headers, cookies::SESSION, token.expose(), Keep::UntilClosed);
            response
        }
        Err(ChangeError::WrongCode) => match desk.steps.again(sealed, live, visitor.visit.now) {
            Some(offer) => desk.offer_page(&visitor, offer, Some("wrong_code")),
            None => desk.unchanged(&visitor, &Next::SecondStep, &ChangeError::Offer, id),
        },
        Err(error) => desk.unchanged(&visitor, &Next::SecondStep, &error, id),
    }
}

/// `POST /account/security/second-step/remove`.
pub(in crate::http::pages) async fn remove(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let visitor = form.visitor;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Security.login()));
    };
    match desk.steps.remove(live, &visitor.visit).await {
        Ok(()) => visitor.answer(desk.pages.go("/account/security?notice=removed")),
        Err(error) => desk.unchanged(&visitor, &Next::Security, &error, id),
    }
}

/// `POST /account/security/recovery-codes`.
pub(in crate::http::pages) async fn renew_codes(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let visitor = form.visitor;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Security.login()));
    };
    match desk.steps.renew_codes(live, &visitor.visit).await {
        Ok(codes) => desk.codes_page(&visitor, &codes, false),
        Err(error) => desk.unchanged(&visitor, &Next::Security, &error, id),
    }
}

impl Desk {
    fn offer_page(&self, visitor: &Visitor, offer: StepOffer, problem: Option<&'static str>) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let StepOffer { secret, uri, sealed } = offer;
        let page = OfferPage {
            problem,
            picture: Picture::of(&uri),
            secret,
            uri,
            offer: sealed,
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }

    fn codes_page(&self, visitor: &Visitor, codes: &[RecoveryCode], is_added: bool) -> Response {
        let codes = codes.iter().map(RecoveryCode::shown).collect();
        visitor.answer(self.pages.show(StatusCode::OK, &CodesPage { problem: None, is_added, codes }))
    }

    /// Where somebody goes on for whom nothing was changed; `next` is where they come back to once they have signed in again.
    fn unchanged(&self, visitor: &Visitor, next: &Next, error: &ChangeError, id: RequestId) -> Response {
        let path = match error {
            ChangeError::Exists | ChangeError::Missing => Next::Security.path(),
            ChangeError::NotFresh | ChangeError::Overtaken => next.login_again(),
            ChangeError::Offer | ChangeError::WrongCode => Next::SecondStep.path(),
            ChangeError::Store(cause) => return failure::fault(&self.pages, id, cause),
        };
        visitor.answer(self.pages.go(&path))
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let since = || TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_795_352_700));
    [
        (None, None),
        (None, Some(10)),
        (None, Some(1)),
        (None, Some(0)),
        (Some("removed"), None),
        (Some("administration"), None),
    ]
    .into_iter()
    .map(|(notice, left)| SecurityPage {
        problem: None,
        notice,
        step: left.map(|codes_left| StepShown { since: since(), codes_left }),
        csrf_token: "token".to_owned(),
    })
    .collect()
}

#[cfg(test)]
pub(in crate::http::pages) fn offer_samples() -> Vec<impl Page> {
    [(None, true), (Some("wrong_code"), true), (None, false)]
        .into_iter()
        .map(|(problem, is_drawn)| OfferPage {
            problem,
            picture: Picture::of("otpauth://totp/x").filter(|_| is_drawn),
            secret: "GEZD GNBV".to_owned(),
            uri: "otpauth://totp/x?secret=GEZDGNBV&issuer=<b>".to_owned(),
            offer: "sealed".to_owned(),
            csrf_token: "token".to_owned(),
        })
        .collect()
}

#[cfg(test)]
pub(in crate::http::pages) fn codes_samples() -> Vec<impl Page> {
    let codes = || vec!["0000-1111-2222-3333".to_owned(), "aaaa-bbbb-cccc-dddd".to_owned()];
    [true, false].map(|is_added| CodesPage { problem: None, is_added, codes: codes() }).into_iter().collect()
}
