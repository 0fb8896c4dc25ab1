//! The page of an account that is to be deleted: after its owner asked for it, and in place of a sign-in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::StepId;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::leaving::Farewell;
use crate::services::login::LoginError;

/// The page.
#[derive(Serialize)]
pub(super) struct LeavingPage {
    problem: Option<&'static str>,
    /// When the account is deleted; `None`: it is.
    until: Option<TimeShown>,
    /// Whether a letter says so, too.
    is_told: bool,
    /// What keeps it, for whoever proved whose it is.
    offer: Option<Offer>,
}

/// What keeps an account.
#[derive(Serialize)]
struct Offer {
    username: String,
    proof: String,
    csrf_token: String,
}

impl Page for LeavingPage {
    const TEMPLATE: &'static str = "leaving.html";
}

impl LeavingPage {
    /// What is said to whoever just asked for it.
    pub(super) fn after(farewell: &Farewell) -> Self {
        let until = farewell.until.map(TimeShown::of);
        Self { problem: None, until, is_told: farewell.is_told, offer: None }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct LeavingQuery {
    proof: Option<String>,
}

/// `GET /login/leaving`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<LeavingQuery>,
) -> Response {
    let found = match proof_of(query.proof.as_deref()) {
        Ok(proof) => desk.login.leaver(&proof, &visitor.visit).await.map(|leaver| (proof, leaver)),
        Err(error) => Err(error),
    };
    match found {
        Ok((proof, leaver)) => {
            let offer = Offer {
                username: leaver.username.to_string(),
                proof: proof.to_string(),
                csrf_token: desk.guard.token(&visitor.visit.browser),
            };
            let until = Some(TimeShown::of(leaver.due_at));
            let page = LeavingPage { problem: None, until, is_told: false, offer: Some(offer) };
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

/// `POST /login/leaving`: its owner keeps the account, and signs in again.
pub(super) async fn keep(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let kept = match proof_of(fields.get("proof")) {
        Ok(proof) => desk.login.keep(&proof, &visitor.visit).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(()) => visitor.answer(desk.pages.go("/login?kept&switch")),
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

fn proof_of(raw: Option<&str>) -> Result<StepId, LoginError> {
    StepId::parse(raw.unwrap_or_default()).map_err(|_| LoginError::StepGone)
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let until = || Some(TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_795_352_700)));
    let offer = || Offer {
        username: "<b>alice".to_owned(),
        proof: "stp_1".to_owned(),
        csrf_token: "token".to_owned(),
    };
    let page = |until, is_told, offer| LeavingPage { problem: None, until, is_told, offer };
    vec![
        page(until(), true, None),
        page(until(), false, None),
        page(None, true, None),
        page(None, false, None),
        page(until(), false, Some(offer())),
    ]
}
